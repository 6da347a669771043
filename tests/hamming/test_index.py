"""HammingIndex against a brute force written with Python integers."""

import os
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits, to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import pairing, plain
from bitcodes.hamming.index import HammingIndex, to_ragged
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.scanner import Work


def reference_distances(queries, codes):
    """(Q, N) distances, by counting ones in Python integers."""
    ours = [int.from_bytes(code.tobytes(), "big") for code in queries]
    theirs = [int.from_bytes(code.tobytes(), "big") for code in codes]
    distances = [[(a ^ b).bit_count() for b in theirs] for a in ours]
    return np.array(distances, int).reshape(len(ours), len(theirs))


def ranked(distances, radius=10**9):
    """Rows within the radius, by (distance, row)."""
    return sorted((d, row) for row, d in enumerate(distances.tolist()) if d <= radius)


def make_codes(rng, count, bits, kind):
    if kind == "equal":
        return pack_bits(np.tile(rng.random(bits) < 0.5, (count, 1)))
    if kind == "zero":
        return pack_bits(np.zeros((count, bits), bool))
    if kind == "clustered":
        centers = rng.random((3, bits)) < 0.5
        return pack_bits(centers[rng.integers(3, size=count)] ^ (rng.random((count, bits)) < 0.05))
    return pack_bits(rng.random((count, bits)) < 0.5)


EDGES = [1, 8, 48, 63, 64, 65, 128, 129, 192, 256, 257]
COMPILED_BITS = [
    1,
    48,
    64,
    65,
]  # each length of code is compiled for itself: seconds the first time

cases = st.fixed_dictionaries(
    {
        "bits": st.one_of(st.integers(1, 1024), st.sampled_from(EDGES)),
        "compiled": st.booleans(),
        # The kernels work on blocks of 512 codes.
        "count": st.sampled_from([0, 1, 2, 7, 63, 64, 100, 511, 512, 513, 1024, 1600]),
        # From 10 queries on, the kernels slice.
        "queries": st.sampled_from([0, 1, 3, 4, 9, 10, 13]),
        "kind": st.sampled_from(["uniform", "clustered", "equal", "zero"]),
        "seed": st.integers(0, 2**32 - 1),
        "threads": st.integers(1, 8),
    }
)


def build(case):
    bits = COMPILED_BITS[case["bits"] % len(COMPILED_BITS)] if case["compiled"] else case["bits"]
    rng = np.random.default_rng(case["seed"])
    codes = make_codes(rng, case["count"], bits, case["kind"])
    queries = make_codes(rng, case["queries"], bits, "uniform")
    if len(codes) and len(queries):
        queries[0] = codes[-1]  # a member among the queries
    index = HammingIndex(codes, bits, threads=case["threads"])
    if case["compiled"]:
        index.compile()
    return index, codes, queries


@settings(max_examples=60, deadline=None)
@given(case=cases, k=st.sampled_from([1, 2, 10, 100, 300]))
def test_search_equals_brute_force(case, k):
    index, codes, queries = build(case)
    truth = reference_distances(queries, codes)
    distances, rows = index.search(queries, k)
    assert distances.dtype == np.int32 and rows.dtype == np.int64
    assert distances.shape == rows.shape == (len(queries), k)
    for query in range(len(queries)):
        expected = ranked(truth[query])[:k]
        expected += [(-1, -1)] * (k - len(expected))
        found = zip(distances[query].tolist(), rows[query].tolist(), strict=True)
        assert list(found) == expected


@settings(max_examples=60, deadline=None)
@given(
    case=cases,
    share=st.floats(0, 1.1),
    limit=st.one_of(st.none(), st.sampled_from([1, 3, 50, 1000])),
)
def test_within_equals_brute_force(case, share, limit):
    index, codes, queries = build(case)
    truth = reference_distances(queries, codes)
    radius = int(share * index.bits)
    result = index.within(queries, radius, limit)
    assert result.distances.dtype == np.int32 and result.rows.dtype == np.int64
    assert result.offsets.shape == (len(queries) + 1,) and result.offsets[0] == 0
    for query in range(len(queries)):
        here = slice(*result.offsets[query : query + 2])
        everything = ranked(truth[query], radius)
        found = zip(result.distances[here].tolist(), result.rows[here].tolist(), strict=True)
        assert list(found) == everything[:limit]
        assert result.more[query] == (limit is not None and len(everything) > limit)
    assert result.cut == bool(result.more.any())


