"""Hamming search in plain NumPy: what small searches use, and the reference for the kernels.

Lanes are uint64 words, word-major: (W, N) for the codes and (W, Q) for the queries. Everything
works on blocks of distances that fit a cache, so that memory stays bounded whatever N and Q are.

A result is a key, distance << ROW_BITS | row: the order of keys is that of (distance, row).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming.finders import Ball, Lanes

ROW_BITS = 48
"""Bits of a key that hold the row; the distance lies above them."""

ROW = (1 << ROW_BITS) - 1
"""The bits of a key that hold the row."""

MISSING = np.iinfo(np.int64).max
"""The key of no result: it sorts last."""

BLOCK = 1 << 16
"""Distances computed at a time."""


def split_keys(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The distances and the rows of keys."""
    return (keys >> ROW_BITS).astype(np.int32), keys & ROW


def block_distances(queries: Lanes, lanes: Lanes) -> NDArray[np.uint16]:
    """All distances between two sets of lanes, (W, Q) and (W, N), as (Q, N) uint16."""
    distances = np.zeros((queries.shape[1], lanes.shape[1]), np.uint16)
    for query_word, word in zip(queries, lanes, strict=True):
        distances += np.bitwise_count(query_word[:, None] ^ word)
    return distances


def nearest(queries: Lanes, lanes: Lanes, k: int, radius: int) -> NDArray[np.int64]:
    """The keys (Q, k) of the `k` nearest codes of each query within `radius`, else MISSING."""
    keys = np.full((queries.shape[1], k), MISSING, np.int64)
    for here, rows, distances in _blocks(queries, lanes):
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
                best[:] = np.sort(np.concatenate([best, _keys(near, places, rows)]))[:k]
    return keys


def ball(queries: Lanes, lanes: Lanes, radius: int) -> Ball:
    """The sorted keys of all codes within `radius`, ragged: (offsets (Q + 1,), keys (M,))."""
    piece_lists: list[list[NDArray[np.int64]]] = [[] for _ in range(queries.shape[1])]
    for here, rows, distances in _blocks(queries, lanes):
        for pieces, near in zip(piece_lists[here], distances, strict=True):
            pieces.append(_keys(near, np.flatnonzero(near <= radius), rows))
    empty = np.empty(0, np.int64)
    ordered = [np.sort(np.concatenate([empty, *pieces])) for pieces in piece_lists]
    offsets = np.cumsum([0, *map(len, ordered)])
    return offsets, np.concatenate([empty, *ordered])


def near_pieces(
    queries: Lanes, lanes: Lanes, radius: int, start: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All codes from row `start` on that are within `radius`: pieces of (query, key), unordered."""
    for here, rows, distances in _blocks(queries, lanes[:, start:]):
        query, places = np.nonzero(distances <= radius)
        near = distances[query, places].astype(np.int64)
        yield query + here.start, near << ROW_BITS | (places + rows.start + start)


def histograms(queries: Lanes, lanes: Lanes, bits: int) -> NDArray[np.int64]:
    """How many codes lie at each distance from each query, (Q, bits + 1)."""
    total = np.zeros((queries.shape[1], bits + 1), np.int64)
    for here, _, distances in _blocks(queries, lanes):
        total[here] += _row_histograms(distances, None, bits)
    return total


def labelled_histograms(
    queries: Lanes,
    lanes: Lanes,
    bits: int,
    query_labels: NDArray[np.generic],
    labels: NDArray[np.generic],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`histograms` of all codes and of the relevant ones; labels are (N,) classes or (N, C) 0/1."""
    total = np.zeros((queries.shape[1], bits + 1), np.int64)
    relevant = np.zeros_like(total)
    for here, rows, distances in _blocks(queries, lanes):
        if labels.ndim == 1:
            related = query_labels[here, None] == labels[rows]
        else:
            shared = query_labels[here].astype(np.float32) @ labels[rows].astype(np.float32).T
            related = shared > 0  # counts of shared labels: exact in float32
        total[here] += _row_histograms(distances, None, bits)
        relevant[here] += _row_histograms(distances, related, bits)
    return total, relevant


def _blocks(queries: Lanes, lanes: Lanes) -> Iterator[tuple[slice, slice, NDArray[np.uint16]]]:
    """Every (queries, rows, distances) block; the rows of one slice of queries come in order."""
    count = lanes.shape[1]
    width = min(max(count, 1), BLOCK)
    height = max(1, BLOCK // width)
    for top in range(0, queries.shape[1], height):
        for left in range(0, count, width):
            here = slice(top, min(top + height, queries.shape[1]))
            rows = slice(left, min(left + width, count))
            yield here, rows, block_distances(queries[:, here], lanes[:, rows])


def _keys(
    distances: NDArray[np.uint16], places: NDArray[np.int64], rows: slice
) -> NDArray[np.int64]:
    """The keys of some places of a block's row."""
    keys: NDArray[np.int64] = distances[places].astype(np.int64) << ROW_BITS
    return keys | (places + int(rows.start))


def _row_histograms(
    distances: NDArray[np.uint16], where: NDArray[np.bool_] | None, bits: int
) -> NDArray[np.int64]:
    """The histogram of each row of a (Q, N) block, of the marked places only."""
    rows = len(distances)
    bins = distances + (np.arange(rows) * (bits + 1))[:, None]  # (Q, N) int64
    marked_bins = bins.ravel() if where is None else bins[where]
    return np.bincount(marked_bins, minlength=rows * (bits + 1)).reshape(rows, bits + 1)


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
