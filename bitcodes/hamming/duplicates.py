"""Groups of near-duplicates: the connected components of codes within a radius."""

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.hamming.index import GroupedIndex

_PAIRS = 1 << 20
"""Pairs that are joined at a time."""


def near_duplicates(
    index: GroupedIndex, radius: int, progress: Progress | None = None
) -> list[NDArray[np.int64]]:
    """The rows of each group of two or more, in order; groups in the order of their first rows.

    Two rows are in one group if a chain of rows, each within `radius` of the next, leads from one
    to the other. With radius 0, groups share a code. `progress` is called with how
    much of the comparing is done.
    """
    parents = np.arange(len(index.distinct))  # (M,) a code of the group that comes earlier, or same
    waiting: list[NDArray[np.int64]] = []
    for pairs in index.scanner.pairs(radius, progress) if radius > 0 else ():
        waiting.append(np.stack([pairs.first, pairs.second]))
        if sum(pair.shape[1] for pair in waiting) >= _PAIRS:
            _join(parents, *np.concatenate(waiting, axis=1))
            waiting.clear()
    if waiting:
        _join(parents, *np.concatenate(waiting, axis=1))

    _, starts, rows = index.groups
    groups = np.repeat(parents, np.diff(starts))  # (N,) along the rows
    rows = rows[np.lexsort((rows, groups))]
    sizes = np.bincount(groups, minlength=1)
    ends = np.cumsum(sizes)
    return [rows[ends[group] - sizes[group] : ends[group]] for group in np.flatnonzero(sizes > 1)]


def _join(parents: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
    """Union by the earlier of two roots, for many pairs at once; every path ends one step long."""
    while True:
        one, other = parents[first], parents[second]
        apart = one != other
        if not apart.any():
            return
        first, second = first[apart], second[apart]
        one, other = one[apart], other[apart]
        np.minimum.at(parents, np.maximum(one, other), np.minimum(one, other))
        while True:
            shorter = parents[parents]
            if np.array_equal(shorter, parents):
                break
            parents[:] = shorter