@settings(max_examples=40, deadline=None)
@given(case=cases, share=st.floats(0, 1.1))
def test_pairs_equal_brute_force(case, share):
    index, codes, _ = build(case)
    radius = int(share * index.bits)
    truth = reference_distances(codes, codes)
    first, second = np.nonzero(np.triu(truth <= radius, 1))
    expected = np.stack([first, second, truth[first, second]])
    found = np.concatenate([np.empty((3, 0), int), *map(np.stack, index.pairs(radius))], axis=1)
    np.testing.assert_array_equal(found[:, np.lexsort(found[1::-1])], expected)


@settings(max_examples=60, deadline=None)
@given(case=cases, classes=st.sampled_from([1, 2, 10, 65, 130]), multi=st.booleans())
def test_count_equals_brute_force(case, classes, multi):
    index, codes, queries = build(case)
    truth = reference_distances(queries, codes)
    rng = np.random.default_rng(case["seed"] + 1)
    if multi:
        labels = (rng.random((len(codes), classes)) < 1.5 / classes).astype(np.uint8)
        query_labels = (rng.random((len(queries), classes)) < 1.5 / classes).astype(np.uint8)
        related = (query_labels[:, None] & labels).any(axis=2)
    else:
        labels = rng.integers(classes, size=len(codes)).astype(np.int32)
        query_labels = rng.integers(classes, size=len(queries)).astype(np.int32)
        related = query_labels[:, None] == labels
    total, relevant = index.count(queries, labels, query_labels)
    assert total.dtype == relevant.dtype == np.int64
    assert total.shape == relevant.shape == (len(queries), index.bits + 1)
    np.testing.assert_array_equal(index.count(queries), total)
    for query in range(len(queries)):
        for distance in range(index.bits + 1):
            there = truth[query] == distance
            assert total[query, distance] == there.sum()
            assert relevant[query, distance] == (there & related[query]).sum()


def test_worked_case():
    # Distances from 0b1100 are 0, 1, 1, 4: the tie keeps the order of the rows.
    bits = np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1]])
    index = HammingIndex(pack_bits(bits), 4)
    query = pack_bits(bits[:1])
    distances, rows = index.search(query, 5)
    assert rows.tolist() == [[0, 1, 2, 3, -1]]
    assert distances.tolist() == [[0, 1, 1, 4, -1]]
    assert index.within(query, 1).rows.tolist() == [0, 1, 2]
    assert index.count(query).tolist() == [[1, 2, 0, 0, 1]]
    ragged = to_ragged(distances, rows)
    assert ragged.offsets.tolist() == [0, 4] and ragged.rows.tolist() == [0, 1, 2, 3]
    assert not ragged.cut


