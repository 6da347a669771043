"""Hamming search in plain NumPy: what small searches use, and the reference for the kernels.

Lanes are uint64 words, word-major: (W, N) for the codes and (W, Q) for the queries. Everything
works on blocks of distances that fit a cache, so that memory stays bounded whatever N and Q are.

A result is a key, distance << ROW_BITS | row: the order of keys is that of (distance, row).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming.measure import Measure, lane_distances

Lanes = NDArray[np.uint64]
"""Queries (W, Q) or codes (W, N), word-major."""

Keys = NDArray[np.int64]
"""Results, distance << ROW_BITS | row."""

Piece = tuple[NDArray[np.int64], Keys]
"""Some results of a search by radius: queries and keys, two arrays of one length."""

Ball = tuple[NDArray[np.int64], Keys]
"""Ragged results: query q owns the keys `offsets[q]:offsets[q + 1]`; (Q + 1,) and (M,)."""

Histograms = NDArray[np.int64]
"""How many codes lie at each distance from each query, (Q, largest distance + 1)."""

Labels = NDArray[Any]
"""Classes (N,) or zeros and ones (N, C)."""


class Pairs(NamedTuple):
    """A block of pairs of rows, `first < second`, and their distances; three (M,) arrays."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distances: NDArray[np.int32]


ROW_BITS = 40
"""Bits of a key that hold the row; the distance lies above them: up to 2**20, where weighted."""

ROW = (1 << ROW_BITS) - 1
"""The bits of a key that hold the row."""

MISSING = np.iinfo(np.int64).max
"""The key of no result: it sorts last."""

BLOCK = 1 << 16
"""Distances computed at a time."""


def split_keys(keys: Keys) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The distances and the rows of keys."""
    return (keys >> ROW_BITS).astype(np.int32), keys & ROW


def offsets_of(sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Where groups of some sizes (M,) begin, and the last one's end, (M + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def nearest(queries: Lanes, lanes: Lanes, k: int, radius: int, measure: Measure) -> Keys:
    """The keys (Q, k) of the `k` nearest codes of each query within `radius`, else MISSING."""
    keys = np.full((queries.shape[1], k), MISSING, np.int64)
    for here, rows, distances in _blocks(queries, lanes, measure):
        for best, near in zip(keys[here], distances, strict=True):
            # A later row at the distance of the present k-th loses against it, hence the - 1.
            bound = min(radius, (int(best[-1]) >> ROW_BITS) - 1)
            places = np.flatnonzero(near <= bound)
            if len(places) > k:
                close = near[places]
                kth = np.searchsorted(np.cumsum(np.bincount(close)), k)
                nearer, ties = places[close < kth], places[close == kth]
                places = np.concatenate([nearer, ties[: k - len(nearer)]])
            if len(places):
                keys_here = near[places].astype(np.int64) << ROW_BITS | (places + rows.start)
                best[:] = np.sort(np.concatenate([best, keys_here]))[:k]
    return keys


def near_pieces(
    queries: Lanes, lanes: Lanes, radius: int, start: int, measure: Measure
) -> Iterator[Piece]:
    """All codes from row `start` on that are within `radius`, in no order."""
    for here, rows, distances in _blocks(queries, lanes[:, start:], measure):
        query, places = np.nonzero(distances <= radius)
        near = distances[query, places].astype(np.int64)
        yield query + here.start, near << ROW_BITS | (places + rows.start + start)


def histograms(
    queries: Lanes,
    lanes: Lanes,
    measure: Measure,
    query_labels: Labels | None = None,
    labels: Labels | None = None,
) -> tuple[Histograms, Histograms]:
    """Histograms of all codes and of the relevant ones; without labels, none is relevant."""
    width = measure.largest + 1
    total = np.zeros((queries.shape[1], width), np.int64)
    relevant = np.zeros_like(total)
    for here, rows, distances in _blocks(queries, lanes, measure):
        bins = distances + np.arange(len(distances))[:, None] * width  # (q, n)
        total[here] += _histograms(bins.ravel(), total[here].shape)
        if query_labels is None or labels is None:
            continue
        if labels.ndim == 1:
            related = query_labels[here, None] == labels[rows]
        else:
            shared = query_labels[here].astype(np.float32) @ labels[rows].astype(np.float32).T
            related = shared > 0  # counts of shared labels: exact in float32
        relevant[here] += _histograms(bins[related], total[here].shape)
    return total, relevant


def _histograms(bins: NDArray[np.int64], shape: tuple[int, ...]) -> Histograms:
    return np.bincount(bins, minlength=shape[0] * shape[1]).reshape(shape)


def _blocks(
    queries: Lanes, lanes: Lanes, measure: Measure
) -> Iterator[tuple[slice, slice, NDArray[np.unsignedinteger]]]:
    """Every (queries, rows, distances) block; the rows of one slice of queries come in order."""
    count = lanes.shape[1]
    width = min(max(count, 1), BLOCK)
    height = max(1, BLOCK // width)
    for top in range(0, queries.shape[1], height):
        for left in range(0, count, width):
            here = slice(top, min(top + height, queries.shape[1]))
            rows = slice(left, min(left + width, count))
            some = queries[:, here, None]  # (W, q, 1)
            yield here, rows, lane_distances(some, lanes[:, None, rows], measure.terms)


def equal_runs(lanes: Lanes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows with one code together, (N,); where each code's begin there, and how many it has, (M,).

    Rows with one code stay in order; the codes come in an order of their own.
    """
    order = np.lexsort(lanes)  # stable
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = False
    for word in lanes:
        ordered = word[order]
        is_new[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_new)
    return order, starts, np.diff(starts, append=len(order))
