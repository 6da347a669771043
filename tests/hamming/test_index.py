"""HammingIndex against a brute force written with Python integers."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex, to_ragged


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


cases = st.fixed_dictionaries(
    {
        "bits": st.one_of(
            st.integers(1, 1024), st.sampled_from([1, 8, 48, 63, 64, 65, 128, 129, 192, 256, 257])
        ),
        "count": st.sampled_from([0, 1, 2, 7, 63, 64, 65, 100, 257]),
        "queries": st.integers(0, 5),
        "kind": st.sampled_from(["uniform", "clustered", "equal", "zero"]),
        "seed": st.integers(0, 2**32 - 1),
        "threads": st.integers(1, 8),
    }
)


def build(case):
    rng = np.random.default_rng(case["seed"])
    codes = make_codes(rng, case["count"], case["bits"], case["kind"])
    queries = make_codes(rng, case["queries"], case["bits"], "uniform")
    if len(codes) and len(queries):
        queries[0] = codes[-1]  # a member among the queries
    index = HammingIndex(codes, case["bits"], threads=case["threads"])
    return index, queries, reference_distances(queries, codes)


@settings(max_examples=60, deadline=None)
@given(case=cases, k=st.sampled_from([1, 2, 10, 100, 300]))
def test_search_equals_brute_force(case, k):
    index, queries, truth = build(case)
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
    index, queries, truth = build(case)
    radius = int(share * case["bits"])
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
    index, _, _ = build(case)
    rng = np.random.default_rng(case["seed"])
    codes = make_codes(rng, case["count"], case["bits"], case["kind"])
    radius = int(share * case["bits"])
    truth = reference_distances(codes, codes)
    expected = {
        (i, j, int(truth[i, j]))
        for i in range(len(codes))
        for j in range(i + 1, len(codes))
        if truth[i, j] <= radius
    }
    found = [
        triple
        for block in index.pairs(radius)
        for triple in zip(*(array.tolist() for array in block), strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected


@settings(max_examples=60, deadline=None)
@given(case=cases, classes=st.sampled_from([1, 2, 10, 65, 130]), multi=st.booleans())
def test_count_equals_brute_force(case, classes, multi):
    index, queries, truth = build(case)
    rng = np.random.default_rng(case["seed"] + 1)
    if multi:
        labels = (rng.random((case["count"], classes)) < 1.5 / classes).astype(np.uint8)
        query_labels = (rng.random((len(queries), classes)) < 1.5 / classes).astype(np.uint8)
        related = np.array([[(a & b).any() for b in labels] for a in query_labels], bool)
    else:
        labels = rng.integers(classes, size=case["count"]).astype(np.int32)
        query_labels = rng.integers(classes, size=len(queries)).astype(np.int32)
        related = np.array([[a == b for b in labels] for a in query_labels], bool)
    related = related.reshape(truth.shape)
    total, relevant = index.count(queries, labels, query_labels)
    assert total.dtype == relevant.dtype == np.int64
    assert total.shape == relevant.shape == (len(queries), case["bits"] + 1)
    np.testing.assert_array_equal(index.count(queries), total)
    for query in range(len(queries)):
        for distance in range(case["bits"] + 1):
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


def test_threads_searching_one_index_at_once_agree():
    rng = np.random.default_rng(5)
    index = HammingIndex(make_codes(rng, 5000, 64, "clustered"), 64)
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
