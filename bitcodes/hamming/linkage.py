"""Groups with a bound: near pairs of codes divided into stars, or into groups of near pairs only.

Codes are given by their ranks, 0 for the best. Both ways are greedy from the best code on, so the
same pairs and ranks always give the same groups, whatever the order of the pairs.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import CodeSetError
from bitcodes.hamming.plain import Pairs

MOST_PAIRS = 50_000_000
"""Pairs that are kept in memory: about 1 GB, and three times that while they are sorted."""


class Edges(NamedTuple):
    """Near pairs of ranks, ordered by `better`, then distance, then `worse`; three (M,) arrays."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    distances: NDArray[np.int32]


def collect(blocks: Iterable[Pairs], radius: int, way_out: str = "") -> Pairs:
    """All pairs in one block. CodeSetError if there are more than MOST_PAIRS.

    `way_out` is what else the error tells people to try.
    """
    none = np.empty(0, np.int64)
    kept = [Pairs(none, none, np.empty(0, np.int32))]
    count = 0
    for block in blocks:
        kept.append(block)
        count += len(block.first)
        check_pairs(count, radius, way_out)
    return Pairs(*map(np.concatenate, zip(*kept, strict=True)))


def check_pairs(count: int, radius: int, way_out: str = "") -> None:
    """Raise CodeSetError if there are more than MOST_PAIRS; see `collect`."""
    if count > MOST_PAIRS:
        raise CodeSetError(
            f"more than {MOST_PAIRS:,} pairs lie within distance {radius}; use a smaller "
            f"--radius{way_out}"
        )


def to_edges(pairs: Pairs, ranks: NDArray[np.int64]) -> Edges:
    """The pairs by the `ranks` (M,) of their codes, all different; -1 leaves a code out."""
    ranks_of_pairs = np.stack([ranks[pairs.first], ranks[pairs.second]])  # (2, M)
    better, worse = ranks_of_pairs.min(axis=0), ranks_of_pairs.max(axis=0)
    there = better >= 0
    better, worse, distances = better[there], worse[there], pairs.distances[there]
    order = np.lexsort((worse, distances, better))
    return Edges(better[order], worse[order], distances[order])


def stars(edges: Edges, count: int) -> NDArray[np.int64]:
    """The rank (R,) of the code that each of `count` codes is grouped around; its own if none.

    A code that is near no center of a better rank is a center. Every other code belongs to the
    nearest of these centers; at equal distance, to that of the best rank.
    """
    covered = np.zeros(count, np.bool_)
    for node, start, stop in spans(edges.better):
        if not covered[node]:
            covered[edges.worse[start:stop]] = True
    from_center = ~covered[edges.better]
    better, worse, distances = (column[from_center] for column in edges)
    order = np.lexsort((better, distances, worse))
    members, nearest = np.unique(worse[order], return_index=True)
    centers = np.arange(count)
    centers[members] = better[order][nearest]
    return centers


def cliques(edges: Edges, count: int) -> NDArray[np.int64]:
    """The rank (R,) of the best code of each code's group, in which every two codes are near.

    The best code that has no group yet takes in one code after the other, the nearest first, that
    is near all of the group.
    """
    keys = edges.better * count + edges.worse
    keys.sort()
    centers = np.arange(count)
    free = np.ones(count, np.bool_)
    for node, start, stop in spans(edges.better):
        if not free[node]:
            continue
        candidates = edges.worse[start:stop]
        candidates = candidates[free[candidates]]
        while len(candidates):
            member, candidates = candidates[0], candidates[1:]
            centers[member], free[member] = node, False
            pairs = np.minimum(member, candidates) * count + np.maximum(member, candidates)
            places = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
            candidates = candidates[keys[places] == pairs]
    return centers


def spans(ordered: NDArray[np.int64]) -> Iterable[tuple[int, int, int]]:
    """Each number of an ordered array (M,), and where its run starts and stops."""
    numbers, sizes = np.unique(ordered, return_counts=True)
    ends = np.cumsum(sizes)
    return zip(numbers.tolist(), (ends - sizes).tolist(), ends.tolist(), strict=True)
