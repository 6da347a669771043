"""All pairs of codes within a small radius, without comparing all pairs.

Cut into radius + 1 parts, two codes within the radius have at least one part in common (the
pigeonhole principle). So sorting the codes by one part after the other brings every such pair into
one group of equal parts, and only the pairs in a group are compared.

For a larger radius these parts are short, and the groups large. Cut into half as many parts, two
codes within the radius differ in at most one bit of at least one part. Then a group is compared
with those whose parts differ from its own in one bit, too (Norouzi, Punjani and Fleet, "Fast search
in Hamming space with multi-index hashing", CVPR 2012).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_bits, to_lanes
from bitcodes.hamming.kernels.pairs import compare_in_groups
from bitcodes.hamming.plain import Lanes, Pairs, equal_runs, offsets_of
from bitcodes.hamming.threads import in_order

COMPARISON_COST = 12
"""Pairs that a scan of all gets through in the time of one comparison here."""

_LONGEST = 20
"""Bits of a part up to which groups that differ in one are looked up: there are few of them."""

_COMPARISONS = 1 << 20
"""Comparisons that are worth handing to a thread."""


class Sorted(NamedTuple):
    """The codes in the order of one of their parts: G groups of codes with an equal part."""

    order: NDArray[np.int64]
    """(N,) rows"""
    ends: NDArray[np.int64]
    """(N,) where the group of each place ends"""
    groups: NDArray[np.int64]
    """(N,) the group of each place"""
    near_starts: NDArray[np.int64]
    """(G + 1,) where the rows of each group begin in `near`"""
    near: NDArray[np.int64]
    """(R, 2) the places from and to of a later group, whose part differs in a bit"""
    slack: int
    """Bits in which the parts of two codes that are compared differ at most: 0 or 1."""

    @property
    def comparisons(self) -> NDArray[np.int64]:
        """(N,) how many codes each place is compared with."""
        sizes = np.append(0, np.cumsum(self.near[:, 1] - self.near[:, 0]))
        near = sizes[self.near_starts[1:]] - sizes[self.near_starts[:-1]]
        places = np.arange(1, len(self.ends) + 1)
        compared: NDArray[np.int64] = self.ends - places + near[self.groups]
        return compared


def sort_by_parts(
    lanes: Lanes, bits: int, radius: int, slack: int | None = None
) -> tuple[Lanes, list[Sorted]] | None:
    """The masks of the parts, (P, W), and the codes by each of them.

    There are radius // (slack + 1) + 1 parts; without `slack`, the number is that with the least
    work for codes of random bits. None where comparing within groups would take longer than a scan
    of all pairs.
    """
    if radius >= bits:
        return None
    if slack is None:
        slack = min(range(2), key=lambda slack: _expected(bits, radius, slack))
    count = lanes.shape[1]
    budget = count * (count - 1) // 2 // COMPARISON_COST
    number = radius // (slack + 1) + 1
    in_part = np.arange(bits) * number // bits == np.arange(number)[:, None]  # (P, K)
    masks = np.ascontiguousarray(to_lanes(pack_bits(in_part), bits).T)  # (P, W)
    by_part = []
    for mask in masks:
        part = lanes[mask != 0] & mask[mask != 0, None]
        codes = _sorted(part, mask, slack)
        budget -= int(codes.comparisons.sum())
        if budget < 0:
            return None
        by_part.append(codes)
    return masks, by_part


def _expected(bits: int, radius: int, slack: int) -> float:
    """Comparisons of random codes for each pair of them; without bound if parts are too long."""
    parts = radius // (slack + 1) + 1
    length = bits // parts
    if slack and length > _LONGEST:
        return float("inf")
    return parts * (1 + slack * length) / 2.0**length


def _sorted(part: Lanes, mask: Lanes, slack: int) -> Sorted:
    """The codes by their part (W, N), of which `mask` (W,) has the bits."""
    if slack:  # at most 64 bits, which lie at different places of at most two words
        part = np.bitwise_or.reduce(part, axis=0, keepdims=True)
    order, starts, sizes = equal_runs(part)
    near_starts, near = np.zeros(len(starts) + 1, np.int64), np.empty((0, 2), np.int64)
    if slack:
        values = part[0, order[starts]]  # ascending
        groups = [np.empty((2, 0), np.int64)]
        for bit in _single_bits(mask):
            group = np.flatnonzero((values & bit) == 0)
            other = np.minimum(np.searchsorted(values, values[group] | bit), len(values) - 1)
            there = values[other] == values[group] | bit
            groups.append(np.stack([group[there], other[there]]))
        one, other = np.concatenate(groups, axis=1)
        by_group = np.argsort(one, kind="stable")
        near_starts = offsets_of(np.bincount(one, minlength=len(starts)))
        other = other[by_group]
        near = np.stack([starts[other], starts[other] + sizes[other]], axis=1)
    numbers = np.repeat(np.arange(len(starts)), sizes)
    return Sorted(order, np.repeat(starts + sizes, sizes), numbers, near_starts, near, slack)


def _single_bits(mask: Lanes) -> Lanes:
    """The bits that are set in any word of a mask, each alone."""
    bits = np.uint64(1) << np.arange(64, dtype=np.uint64)
    single: Lanes = bits[(bits & np.bitwise_or.reduce(mask)) != 0]
    return single


def near_pairs(
    lanes: Lanes, masks: Lanes, part: int, codes: Sorted, radius: int, threads: int
) -> Iterator[Pairs]:
    """Pairs of rows within the radius that are near in `part`, and in none before it.

    Their order does not depend on timing.
    """
    ordered = np.ascontiguousarray(lanes[:, codes.order])
    words = (0,) * len(lanes)
    comparisons = np.cumsum(codes.comparisons)
    total = int(comparisons.max(initial=0))
    cuts = np.searchsorted(comparisons, np.arange(0, total, _COMPARISONS), "right")
    places = np.unique(np.append(cuts, len(comparisons)))  # of chunks, where there is work
    _, ends, groups, near_starts, near, slack = codes

    def compare(chunk: tuple[int, int]) -> Pairs:
        start, stop = chunk
        before = comparisons[start - 1] if start else 0
        matches = np.empty((3, comparisons[stop - 1] - before), np.int64)
        by_part = ends, groups, near_starts, near, masks, part, slack
        size = compare_in_groups(ordered, start, stop, *by_part, radius, matches, words)
        rows = np.sort(codes.order[matches[:2, :size]], axis=0)
        return Pairs(rows[0], rows[1], matches[2, :size].astype(np.int32))

    blocks = in_order(compare, pairwise(places.tolist()), threads)
    yield from (block for block in blocks if len(block.first))
