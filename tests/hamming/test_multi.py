"""The multi-index gives the answers of a scan, whatever its tables look like."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex, group
from bitcodes.hamming.multi import MultiIndex, default_parts, extend, with_tables
from bitcodes.hamming.scanner import Scanner
from bitcodes.hamming.stored import index_path, load_index, open_index, update_index


def build(codes, bits, threads=None, method="auto", parts=None):
    return with_tables(group(codes, bits, threads), method, parts)


def near_codes(rng, count, bits, centers, flips):
    """Codes around a few centers; all of them random where flips is a half."""
    middle = rng.random((centers, bits)) < 0.5
    return pack_bits(
        middle[rng.integers(centers, size=count)] ^ (rng.random((count, bits)) < flips)
    )


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_same_answers(index, codes, queries, bits, k):
    by_row = HammingIndex(codes, bits)
    assert len(index) == len(codes)
    assert_same(index.search(queries, k), by_row.search(queries, k))
    for radius in (0, 2, bits // 4, bits):
        for limit in (None, k):
            found = index.within(queries, radius, limit)
            assert_same(found, by_row.within(queries, radius, limit))


CASES = {
    "seed": st.integers(0, 2**32 - 1),
    "count": st.sampled_from([0, 1, 2, 50, 700, 3000]),
    "bits": st.sampled_from([1, 5, 12, 48, 64, 65, 128]),
    "centers": st.sampled_from([1, 3, 40]),
    "flips": st.sampled_from([0.02, 0.1, 0.5]),
    "k": st.sampled_from([1, 2, 10, 100, 3500]),
}


@settings(max_examples=25, deadline=None)
@given(**CASES, parts=st.sampled_from([None, 1, 2, 3, 7]), threads=st.sampled_from([1, 3]))
def test_same_answers_as_scan(seed, count, bits, centers, flips, k, parts, threads):
    rng = np.random.default_rng(seed)
    codes = near_codes(rng, count, bits, centers, flips)
    queries = np.concatenate([near_codes(rng, 4, bits, 4, 0.5), codes[:2], codes[-2:]])
    queries = np.concatenate(
        [queries, queries[-3:] ^ near_codes(rng, len(queries[-3:]), bits, 1, 0)]
    )
    if parts is not None:
        parts = min(max(parts, -(-bits // 16)), bits)
    index = build(codes, bits, threads, "tables", parts)
    index.scanner.work.use_kernels()  # no NumPy
    assert_same_answers(index, codes, queries, bits, k)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.sampled_from([(0, 40), (1, 1), (300, 0), (700, 60)]),
    bits=st.sampled_from([12, 48, 65]),
    flips=st.sampled_from([0.02, 0.5]),
)
def test_extending_is_building_anew(seed, counts, bits, flips):
    rng = np.random.default_rng(seed)
    codes = near_codes(rng, sum(counts), bits, 3, flips)
    parts = 5
    old = build(codes[: counts[0]], bits, 2, "tables", parts)
    index, anew = extend(old, codes[counts[0] :]), build(codes, bits, 2, "tables", parts)
    assert index.method == "tables"
    assert_same(index.grouped.groups, anew.grouped.groups)
    assert_same(index.tables, anew.tables)


def scans(index, monkeypatch):
    """How many queries the index scans for from now on, as a list that grows."""
    counts = []
    nearest = Scanner.nearest

    def counted(self, queries, *arguments, **options):
        counts.append(queries.shape[1])
        return nearest(self, queries, *arguments, **options)

    monkeypatch.setattr(Scanner, "nearest", counted)
    index.compile()
    counts.clear()
    return counts


def test_a_query_that_costs_too_much_is_scanned_for(monkeypatch):
    monkeypatch.setattr("bitcodes.hamming.tables._CALL", 0.0)
    rng = np.random.default_rng(3)
    codes = near_codes(rng, 20000, 64, 400, 0.01)
    queries = np.concatenate([codes[:4], near_codes(rng, 3, 64, 1, 0.5)])
    expected = HammingIndex(codes, 64).search(queries, 5)
    index = build(codes, 64, method="tables")
    asked = scans(index, monkeypatch)
    for some, scanned in ((slice(0, 4), []), (slice(4, 7), [3]), (slice(7), [3])):
        assert_same(index.search(queries[some], 5), [part[some] for part in expected])
        assert asked == scanned
        asked.clear()


def test_auto_takes_the_tables_where_samples_say_so(monkeypatch):
    codes = near_codes(np.random.default_rng(4), 200_000, 64, 2000, 0.02)
    queries = codes[:2] ^ np.uint8(1)
    index = build(codes, 64)
    assert index.method == "auto"
    asked = scans(index, monkeypatch)
    index.search(queries, 2)
    assert index.gain(k=2, queries=2) > 2
    assert asked == []
    index.search(queries, 100_000)
    assert index.gain(k=100_000, queries=2) <= 1
    assert asked == [2]
    assert index.gain(radius=0) > index.gain(radius=6) > index.gain(radius=30)


def test_many_threads_may_search_one_index():
    codes = near_codes(np.random.default_rng(6), 3000, 64, 30, 0.05)
    index = build(codes, 64, 2, "tables")
    index.scanner.work.use_kernels()
    expected = index.search(codes[:40], 7), index.within(codes[:40], 4)
    with ThreadPoolExecutor(8) as pool:
        searches = [pool.submit(index.search, codes[:40], 7) for _ in range(8)]
        balls = [pool.submit(index.within, codes[:40], 4) for _ in range(8)]
        for search, ball in zip(searches, balls, strict=True):
            assert_same(search.result(), expected[0])
            assert_same(ball.result(), expected[1])


def test_codes_are_cut_by_how_many_there_are():
    assert [default_parts(10**power, 64) for power in (1, 5, 6, 7, 8, 9)] == [16, 6, 5, 4, 3, 3]
    assert default_parts(10**6, 3) == 1
    assert default_parts(0, 1024) == 256


def test_saved_tables_are_found_and_extended(tmp_path):
    rng = np.random.default_rng(1)
    codes = near_codes(rng, 900, 20, 30, 0.1)
    file = tmp_path / "codes.npy"
    code_set = save_code_set(CodeSet.from_arrays(codes[:600], 20), file)
    index, done = update_index(code_set, tables=True)
    assert (done, len(index)) == ("built", 600)
    saved = open_index(CodeSet.open(file))
    assert isinstance(saved, MultiIndex)
    saved.method = "tables"
    assert_same(saved.search(codes[-9:], 20), HammingIndex(codes[:600], 20).search(codes[-9:], 20))

    grown = save_code_set(CodeSet.from_arrays(codes, 20), file, force=True)
    with pytest.raises(CodeSetError, match="is outdated and not used"):
        load_index(grown)
    index, done = update_index(grown)
    assert (done, len(index)) == ("updated", 900)
    assert_same(load_index(grown).tables, build(codes, 20, parts=len(index.tables.cuts) - 1).tables)

    changed = save_code_set(CodeSet.from_arrays(codes[::-1].copy(), 20), file, force=True)
    index, done = update_index(changed)
    assert done == "built" and not isinstance(index, MultiIndex)


@pytest.mark.parametrize("name", ["table-cuts", "table-offsets", "table-codes", "table-ids"])
def test_damaged_tables_are_an_error(tmp_path, name, monkeypatch):
    codes = near_codes(np.random.default_rng(1), 300, 20, 30, 0.1)
    code_set = save_code_set(CodeSet.from_arrays(codes, 20), tmp_path / "codes.npy")
    update_index(code_set, tables=True)
    file = index_path(code_set.path) / f"{name}.npy"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CodeSetError, match="changed or cut off"):
        load_index(code_set)
    for bound in ("VERIFY_BYTES", "COMPARE_BYTES"):
        monkeypatch.setattr(f"bitcodes.hamming.stored.{bound}", 10)  # as if it were large
    if name in ("table-cuts", "table-offsets"):  # whose ends are looked at
        with pytest.raises(CodeSetError, match=f"is damaged: {name}"):
            load_index(code_set)
    else:
        load_index(code_set)
    with pytest.raises(CodeSetError, match="changed or cut off"):
        load_index(code_set, thorough=True)
    file.write_bytes(data[:-1])
    with pytest.raises(CodeSetError, match="changed or cut off"):
        load_index(code_set)
