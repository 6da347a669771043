"""The grouped index gives the answers of an index of the rows, and never those of other codes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import GroupedIndex, HammingIndex, group
from bitcodes.hamming.stored import load_index, open_index, save_index


def some_codes(rng, count, bits, distinct):
    """Codes of which many are the same."""
    pool = pack_bits(rng.random((distinct, bits)) < 0.5)
    return pool[rng.integers(distinct, size=count)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 50, 700]),
    bits=st.sampled_from([1, 5, 48, 64, 65]),
    distinct=st.sampled_from([1, 3, 40, 1000]),
    k=st.sampled_from([1, 2, 10, 100, 800]),
    compiled=st.booleans(),
)
def test_same_answers_as_rows(seed, count, bits, distinct, k, compiled):
    rng = np.random.default_rng(seed)
    codes = some_codes(rng, count, bits, distinct)
    queries = np.concatenate([some_codes(rng, 5, bits, 5), codes[:2]])
    by_row, grouped = HammingIndex(codes, bits), group(codes, bits)
    if compiled and bits != 5:
        grouped.compile()
    assert len(grouped) == count
    assert len(grouped.distinct) == len(np.unique(codes, axis=0))
    for ours, theirs in zip(grouped.search(queries, k), by_row.search(queries, k), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for radius in (0, bits // 3, bits):
        for limit in (None, k):
            found = grouped.within(queries, radius, limit)
            for ours, theirs in zip(found, by_row.within(queries, radius, limit), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(grouped.count(queries), by_row.count(queries))
    labels = rng.integers(3, size=count)
    for ours, theirs in zip(
        grouped.count(queries, labels, np.arange(len(queries)) % 3),
        by_row.count(queries, labels, np.arange(len(queries)) % 3),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def all_pairs(index, radius):
    blocks = [np.empty((3, 0), int), *map(np.stack, index.pairs(radius))]
    found = np.concatenate(blocks, axis=1)
    return found[:, np.lexsort(found[1::-1])]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 50, 300]),
    distinct=st.sampled_from([1, 3, 40]),
    radius=st.sampled_from([0, 2, 12]),
)
def test_same_pairs_as_rows(seed, count, distinct, radius):
    codes = some_codes(np.random.default_rng(seed), count, 12, distinct)
    expected = all_pairs(HammingIndex(codes, 12), radius)
    np.testing.assert_array_equal(all_pairs(group(codes, 12), radius), expected)


def test_pairs_of_large_groups_come_in_blocks(monkeypatch):
    monkeypatch.setattr("bitcodes.hamming.grouped._ROWS", 1000)
    codes = some_codes(np.random.default_rng(0), 400, 12, 2)
    blocks = list(group(codes, 12).pairs(12))
    assert max(len(block.first) for block in blocks) <= 1000
    assert sum(len(block.first) for block in blocks) == 400 * 399 // 2


def test_saved_index_is_found_and_says_when_it_is_stale(tmp_path):
    rng = np.random.default_rng(1)
    codes = some_codes(rng, 300, 20, 30)
    code_set = save_code_set(CodeSet.from_arrays(codes, 20), tmp_path / "codes.npy")
    assert load_index(code_set) is None
    assert type(open_index(code_set)) is HammingIndex
    folder = save_index(group(codes, 20), code_set)
    assert folder == tmp_path / "codes.index"
    save_index(group(codes, 20), code_set)  # replaces it
    assert sorted(path.name for path in tmp_path.iterdir() if "index" in path.name) == [folder.name]
    saved = open_index(CodeSet.open(tmp_path / "codes.npy"))
    assert isinstance(saved, GroupedIndex)
    np.testing.assert_array_equal(
        saved.search(codes[:9], 20)[1], HammingIndex(codes, 20).search(codes[:9], 20)[1]
    )

    other = save_code_set(
        CodeSet.from_arrays(codes[::-1].copy(), 20), tmp_path / "codes.npy", force=True
    )
    with pytest.raises(CodeSetError, match="is outdated and not used"):
        load_index(other)
    notes = []
    assert type(open_index(other, note=notes.append)) is HammingIndex
    assert "bitcodes index" in notes[0]


def test_index_of_a_bare_file(tmp_path):
    codes = some_codes(np.random.default_rng(1), 300, 16, 30)
    np.save(tmp_path / "bare.npy", codes)
    save_index(group(codes, 16), CodeSet.open(tmp_path / "bare.npy"))
    assert load_index(CodeSet.open(tmp_path / "bare.npy")) is not None
    np.save(tmp_path / "bare.npy", codes[::-1])
    with pytest.raises(CodeSetError, match="is outdated and not used"):
        load_index(CodeSet.open(tmp_path / "bare.npy"))


@pytest.mark.parametrize("name", ["index.json", "codes.npy", "starts.npy", "rows.npy"])
def test_damaged_index_is_an_error(tmp_path, name):
    codes = some_codes(np.random.default_rng(1), 300, 20, 30)
    code_set = save_code_set(CodeSet.from_arrays(codes, 20), tmp_path / "codes.npy")
    file = save_index(group(codes, 20), code_set) / name
    data = file.read_bytes()
    for damaged in (data[:-5], data[: len(data) // 2], b"", data[:-9] + b"\x7f" + data[-8:]):
        file.write_bytes(damaged)
        with pytest.raises(CodeSetError, match="bitcodes index"):
            load_index(code_set)
    file.unlink()
    with pytest.raises(CodeSetError, match="bitcodes index"):
        load_index(code_set)


def test_what_is_no_index_is_not_overwritten(tmp_path):
    codes = some_codes(np.random.default_rng(1), 30, 20, 3)
    code_set = save_code_set(CodeSet.from_arrays(codes, 20), tmp_path / "codes.npy")
    (tmp_path / "codes.index").write_text("mine")
    with pytest.raises(CodeSetError, match="is not an index"):
        save_index(group(codes, 20), code_set)
    assert (tmp_path / "codes.index").read_text() == "mine"
    with pytest.raises(CodeSetError, match="save it first"):
        save_index(group(codes, 20), CodeSet.from_arrays(codes, 20))
