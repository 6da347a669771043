"""Multi-index search for engines that find codes by the values of their parts, as numbers.

A code is cut into parts. The codes whose part is r bits from a query's have one of the values of
its r-th *ring*. Parts that have been looked up to ring `reach[t]` (-1: not at all) leave out only
codes that differ in more than `reach[t]` bits of every part t, so that are farther away than
sum(weight[t] * (reach[t] + 1)) - 1, the *proven* distance. Any rings are exact.

Norouzi, Punjani and Fleet, CVPR 2012, https://doi.org/10.1109/CVPR.2012.6248043; for tables in
memory, see kernels/probing.py.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import unpack_bits
from bitcodes.hamming.measure import Measure

_PART_BITS = (12, 26)
"""Least and most bits of a part: shorter ones tell too little apart."""

_CODES_PER_VALUE = 16
"""About how many codes a value of a part should have."""


class Part(NamedTuple):
    """Bits `first` to `last` of a code, without the last."""

    first: int
    last: int

    @property
    def width(self) -> int:
        """How many bits it has."""
        return self.last - self.first


class Ring(NamedTuple):
    """A part, and the values of it to look up: those of its first rings."""

    part: Part
    values: NDArray[np.int64]
    """(V,)"""


def cut(bits: Sequence[int], count: int) -> tuple[Part, ...]:
    """Cut codes, which have some class bits and instance bits or only `bits[0]` bits, into parts.

    `count` codes have some _CODES_PER_VALUE codes for each value of a part, if they are uniform.
    """
    least, most = _PART_BITS
    width = min(max(round(math.log2(max(count, 1) / _CODES_PER_VALUE)), least), most)
    parts, start = [], 0
    for length in bits:
        pieces = max(1, round(length / width), -(-length // most))
        edges = [start + length * piece // pieces for piece in range(pieces + 1)]
        parts += [Part(*ends) for ends in pairwise(edges)]
        start += length
    return tuple(parts)


def rings(
    code: NDArray[np.uint8],
    parts: tuple[Part, ...],
    measure: Measure,
    radius: int,
    before: int = -1,
) -> list[Ring]:
    """What to look up so that every code within `radius` of a query, `code` (B,), is found.

    What finds those within the radius `before` has been looked up already, and is left out.
    """
    bits = unpack_bits(code[None], measure.bits)[0].astype(np.int64)  # (K,)
    found = []
    reach_before = reaches(parts, measure, before)
    for part, reach, known in zip(
        parts, reaches(parts, measure, radius), reach_before, strict=True
    ):
        if reach > known:
            value = bits[part.first : part.last] @ (1 << np.arange(part.width)[::-1])
            found.append(Ring(part, value ^ _masks(part.width, reach)[_ring_size(part, known) :]))
    return found


@lru_cache(1 << 10)
def reaches(parts: tuple[Part, ...], measure: Measure, radius: int) -> tuple[int, ...]:
    """How many bits of each part may differ in what is looked up: the fewest values for a radius.

    -1 for a part that is not looked up at all.
    """
    reach, proven = [-1] * len(parts), -1
    weights = [_weight(part, measure) for part in parts]
    while proven < min(radius, measure.largest):
        costs = [
            math.comb(part.width, steps + 1) / weight
            for part, steps, weight in zip(parts, reach, weights, strict=True)
        ]
        cheapest = costs.index(min(costs))
        reach[cheapest] += 1
        if reach[cheapest] == parts[cheapest].width:
            break  # every value of a part: nothing is left out
        proven += weights[cheapest]
    return tuple(reach)


def first_radius(parts: tuple[Part, ...], measure: Measure) -> int:
    """The radius that is proven by looking up one value of each part."""
    return sum(_weight(part, measure) for part in parts) - 1


@lru_cache(1 << 10)
def lookups(parts: tuple[Part, ...], measure: Measure, radius: int, count: int) -> tuple[int, int]:
    """How many values `rings` looks up, and how many of `count` uniform codes have them."""
    values, codes = 0, 0.0
    for part, reach in zip(parts, reaches(parts, measure, radius), strict=True):
        size = _ring_size(part, reach)
        values += size
        codes += size * count / (1 << part.width)
    return values, round(codes)


def _ring_size(part: Part, reach: int) -> int:
    """How many values of a part differ from one in up to `reach` bits."""
    return sum(math.comb(part.width, ones) for ones in range(reach + 1))


def _weight(part: Part, measure: Measure) -> int:
    """The least weight of a bit of a part, which is that of the last one."""
    return 1 if part.last > measure.bits - measure.instance_bits else measure.weight


@cache
def _masks(width: int, reach: int) -> NDArray[np.int64]:
    """All numbers of `width` bits with up to `reach` ones, those with fewer ones first."""
    masks = [
        sum(1 << place for place in places)
        for ones in range(reach + 1)
        for places in combinations(range(width), ones)
    ]
    return np.array(masks, np.int64)
