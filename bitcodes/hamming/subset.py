"""Codes that are far from each other: a subset in which each row is unlike all others."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.pack import pack_bits, unpack_bits
from bitcodes.hamming.fallback import with_kernels
from bitcodes.hamming.measure import Measure, lane_distances
from bitcodes.hamming.plain import Lanes
from bitcodes.hamming.scanner import PLAIN_LIMIT

_ROWS = 1 << 16
"""Codes whose bits are counted at a time."""

_Step = Callable[[int], int]
"""Lowers the least distances to those from a row; returns the first row of the largest."""


class Subset(NamedTuple):
    """Rows in the order in which they were chosen."""

    rows: NDArray[np.int64]
    """(n,)"""
    distances: NDArray[np.int64]
    """(n,) from the nearest of the rows chosen before; -1 for the first. They never rise."""
    radius: int
    """Every code is within this distance of one of those chosen."""


def farthest_first(
    codes: NDArray[np.uint8], count: int, measure: Measure, progress: Progress | None = None
) -> Subset:
    """Choose `count` of the packed codes (N, B), or all if these are fewer; greedily.

    The first is the one nearest to the majority code, whose bits are those that more than half of
    the codes have. Then always the one farthest from all that were chosen, which covers the codes
    with at most twice the least radius that `count` codes can have (Gonzalez, Clustering to
    minimize the maximum intercluster distance, 1985). Ties go to the earlier row. Codes that equal
    a chosen one come last, by row. Distances are those of `measure`.
    """
    count = min(count, len(codes))
    if count < 1:
        return Subset(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    lanes = measure.lanes(codes)
    least = np.full(len(codes), measure.largest + 1, np.int32)
    majority = measure.lanes(_majority(codes, measure.bits))
    row = int(lane_distances(lanes, majority, measure.terms).argmin())
    step = _step(lanes, least, measure, count)
    rows, distances = [], [-1]
    for number in range(count):
        if progress is not None:
            progress(number, count)
        rows.append(row)
        least[row] = -1  # nearer than any: it is not chosen again
        row = step(row)
        distances.append(int(least[row]))
    radius = max(0, distances.pop())
    return Subset(np.array(rows), np.array(distances), radius)


def _step(lanes: Lanes, least: NDArray[np.int32], measure: Measure, count: int) -> _Step:
    """The step for this much work: compiled if it is worth it and can be."""

    def plainly(row: int) -> int:
        distances = lane_distances(lanes, lanes[:, row, None], measure.terms)
        np.minimum(least, distances.astype(np.int32), out=least)
        return int(least.argmax())

    def compiled(row: int) -> int:
        from bitcodes.hamming.kernels.farthest import take_farthest

        code = np.ascontiguousarray(lanes[None, :, row])  # (1, W)
        return int(take_farthest(lanes, code, least, measure.terms))

    if count * len(least) <= PLAIN_LIMIT:
        return plainly
    return lambda row: with_kernels(lambda _: compiled(row), lambda: plainly(row))


def _majority(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """The bits that more than half of the packed codes (N, B) have, packed (1, B)."""
    ones = np.zeros(bits, np.int64)
    for start in range(0, len(codes), _ROWS):
        ones += unpack_bits(codes[start : start + _ROWS], bits).sum(axis=0, dtype=np.int64)
    return pack_bits(2 * ones[None] > len(codes))
