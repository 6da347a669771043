"""Near pairs between two sets of codes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.hamming.duplicates import code_pairs
from bitcodes.hamming.grouped import ranges
from bitcodes.hamming.index import group
from bitcodes.hamming.linkage import check_pairs, collect
from bitcodes.hamming.plain import Pairs

_SCANNED = 2 * 10**9
"""Comparisons up to which each code is compared with each: in about a second."""


def pairs_across(
    codes: NDArray[np.uint8],
    others: NDArray[np.uint8],
    bits: int,
    radius: int,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """All pairs of packed codes (N, B) and others (M, B) within the radius.

    `first` are rows of the codes, `second` rows of the others; ordered by first row, distance,
    second row. CodeSetError if there are more than linkage.MOST_PAIRS.
    """
    if len(codes) * len(others) <= _SCANNED or _scan_is_faster(bits, radius, codes, others):
        pairs = _by_scan(codes, others, bits, radius, threads)
    else:
        pairs = _within_both(codes, others, bits, radius, threads, progress)
    order = np.lexsort((pairs.second, pairs.distances, pairs.first))
    return Pairs(pairs.first[order], pairs.second[order], pairs.distances[order])


def _scan_is_faster(
    bits: int, radius: int, codes: NDArray[np.uint8], others: NDArray[np.uint8]
) -> bool:
    """Whether finding pairs by equal parts (see pairing.py) takes longer than comparing all."""
    from bitcodes.hamming.pairing import COMPARISON_COST

    together = (len(codes) + len(others)) ** 2 / 2
    by_parts = (radius + 1) * together / 2.0 ** (bits // (radius + 1))
    return COMPARISON_COST * by_parts > len(codes) * len(others)


def _by_scan(
    codes: NDArray[np.uint8],
    others: NDArray[np.uint8],
    bits: int,
    radius: int,
    threads: int | None,
) -> Pairs:
    """Search the larger set with the codes of the smaller one."""
    swapped = len(codes) > len(others)
    queries, searched = (others, codes) if swapped else (codes, others)
    near = group(searched, bits, threads).within(queries, radius)
    rows = np.repeat(np.arange(len(queries)), np.diff(near.offsets))
    check_pairs(len(rows), radius)
    first, second = (near.rows, rows) if swapped else (rows, near.rows)
    return Pairs(first, second, near.distances)


def _within_both(
    codes: NDArray[np.uint8],
    others: NDArray[np.uint8],
    bits: int,
    radius: int,
    threads: int | None,
    progress: Progress | None,
) -> Pairs:
    """Find the near pairs of distinct codes of both sets together, and keep those across."""
    index = group(np.concatenate([codes, others]), bits, threads)
    _, starts, rows = index.groups
    number = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    ours = np.bincount(number[rows < len(codes)], minlength=len(starts) - 1)
    theirs = np.diff(starts) - ours
    middles = starts[:-1] + ours  # rows of a code are in order: ours come first

    def across() -> Iterator[Pairs]:
        for first, second, distances in code_pairs(index, radius, progress):
            kept = (ours[first] * theirs[second] + ours[second] * theirs[first]) > 0
            yield Pairs(first[kept], second[kept], distances[kept])

    pairs = collect(across(), radius)
    same = np.arange(len(ours))
    one = np.concatenate([pairs.first, pairs.second, same])
    other = np.concatenate([pairs.second, pairs.first, same])
    distances = np.concatenate([pairs.distances, pairs.distances, np.zeros(len(same), np.int32)])
    kept = np.flatnonzero((ours[one] > 0) & (theirs[other] > 0))
    one, other, distances = one[kept], other[kept], distances[kept]
    check_pairs(int((ours[one] * theirs[other]).sum()), radius)
    first = rows[ranges(starts[one], ours[one])]
    other, distances = np.repeat(other, ours[one]), np.repeat(distances, ours[one])
    second = rows[ranges(middles[other], theirs[other])] - len(codes)
    sizes = theirs[other]
    return Pairs(np.repeat(first, sizes), second, np.repeat(distances, sizes))
