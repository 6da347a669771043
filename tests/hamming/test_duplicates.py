"""Groups of near-duplicates against a breadth-first search."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming.duplicates import near_duplicates
from bitcodes.hamming.index import group


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


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 20, 60]),
    bits=st.sampled_from([4, 10, 70]),
    flips=st.floats(0, 0.3),
    radius=st.integers(0, 4),
)
def test_groups_are_connected_components(seed, count, bits, flips, radius):
    rng = np.random.default_rng(seed)
    centers = rng.random((8, bits)) < 0.5
    rows = centers[rng.integers(8, size=count)] ^ (rng.random((count, bits)) < flips)
    packed = pack_bits(rows) if count else np.empty((0, -(-bits // 8)), np.uint8)
    groups = near_duplicates(group(packed, bits), radius)
    assert [rows.tolist() for rows in groups] == components(rows, radius)


def test_a_chain_is_one_group(monkeypatch):
    # 0, 1, 11, 111, ...: neighbours differ in one bit, the ends in all; joined a few at a time.
    monkeypatch.setattr("bitcodes.hamming.duplicates._PAIRS", 3)
    chain = np.tri(65, 64, -1).astype(bool)
    order = np.random.default_rng(0).permutation(65)
    groups = near_duplicates(group(pack_bits(chain[order]), 64), 1)
    assert [rows.tolist() for rows in groups] == [list(range(65))]
    assert near_duplicates(group(pack_bits(chain[order]), 64), 0) == []
