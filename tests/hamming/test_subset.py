"""Farthest-first subsets against a slow reference, and what they promise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming import subset as module
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.subset import farthest_first


def distance(one, other, class_bits, weight):
    """Of two unpacked codes, bit by bit."""
    differ = [int(a != b) for a, b in zip(one, other, strict=True)]
    return weight * sum(differ[:class_bits]) + sum(differ[class_bits:])


def reference(rows, count, class_bits, weight):
    """Rows, distances and radius, each from all distances of the rows chosen so far."""
    majority = [2 * sum(column) > len(rows) for column in zip(*rows, strict=True)]
    others = [*range(len(rows))]
    first = min(others, key=lambda row: distance(rows[row], majority, class_bits, weight))
    chosen, distances = [first], [-1]

    def apart(row):
        return min(distance(rows[row], rows[one], class_bits, weight) for one in chosen)

    others.remove(first)
    while others and len(chosen) < count:
        farthest = max(others, key=apart)  # the first of several
        distances.append(apart(farthest))
        chosen.append(farthest)
        others.remove(farthest)
    return chosen, distances, max(map(apart, range(len(rows))))


@pytest.mark.parametrize("limit", [module.PLAIN_LIMIT, 0], ids=["plain", "compiled"])
def test_each_is_the_farthest_from_all_before(limit, monkeypatch):
    monkeypatch.setattr(module, "PLAIN_LIMIT", limit)

    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        rows=st.sampled_from([1, 2, 9, 30]),
        size=st.sampled_from([(5, 0, 1), (64, 0, 1), (70, 0, 1), (9, 6, 4), (130, 64, 2)]),
        count=st.integers(1, 12),
        flips=st.floats(0, 0.4),
    )
    def check(seed, rows, size, count, flips):
        bits, instance_bits, weight = size
        rng = np.random.default_rng(seed)
        centers = rng.random((3, bits)) < 0.5
        drawn = centers[rng.integers(3, size=rows)] ^ (rng.random((rows, bits)) < flips)
        measure = Measure(bits, instance_bits, weight)
        result = farthest_first(pack_bits(drawn), count, measure)
        expected = reference(drawn.tolist(), count, bits - instance_bits, weight)
        assert (result.rows.tolist(), result.distances.tolist(), result.radius) == expected

    check()


def test_the_rows_of_several_blocks_are_compared(monkeypatch):
    codes = np.random.default_rng(1).integers(0, 256, (1500, 2), np.uint8)
    plain = farthest_first(codes, 40, Measure(16))
    monkeypatch.setattr(module, "PLAIN_LIMIT", 0)
    compiled = farthest_first(codes, 40, Measure(16))
    np.testing.assert_array_equal(compiled.rows, plain.rows)
    np.testing.assert_array_equal(compiled.distances, plain.distances)
    assert compiled.radius == plain.radius and plain.rows.max() >= 512


def test_by_hand():
    bits = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]], bool)
    # The majority is 0001: row 2. Farthest from it: row 1 (3); then rows 0, 3 and 4 (1 each).
    result = farthest_first(pack_bits(bits), 9, Measure(4))
    assert result.rows.tolist() == [2, 1, 0, 4, 3]
    assert result.distances.tolist() == [-1, 3, 1, 1, 0]
    assert (result.radius, farthest_first(pack_bits(bits), 2, Measure(4)).radius) == (0, 1)


def test_the_radius_is_at_most_twice_the_best():
    bits = np.random.default_rng(2).random((12, 10)) < 0.5
    apart = (bits[:, None] != bits).sum(axis=2)
    for count in (1, 2, 3):
        best = min(
            apart[:, list(some)].min(axis=1).max()
            for some in itertools.combinations(range(12), count)
        )
        assert farthest_first(pack_bits(bits), count, Measure(10)).radius <= 2 * best


def test_progress_and_an_empty_set():
    seen = []
    codes = np.zeros((5, 1), np.uint8)
    farthest_first(codes, 3, Measure(8), lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3)]
    assert farthest_first(codes[:0], 3, Measure(8)).rows.tolist() == []
