"""Weighted distances of two-part codes, against NumPy on unpacked bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming.grouped import group_rows
from bitcodes.hamming.index import GroupedIndex, HammingIndex, Index
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.stored import open_index, update_index

Bits = NDArray[np.bool_]


def reference(queries: Bits, bits: Bits, class_bits: int, weight: int) -> NDArray[np.int64]:
    """(Q, N) weighted distances of unpacked codes (Q, K) and (N, K)."""
    differ = queries[:, None] != bits
    return weight * differ[..., :class_bits].sum(axis=2) + differ[..., class_bits:].sum(axis=2)


def draw_bits(rng: np.random.Generator, count: int, size: int) -> Bits:
    """Codes of few classes, of which many are equal, and some at equal distances."""
    centers = rng.random((3, size)) < 0.5
    drawn: Bits = centers[rng.integers(3, size=count)] ^ (rng.random((count, size)) < 0.04)
    return drawn


def check(index: Index, queries: Bits, expected: NDArray[np.int64], k: int, radius: int) -> None:
    """Compare all kinds of search with the distances (Q, N)."""
    packed = pack_bits(queries)
    distances, rows = index.search(packed, k)
    within, some = index.within(packed, radius), index.within(packed, radius, limit=2)
    histograms = index.count(packed)
    assert histograms.shape == (len(queries), index.measure.largest + 1)
    for query, row in enumerate(expected):
        order = np.argsort(row, kind="stable")
        np.testing.assert_array_equal(rows[query, : len(row)], order[:k])
        np.testing.assert_array_equal(distances[query, : len(row)], row[order][:k])
        near = order[row[order] <= radius]
        here = slice(*within.offsets[query : query + 2])
        np.testing.assert_array_equal(within.rows[here], near)
        np.testing.assert_array_equal(within.distances[here], row[near])
        here = slice(*some.offsets[query : query + 2])
        np.testing.assert_array_equal(some.rows[here], near[:2])
        assert some.more[query] == (len(near) > 2)
        counts = np.bincount(row, minlength=histograms.shape[1])
        np.testing.assert_array_equal(histograms[query], counts)


@settings(max_examples=60, deadline=None)
@given(
    class_bits=st.integers(1, 140),
    instance_bits=st.integers(1, 140),
    log_weight=st.integers(0, 9),
    count=st.sampled_from([1, 2, 40, 200]),
    seed=st.integers(0, 2**32 - 1),
    k=st.sampled_from([1, 3, 50]),
    share=st.floats(0, 1),
    grouped=st.booleans(),
)
def test_searches_equal_the_reference(
    class_bits: int,
    instance_bits: int,
    log_weight: int,
    count: int,
    seed: int,
    k: int,
    share: float,
    grouped: bool,
) -> None:
    rng = np.random.default_rng(seed)
    size, weight = class_bits + instance_bits, 1 << log_weight
    bits, queries = draw_bits(rng, count, size), draw_bits(rng, 3, size)
    measure = Measure(size, instance_bits, weight)
    packed = pack_bits(bits)
    assert len(measure.lanes(packed)) == measure.lane_count == -(-size // 64)  # as plain codes
    index: Index = HammingIndex(packed, size, measure=measure)
    if grouped:
        index = GroupedIndex(group_rows(packed, size), size, measure=measure)
    expected = reference(queries, bits, class_bits, weight)
    check(index, queries, expected, k, int(share * expected.max()))
    for query, row in zip(pack_bits(queries), expected, strict=True):
        np.testing.assert_array_equal(measure.between(packed, query[None]), row)


# Each shape is compiled for itself, which takes seconds: a word each, a part of a word in common,
# several words, and the two orders of the usual shape.
COMPILED = [(48, 64, 4), (48, 64, 128), (5, 3, 8), (70, 66, 2)]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(COMPILED),
    count=st.sampled_from([1, 63, 512, 513, 1600]),
    queries=st.sampled_from([1, 9, 10, 13]),  # from 10 on, the kernels slice
    seed=st.integers(0, 2**32 - 1),
    k=st.sampled_from([1, 10, 300]),
    share=st.floats(0, 1),
    threads=st.integers(1, 3),
)
def test_compiled_searches_equal_the_reference(
    shape: tuple[int, int, int],
    count: int,
    queries: int,
    seed: int,
    k: int,
    share: float,
    threads: int,
) -> None:
    class_bits, instance_bits, weight = shape
    rng = np.random.default_rng(seed)
    size = class_bits + instance_bits
    bits, ours = draw_bits(rng, count, size), draw_bits(rng, queries, size)
    measure = Measure(size, instance_bits, weight)
    index = HammingIndex(pack_bits(bits), size, threads, measure)
    index.compile()
    expected = reference(ours, bits, class_bits, weight)
    check(index, ours, expected, k, int(share * expected.max()))
    labels, query_labels = rng.integers(4, size=count), rng.integers(4, size=queries)
    total, relevant = index.count(pack_bits(ours), labels, query_labels)
    several = np.eye(4, dtype=np.uint8)
    shared = index.count(pack_bits(ours), several[labels], several[query_labels])
    for query, row in enumerate(expected):
        same = row[labels == query_labels[query]]
        right = np.bincount(same, minlength=total.shape[1])
        np.testing.assert_array_equal(relevant[query], right)
        np.testing.assert_array_equal(shared[1][query], right)
        np.testing.assert_array_equal(total[query], np.bincount(row, minlength=total.shape[1]))


def test_by_hand() -> None:
    parts = Parts(class_bits=2, instance_bits=3, class_weight=2)
    bits = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]], np.bool_)
    query = pack_bits(np.zeros((1, 5), np.bool_))
    summed = HammingIndex(pack_bits(bits), 5, measure=Measure.summed(parts))
    distances, rows = summed.search(query, 4)
    assert (rows.tolist(), distances.tolist()) == ([[2, 3, 1, 0]], [[1, 2, 3, 4]])
    class_first = HammingIndex(pack_bits(bits), 5, measure=Measure.class_first(parts))
    distances, rows = class_first.search(query, 4)
    assert (rows.tolist(), distances.tolist()) == ([[2, 1, 3, 0]], [[1, 3, 4, 8]])
    assert summed.count(query).tolist() == [[0, 1, 1, 1, 1, 0, 0, 0]]


@pytest.mark.parametrize("instance_bits", [1, 3, 4, 63, 64, 100])
def test_class_bits_come_first_whatever_the_instance_bits_are(instance_bits: int) -> None:
    parts = Parts(class_bits=5, instance_bits=instance_bits, class_weight=1)
    measure = Measure.class_first(parts)
    assert measure.weight // 2 <= instance_bits < measure.weight
    assert measure.largest == 5 * measure.weight + instance_bits


def test_a_weight_of_one_is_the_hamming_distance() -> None:
    assert Measure(12, 4, 1) == Measure(12, 0, 8) == Measure(12)
    assert Measure(12).is_plain and Measure(12).largest == 12


@pytest.mark.parametrize(
    "values",
    [(12, 12, 2), (12, -1, 2), (12, 4, 3), (12, 4, 0), (12, 4, -4), (12, 4, 2048)],
)
def test_measures_that_make_no_sense(values: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Measure(*values)
    with pytest.raises(CodeSetError, match="a measure of 12 bits for codes of 16"):
        HammingIndex(np.zeros((2, 2), np.uint8), measure=Measure(12))


def test_a_saved_index_finds_what_a_scan_does(tmp_path: Any) -> None:
    rng = np.random.default_rng(1)
    bits, queries = draw_bits(rng, 300, 20), draw_bits(rng, 4, 20)
    parts = Parts(class_bits=6, instance_bits=14, class_weight=4)
    code_set = CodeSet.from_arrays(pack_bits(bits), 20, parts=parts)
    stored = save_code_set(code_set, tmp_path / "codes.npy")
    for tables in (False, True):
        update_index(stored, tables, afresh=True)
        for measure in (Measure.summed(parts), Measure.class_first(parts)):
            index = open_index(stored, measure=measure)
            assert type(index) is GroupedIndex
            expected = reference(queries, bits, 6, measure.weight)
            check(index, queries, expected, 20, int(expected.max()) // 3)


@pytest.mark.parametrize("radius", [0, 2, 9])
def test_pairs_have_weighted_distances(radius: int) -> None:
    bits = draw_bits(np.random.default_rng(2), 60, 20)
    index = HammingIndex(pack_bits(bits), 20, measure=Measure(20, 14, 4))
    found = {
        pair
        for block in index.pairs(radius)
        for pair in zip(*(array.tolist() for array in block), strict=True)
    }
    expected = reference(bits, bits, 6, 4)
    first, second = np.nonzero(np.triu(expected <= radius, 1))
    right = zip(first.tolist(), second.tolist(), expected[first, second].tolist(), strict=True)
    assert found == set(right)
