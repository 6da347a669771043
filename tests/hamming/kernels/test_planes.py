"""The vector code of the sliced scan, against NumPy."""

import numpy as np
import pytest
from numba import njit

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming.compiled import _aligned_zeros, _sliced_arguments
from bitcodes.hamming.kernels.planes import BLOCK, WORDS, find_near
from bitcodes.hamming.kernels.sliced import slice_block
from bitcodes.hamming.measure import Measure


@njit
def call_find_near(tables, patterns, query, bound, near, parts, columns):
    return find_near(tables, patterns, query, bound, near, parts, columns)


def of_code(planes):
    """The bit of each code of a block in planes (..., WORDS): bit r of word l is code 8 r + l."""
    code = np.arange(BLOCK)
    bits = planes[..., code % WORDS] >> (code // WORDS).astype(np.uint64)
    return (bits & np.uint64(1)).astype(bool)


@pytest.mark.parametrize("bits", [1, 48, 64, 65])
def test_a_block_on_its_side(bits):
    rng = np.random.default_rng(bits)
    words = -(-bits // 64)
    lanes = rng.integers(2**64, size=(words, BLOCK + 100), dtype=np.uint64)
    planes = _aligned_zeros(64 * words + 1, WORDS)
    tables = _aligned_zeros(1, 10, WORDS)
    slice_block(lanes, 37, planes, np.array([3, 0, 64 * words]), tables, 0)
    block = lanes[:, 37 : 37 + BLOCK]
    for place in range(64 * words):
        expected = (block[place // 64] >> np.uint64(place % 64)) & np.uint64(1)
        np.testing.assert_array_equal(of_code(planes[place]), expected.astype(bool))
    # A table row holds the distances of bits 3, 0 and of a zero from a pattern.
    wanted = [of_code(planes[place]) for place in (3, 0, 64 * words)]
    for pattern in range(8):
        distance = sum(bit != bool(pattern >> place & 1) for place, bit in enumerate(wanted))
        odd = pattern.bit_count() % 2
        total, carry = of_code(tables[0, odd]), of_code(tables[0, 2 + (pattern & 6 | odd)])
        np.testing.assert_array_equal(total + 2 * carry, distance)


@pytest.mark.parametrize(
    "measure",
    [
        *(Measure(bits) for bits in (1, 2, 3, 4, 5, 48, 64, 65)),
        *(Measure(7, 6, 4), Measure(12, 4, 8), Measure(70, 65, 2), Measure(112, 64, 128)),
    ],
)
def test_near_codes_are_those_below_the_bound(measure):
    rng = np.random.default_rng(measure.bits)
    ones, others = (rng.random((count, measure.bits)) < 0.5 for count in (BLOCK, 9))
    lanes, queries = measure.lanes(pack_bits(ones)), measure.lanes(pack_bits(others))
    weights = np.ones(measure.bits, int)
    weights[: measure.bits - measure.instance_bits] = measure.weight
    distances = (ones != others[:, None]) @ weights
    places, patterns, planes, tables, parts, columns = _sliced_arguments(queries, measure)
    slice_block(lanes, 0, planes, places, tables, 0)
    near = np.zeros(WORDS, np.uint64)
    for bound in {1, 2, measure.largest // 2 + 1, 2 ** len(columns)}:
        for query in range(9):
            any_near = call_find_near(tables, patterns, query, bound, near, parts, columns)
            np.testing.assert_array_equal(of_code(near), distances[query] < bound)
            assert any_near == (distances[query] < bound).any()
