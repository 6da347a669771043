"""Groups of near-duplicates against a breadth-first search, and against slow greedy groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.errors import CodeSetError
from bitcodes.hamming import linkage
from bitcodes.hamming.duplicates import bounded, chains, code_pairs
from bitcodes.hamming.index import group
from bitcodes.hamming.linkage import collect


def near_duplicates(index, radius):
    return chains(index, code_pairs(index, radius))


def components(bits, radius):
    """Connected components of two rows and more, found from each row in turn."""
    distances = (bits[:, None] != bits).sum(axis=2)
    seen, found = set(), []
    for row in range(len(bits)):
        if row in seen:
            continue
        reached, edge = {row}, {row}
        while edge:
            edge = {int(b) for a in edge for b in np.flatnonzero(distances[a] <= radius)} - reached
            reached |= edge
        seen |= reached
        if len(reached) > 1:
            found.append(sorted(reached))
    return found


CASES = given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 20, 60]),
    bits=st.sampled_from([4, 10, 70]),
    flips=st.floats(0, 0.3),
    radius=st.integers(0, 4),
)


def clustered(seed, count, bits, flips):
    """Bits (N, K) around eight centers, and their index."""
    rng = np.random.default_rng(seed)
    centers = rng.random((8, bits)) < 0.5
    rows = centers[rng.integers(8, size=count)] ^ (rng.random((count, bits)) < flips)
    packed = pack_bits(rows) if count else np.empty((0, -(-bits // 8)), np.uint8)
    return rows, group(packed, bits), rng


@settings(max_examples=60, deadline=None)
@CASES
def test_groups_are_connected_components(seed, count, bits, flips, radius):
    rows, index, _ = clustered(seed, count, bits, flips)
    assert [rows.tolist() for rows in near_duplicates(index, radius)] == components(rows, radius)


def slow_stars(distances, order, radius):
    """Centers in `order`, then each other row to the nearest center that is better.

    Better than the best row of its code: rows of one code are never parted.
    """
    centers = []
    for row in order:
        if all(distances[row, center] > radius for center in centers):
            centers.append(row)
    groups = {center: [center] for center in centers}
    for row in order:
        if row not in centers:
            place = next(n for n, other in enumerate(order) if distances[row, other] == 0)
            near = [c for c in order[: place + 1] if c in centers and distances[row, c] <= radius]
            groups[min(near, key=lambda c: distances[row, c])].append(row)
    return list(groups.values())


def slow_cliques(distances, order, radius):
    """The best row takes in the nearest that is near all of its group, again and again."""
    left, groups = list(order), []
    while left:
        best = left.pop(0)
        members = [best]
        for row in sorted(left, key=lambda row: (distances[best, row], left.index(row))):
            if all(distances[row, member] <= radius for member in members):
                members.append(row)
        left = [row for row in left if row not in members]
        groups.append(members)
    return groups


@pytest.mark.parametrize(("kind", "slow"), [("star", slow_stars), ("complete", slow_cliques)])
@settings(max_examples=60, deadline=None)
@CASES
def test_bounded_groups_are_those_of_a_slow_search(kind, slow, seed, count, bits, flips, radius):
    rows, index, rng = clustered(seed, count, bits, flips)
    order = rng.permutation(count)[: count - count // 10]  # the others have no place in a group
    ranks = np.full(count, -1)
    ranks[order] = np.arange(len(order))
    groups = bounded(index, collect(code_pairs(index, radius), radius), ranks, kind)
    distances = (rows[:, None] != rows).sum(axis=2)
    slowly = [sorted(map(int, members)) for members in slow(distances, order.tolist(), radius)]
    assert [rows.tolist() for rows in groups] == sorted(m for m in slowly if len(m) > 1)
    for members in groups:
        near = distances[np.ix_(members, members)] <= radius
        best = np.argmin(ranks[members])
        assert near[best].all() and (kind == "star" or near.all())


def test_too_many_pairs_to_keep(monkeypatch):
    monkeypatch.setattr(linkage, "MOST_PAIRS", 3)
    _, index, _ = clustered(0, 60, 10, 0.1)
    with pytest.raises(CodeSetError, match="more than 3 pairs lie within distance 2; use"):
        collect(code_pairs(index, 2), 2)


def test_a_chain_is_one_group(monkeypatch):
    # 0, 1, 11, 111, ...: neighbours differ in one bit, the ends in all; joined a few at a time.
    monkeypatch.setattr("bitcodes.hamming.duplicates._PAIRS", 3)
    chain = np.tri(65, 64, -1).astype(bool)
    order = np.random.default_rng(0).permutation(65)
    groups = near_duplicates(group(pack_bits(chain[order]), 64), 1)
    assert [rows.tolist() for rows in groups] == [list(range(65))]
    assert near_duplicates(group(pack_bits(chain[order]), 64), 0) == []
