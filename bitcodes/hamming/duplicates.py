"""Groups of near-duplicates: rows whose codes are within a radius, by chains or with a bound."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.choices import Linkage
from bitcodes.hamming.index import GroupedIndex
from bitcodes.hamming.linkage import cliques, stars, to_edges
from bitcodes.hamming.plain import Pairs

_PAIRS = 1 << 20
"""Pairs that are joined at a time."""


def code_pairs(
    index: GroupedIndex, radius: int, progress: Progress | None = None
) -> Iterator[Pairs]:
    """Pairs of distinct codes within `radius`; `progress` is called with how much is compared."""
    return index.scanner.pairs(radius, progress) if radius > 0 else iter(())


def chains(index: GroupedIndex, blocks: Iterable[Pairs]) -> list[NDArray[np.int64]]:
    """The rows of each group of two or more, in order; groups in the order of their first rows.

    Two rows are in one group if a chain of rows, each paired with the next in `blocks` or of its
    code, leads from one to the other.
    """
    parents = np.arange(len(index.distinct))  # (M,) a code of the group that comes earlier, or same
    waiting: list[NDArray[np.int64]] = []
    for pairs in blocks:
        waiting.append(np.stack([pairs.first, pairs.second]))
        if sum(pair.shape[1] for pair in waiting) >= _PAIRS:
            _join(parents, *np.concatenate(waiting, axis=1))
            waiting.clear()
    if waiting:
        _join(parents, *np.concatenate(waiting, axis=1))

    _, starts, rows = index.groups
    return _divide(rows, np.repeat(parents, np.diff(starts)))


def bounded(
    index: GroupedIndex, pairs: Pairs, ranks: NDArray[np.int64], linkage: Linkage
) -> list[NDArray[np.int64]]:
    """The rows of each group of two or more: stars, or complete groups, of `pairs` of codes.

    `ranks` (N,) order the rows that have a place in a group, 0 for the best; -1 has none. Groups
    are in the order of their first rows, and so are the rows of each. See linkage.py.
    """
    _, starts, rows = index.groups
    none = len(ranks)
    ranks_along = np.where(ranks[rows] < 0, none, ranks[rows])
    best = np.minimum.reduceat(ranks_along, starts[:-1]) if len(rows) else ranks_along
    edges = to_edges(pairs, np.where(best == none, -1, best))
    centers = (cliques if linkage == "complete" else stars)(edges, none)
    there = ranks_along < none
    centers_along = centers[np.repeat(best, np.diff(starts))[there]]
    return sorted(_divide(rows[there], centers_along), key=lambda group: int(group[0]))


def _divide(rows: NDArray[np.int64], groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The `rows` of each group of two or more, in order, by the number of its group (both (N,))."""
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