@pytest.mark.parametrize("kind", ["uniform", "clustered", "equal"])
def test_compiled_equals_plain_on_more_codes(kind):
    # Long enough for every cut-back of the candidates, and for all threads to have chunks.
    rng = np.random.default_rng(3)
    codes = make_codes(rng, 60_000, 48, kind)
    queries = make_codes(rng, 40, 48, kind)
    labels = rng.integers(5, size=len(codes))
    plainly = HammingIndex(codes, 48)
    for threads in range(1, 9):
        index = HammingIndex(codes, 48, threads=threads)
        index.compile()
        for k in (1, 100, 5000):
            for some in (queries[:1], queries):
                lanes = to_lanes(some, 48)
                expected = plain.nearest(lanes, plainly.scanner.lanes, k, 48, Measure(48))
                distances, rows = index.search(some, k)
                np.testing.assert_array_equal(rows, expected & (2**plain.ROW_BITS - 1))
                np.testing.assert_array_equal(distances, expected >> plain.ROW_BITS)
        found, expected = index.within(queries, 8), plainly.within(queries, 8)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(
            index.count(queries, labels, labels[:40]),
            plainly.count(queries, labels, labels[:40]),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_longest_codes():
    rng = np.random.default_rng(4)
    codes = make_codes(rng, 700, 1024, "uniform")
    index = HammingIndex(codes, 1024)
    index.compile()
    truth = reference_distances(codes[:7], codes)
    distances, rows = index.search(codes[:7], 3)
    for query in range(7):
        expected = ranked(truth[query])[:3]
        assert list(zip(distances[query], rows[query], strict=True)) == expected


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([2, 3, 50, 400]),
    bits=st.sampled_from([1, 7, 48, 64, 65, 200]),
    flips=st.floats(0, 0.1),
    radius=st.integers(0, 5),
    slack=st.sampled_from([0, 1]),
)
def test_pairs_from_near_parts_equal_brute_force(seed, count, bits, flips, radius, slack):
    rng = np.random.default_rng(seed)
    centers = rng.random((9, bits)) < 0.5
    codes = pack_bits(centers[rng.integers(9, size=count)] ^ (rng.random((count, bits)) < flips))
    lanes = to_lanes(codes, bits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "COMPARISON_COST", 1e-3)  # never too much
        patch.setattr(pairing, "_COMPARISONS", 100)
        fits = -(-bits // (radius // 2 + 1)) <= 64
        found = pairing.sort_by_parts(lanes, bits, radius, slack if fits else 0)
        if radius >= bits:
            assert found is None
            return
        masks, parts = found
        assert np.bitwise_or.reduce(masks, axis=0).tolist() == np.bitwise_xor.reduce(masks).tolist()
        pairs = [np.empty((3, 0), int)]
        for part, ordered in enumerate(parts):
            blocks = pairing.near_pairs(lanes, masks, part, ordered, radius, 2)
            pairs += map(np.stack, blocks)
    pairs = np.concatenate(pairs, axis=1)
    truth = reference_distances(codes, codes)
    first, second = np.nonzero(np.triu(truth <= radius, 1))
    expected = np.stack([first, second, truth[first, second]])
    np.testing.assert_array_equal(pairs[:, np.lexsort(pairs[1::-1])], expected)


def test_pairs_choose_parts_where_these_save_work():
    codes = np.random.default_rng(7).integers(256, size=(20_000, 8), dtype=np.uint8)
    codes[1::2] = codes[::2]
    codes[1::2, 3] ^= 1 << np.arange(10_000, dtype=np.uint8) % 8
    lanes = to_lanes(codes, 64)
    assert pairing.sort_by_parts(lanes, 64, 1) is not None
    assert pairing.sort_by_parts(lanes, 64, 30) is None
    told = []
    index = HammingIndex(codes)
    found = list(index.pairs(1, lambda done, total: told.append((done, total))))
    assert told == [(0, 2), (1, 2)]
    first, second, distances = np.concatenate(list(map(np.stack, found)), axis=1)
    order = np.argsort(first)
    np.testing.assert_array_equal(first[order], np.arange(0, 20_000, 2))
    np.testing.assert_array_equal(second, first + 1)
    assert (distances == 1).all()


def test_pairs_are_streamed_in_an_order_that_threads_do_not_change():
    rng = np.random.default_rng(6)
    codes = make_codes(rng, 3000, 64, "clustered")
    blocks = {}
    for threads in (1, 2, 7):
        index = HammingIndex(codes, 64, threads=threads)
        index.compile()
        blocks[threads] = np.concatenate(list(map(np.stack, index.pairs(9))), axis=1)
    assert blocks[1].shape[1] > 10_000
    np.testing.assert_array_equal(blocks[2], blocks[1])
    np.testing.assert_array_equal(blocks[7], blocks[1])


def test_threads_searching_one_index_at_once_agree():
    rng = np.random.default_rng(5)
    index = HammingIndex(make_codes(rng, 5000, 64, "clustered"), 64)
    index.compile()
    queries = make_codes(rng, 20, 64, "clustered")
    expected = index.search(queries, 30)
    answers = [None] * 8

    def work(place):
        answers[place] = index.search(queries, 30)

    workers = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for answer in answers:
        np.testing.assert_array_equal(answer[0], expected[0])
        np.testing.assert_array_equal(answer[1], expected[1])


def run_in_threads(work, count):
    """Run `work` in threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(before)


def test_threads_count_every_distance_and_switch_to_the_kernels_together(monkeypatch):
    monkeypatch.setattr("bitcodes.hamming.scanner.PLAIN_LIMIT", 32 * 3000)
    rng = np.random.default_rng(5)
    codes, queries = make_codes(rng, 3000, 64, "clustered"), make_codes(rng, 16, 64, "clustered")
    expected = HammingIndex(codes).search(queries, 30)
    index = HammingIndex(codes)
    together, wrong = threading.Barrier(8), []

    def work():
        together.wait()
        for query in range(16):
            answer = index.search(queries[query : query + 1], 30)
            for ours, theirs in zip(answer, expected, strict=True):
                if not np.array_equal(ours[0], theirs[query]):
                    wrong.append(query)

    run_in_threads(work, 8)
    assert wrong == []
    assert index.scanner.work.distances == 8 * 16 * 3000
    assert not index.scanner.is_small(0)


def test_a_lock_keeps_the_count_exact():
    work = Work()

    def count():
        for _ in range(20_000):
            work.add(1)

    run_in_threads(count, 4)
    assert work.distances == 80_000


def test_an_index_has_a_short_repr():
    assert repr(HammingIndex(np.zeros((3, 2), np.uint8))) == "<HammingIndex: 3 codes of 16 bits>"


def test_wrong_arguments_are_refused():
    codes = np.zeros((3, 2), np.uint8)
    index = HammingIndex(codes)
    assert index.bits == 16 and len(index) == 3
    with pytest.raises(CodeSetError):
        index.search(np.zeros((1, 3), np.uint8), 1)
    with pytest.raises(CodeSetError):
        HammingIndex(codes.astype(np.int64), 16)
    with pytest.raises(CodeSetError):
        HammingIndex(codes + 1, 15)  # a padding bit is set
    with pytest.raises(CodeSetError):
        HammingIndex(np.zeros((3, 129), np.uint8))
    with pytest.raises(CodeSetError):
        index.count(codes, np.zeros(2, np.int32), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="go together"):
        index.count(codes, labels=np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="k=0"):
        index.search(codes, 0)
    with pytest.raises(ValueError, match="radius=-1"):
        index.within(codes, -1)


@pytest.mark.parametrize("count", [10_000, (1 << 21) + 700])
def test_answers_do_not_depend_on_the_number_of_threads(count):
    rng = np.random.default_rng(8)
    codes = make_codes(rng, count, 48, "clustered")
    queries = make_codes(rng, 300 if count == 10_000 else 40, 48, "clustered")
    expected = plain.nearest(to_lanes(queries, 48), to_lanes(codes, 48), 30, 48, Measure(48))
    for threads in (1, 2, 3, 8):
        index = HammingIndex(codes, 48, threads=threads)
        index.compile()
        distances, rows = index.search(queries, 30)
        np.testing.assert_array_equal(distances, expected >> plain.ROW_BITS)
        np.testing.assert_array_equal(rows, expected & (1 << plain.ROW_BITS) - 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.posix
def test_an_index_can_be_searched_after_a_fork():
    codes = np.random.default_rng(9).integers(256, size=(50_000, 8), dtype=np.uint8)
    index = HammingIndex(codes, threads=2)
    index.compile()
    expected = index.search(codes[:100], 3)
    child = os.fork()
    if child == 0:
        same = np.array_equal(index.search(codes[:100], 3), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("bits", [1, 2, 48, 129])
@pytest.mark.parametrize("count", [511, 512, 9000])
def test_compiled_counts_equal_plain_ones(bits, count):
    rng = np.random.default_rng(bits)
    codes, queries = make_codes(rng, count, bits, "clustered"), make_codes(rng, 9, bits, "uniform")
    queries[:4] = codes[:4]
    labels, query_labels = rng.integers(5, size=count), np.arange(9) % 6
    lanes, query_lanes = to_lanes(codes, bits), to_lanes(queries, bits)
    index = HammingIndex(codes, bits, threads=2)
    index.compile()
    total, _ = plain.histograms(query_lanes, lanes, Measure(bits))
    np.testing.assert_array_equal(index.count(queries), total)
    expected = plain.histograms(query_lanes, lanes, Measure(bits), query_labels, labels)
    for found, right in zip(index.count(queries, labels, query_labels), expected, strict=True):
        np.testing.assert_array_equal(found, right)
