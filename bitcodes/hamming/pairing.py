"""All pairs of codes within a small radius, without comparing all pairs.

Cut into radius + 1 parts, two codes within the radius have at least one part in common (the
pigeonhole principle). So sorting the codes by one part after the other brings every such pair into
one group of equal parts, and only the pairs in a group are compared.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_bits, to_lanes
from bitcodes.hamming.kernels.pairs import compare_in_groups
from bitcodes.hamming.plain import Lanes, Pairs, equal_runs
from bitcodes.hamming.threads import in_order

COMPARISON_COST = 12
"""Pairs that a scan of all gets through in the time of one comparison here."""

_COMPARISONS = 1 << 20
"""Comparisons that are worth handing to a thread."""


class Sorted(NamedTuple):
    """The codes in the order of one of their parts: groups of codes with an equal part."""

    order: NDArray[np.int64]
    """(N,) rows"""
    ends: NDArray[np.int64]
    """(N,) where the group of each place ends"""


def sort_by_parts(lanes: Lanes, bits: int, radius: int) -> tuple[Lanes, list[Sorted]] | None:
    """The masks of the radius + 1 parts, (P, W), and the codes by each of them.

    None where comparing within groups would take longer than a scan of all pairs.
    """
    if radius >= bits:
        return None
    count = lanes.shape[1]
    budget = count * (count - 1) // 2 // COMPARISON_COST
    in_part = np.arange(bits) * (radius + 1) // bits == np.arange(radius + 1)[:, None]  # (P, K)
    masks = np.ascontiguousarray(to_lanes(pack_bits(in_part), bits).T)  # (P, W)
    by_part = []
    for mask in masks:
        part = lanes[mask != 0] & mask[mask != 0, None]
        order, starts, sizes = equal_runs(part)
        budget -= int((sizes * (sizes - 1) // 2).sum())
        if budget < 0:
            return None
        by_part.append(Sorted(order, np.repeat(starts + sizes, sizes)))
    return masks, by_part


def near_pairs(
    lanes: Lanes, masks: Lanes, part: int, codes: Sorted, radius: int, threads: int
) -> Iterator[Pairs]:
    """Pairs of rows within the radius that have `part`, and none before it, in common.

    Their order does not depend on timing.
    """
    ordered = np.ascontiguousarray(lanes[:, codes.order])
    words = (0,) * len(lanes)
    comparisons = np.cumsum(codes.ends - np.arange(1, len(codes.ends) + 1))
    total = int(comparisons.max(initial=0))
    cuts = np.searchsorted(comparisons, np.arange(0, total, _COMPARISONS), "right")
    places = np.unique(np.append(cuts, len(comparisons)))  # of chunks, where there is work

    def compare(chunk: tuple[int, int]) -> Pairs:
        start, stop = chunk
        before = comparisons[start - 1] if start else 0
        matches = np.empty((3, comparisons[stop - 1] - before), np.int64)
        size = compare_in_groups(
            ordered, start, stop, codes.ends, masks, part, radius, matches, words
        )
        rows = np.sort(codes.order[matches[:2, :size]], axis=0)
        return Pairs(rows[0], rows[1], matches[2, :size].astype(np.int32))

    blocks = in_order(compare, pairwise(places.tolist()), threads)
    yield from (block for block in blocks if len(block.first))
