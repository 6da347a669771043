"""Hamming search in plain NumPy: what small searches use, and the reference for the kernels.

Lanes are uint64 words, word-major: (W, N) for the codes and (W, Q) for the queries. Everything
works on blocks of about a million distances, so that memory stays bounded whatever N and Q are.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 20
"""Distances computed at a time."""


def block_distances(queries: NDArray[np.uint64], lanes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """All distances between two sets of lanes, (W, Q) and (W, N), as (Q, N) uint16."""
    distances = np.zeros((queries.shape[1], lanes.shape[1]), np.uint16)
    for query_word, word in zip(queries, lanes, strict=True):
        distances += np.bitwise_count(query_word[:, None] ^ word)
    return distances


def _blocks(
    queries: NDArray[np.uint64], lanes: NDArray[np.uint64]
) -> Iterator[tuple[slice, slice, NDArray[np.uint16]]]:
    """Every (queries, rows, distances) block; the rows of one slice of queries come in order."""
    count = lanes.shape[1]
    width = min(max(count, 1), BLOCK)
    height = max(1, BLOCK // width)
    for top in range(0, queries.shape[1], height):
        for left in range(0, count, width):
            here = slice(top, min(top + height, queries.shape[1]))
            rows = slice(left, min(left + width, count))
            yield here, rows, block_distances(queries[:, here], lanes[:, rows])


def nearest(
    queries: NDArray[np.uint64], lanes: NDArray[np.uint64], k: int | None, radius: int
) -> list[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """(distances, rows) of each query: the `k` nearest within `radius`, by (distance, row)."""
    empty = (np.empty(0, np.int32), np.empty(0, np.int64))
    found = [empty] * queries.shape[1]
    for here, rows, distances in _blocks(queries, lanes):
        for query, row_distances in zip(range(here.start, here.stop), distances, strict=True):
            old_distances, old_rows = found[query]
            full = k is not None and len(old_rows) == k
            # A later row at the distance of the present k-th loses against it, hence the - 1.
            bound = min(radius, int(old_distances[-1]) - 1) if full else radius
            new_rows = np.flatnonzero(row_distances <= bound)
            new_distances = row_distances[new_rows]
            if k is not None and len(new_rows) > k:
                kept = new_distances <= np.partition(new_distances, k - 1)[k - 1]
                new_rows, new_distances = new_rows[kept], new_distances[kept]
            # Old rows come first and all are in row order, so a stable sort by distance is enough.
            merged_distances = np.concatenate([old_distances, new_distances.astype(np.int32)])
            merged_rows = np.concatenate([old_rows, new_rows + rows.start])
            order = np.argsort(merged_distances, kind="stable")[:k]
            found[query] = merged_distances[order], merged_rows[order]
    return found


def histograms(
    queries: NDArray[np.uint64], lanes: NDArray[np.uint64], bits: int
) -> NDArray[np.int64]:
    """How many codes lie at each distance from each query, (Q, bits + 1)."""
    total = np.zeros((queries.shape[1], bits + 1), np.int64)
    for here, _, distances in _blocks(queries, lanes):
        total[here] += _row_histograms(distances, None, bits)
    return total


def labelled_histograms(
    queries: NDArray[np.uint64],
    lanes: NDArray[np.uint64],
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


def _row_histograms(
    distances: NDArray[np.uint16], where: NDArray[np.bool_] | None, bits: int
) -> NDArray[np.int64]:
    """The histogram of each row of a (Q, N) block, of the marked places only."""
    rows = len(distances)
    bins = distances + (np.arange(rows) * (bits + 1))[:, None]  # (Q, N) int64
    chosen = bins.ravel() if where is None else bins[where]
    return np.bincount(chosen, minlength=rows * (bits + 1)).reshape(rows, bits + 1)
