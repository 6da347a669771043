# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""Histograms of distances, of all codes and of the relevant ones."""

import numpy as np

from bitcodes.hamming.kernels.compiling import kernel
from bitcodes.hamming.kernels.planes import BLOCK, WORDS, count_distances
from bitcodes.hamming.kernels.scan import distance_from, largest_distance
from bitcodes.hamming.kernels.sliced import slice_block

_HISTOGRAM_BLOCK = 1 << 14
"""Codes that are counted for all queries while they are in the second-level cache."""


@kernel
def _count_rows(lanes, start, stop, queries, query, histogram, terms):
    """Add the distances of codes `start` to `stop` to `histogram` (4, D), whose rows take turns.

    Turns keep an addition from waiting for the one before it to the same distance.
    """
    quarter = (stop - start) // 4
    for row in range(start, start + quarter):
        histogram[0, distance_from(lanes, row, queries, query, terms)] += 1
        histogram[1, distance_from(lanes, row + quarter, queries, query, terms)] += 1
        histogram[2, distance_from(lanes, row + 2 * quarter, queries, query, terms)] += 1
        histogram[3, distance_from(lanes, row + 3 * quarter, queries, query, terms)] += 1
    for row in range(start + 4 * quarter, stop):
        histogram[0, distance_from(lanes, row, queries, query, terms)] += 1


@kernel
def _add(histogram, first, totals):
    """Add the rows of `histogram` (4, D), from `first` on, to `totals` (K + 1,), and clear them."""
    for distance in range(len(totals)):
        for turn in range(4):
            totals[distance] += histogram[turn, first + distance]
            histogram[turn, first + distance] = 0


@kernel
def count_ranges(lanes, queries, first, last, others, relevant, terms):
    """Add histograms of relevant codes to `relevant` (Q, K + 1), of the others to `others`.

    The codes relevant to a query are `first[query]` to `last[query]`: sorted by class, relevance
    costs nothing.
    """
    histogram = np.zeros((4, largest_distance(terms) + 1), np.uint32)
    count = lanes.shape[1]
    for block in range(0, count, _HISTOGRAM_BLOCK):
        end = min(block + _HISTOGRAM_BLOCK, count)
        for query in range(len(queries)):
            left = min(max(first[query], block), end)
            right = min(max(last[query], left), end)
            if right > left:
                _count_rows(lanes, left, right, queries, query, histogram, terms)
                _add(histogram, 0, relevant[query])
            _count_rows(lanes, block, left, queries, query, histogram, terms)
            _count_rows(lanes, right, end, queries, query, histogram, terms)
            _add(histogram, 0, others[query])


@kernel
def _mask_range(start, stop, mask):
    """Let `mask` (WORDS,) be the codes `start` to `stop` of a block."""
    mask[:] = 0
    for code in range(start, stop):
        mask[code % WORDS] |= np.uint64(1) << np.uint64(code // WORDS)


@kernel
def count_ranges_sliced(
    lanes, first, last, others, relevant, patterns, places, planes, tables, histograms, parts
):
    """`count_ranges` on bit planes: several codes a cycle. For codes that are not too long.

    `tables` has room for several blocks, which are read for a query after the other; `histograms`
    (2 R, WORDS), zeros, is scratch, first for relevant codes, then for others.
    """
    count, groups = lanes.shape[1], len(places) // 3
    half = len(histograms) // 2
    together = len(tables) // groups * BLOCK
    padded = np.zeros((lanes.shape[0], BLOCK), np.uint64)
    mask, everything = np.zeros(WORDS, np.uint64), np.zeros(WORDS, np.uint64)
    _mask_range(0, BLOCK, everything)
    for start in range(0, count, together):
        stop = min(start + together, count)
        for block in range(start, stop, BLOCK):
            first_group = (block - start) // BLOCK * groups
            if block + BLOCK <= count:
                slice_block(lanes, block, planes, places, tables, first_group)
            else:
                padded[:, : count - block] = lanes[:, block:]
                slice_block(padded, 0, planes, places, tables, first_group)
        for query in range(len(others)):
            for block in range(start, stop, BLOCK):
                first_group = (block - start) // BLOCK * groups
                size = min(BLOCK, stop - block)
                left = min(max(first[query] - block, 0), size)
                right = min(max(last[query] - block, left), size)
                if size == BLOCK and right - left in (0, BLOCK):
                    row = half if left == right else 0
                    count_distances(
                        tables, first_group, patterns, query, everything, histograms, row, parts
                    )
                    continue
                for row, begin, end in ((0, left, right), (half, 0, left), (half, right, size)):
                    if end > begin:
                        _mask_range(begin, end, mask)
                        count_distances(
                            tables, first_group, patterns, query, mask, histograms, row, parts
                        )
            for distance in range(others.shape[1]):
                relevant[query, distance] += np.int64(histograms[distance].sum())
                others[query, distance] += np.int64(histograms[half + distance].sum())
            histograms[:] = 0


@kernel
def count_shared(lanes, queries, labels, query_labels, others, relevant, terms, label_words):
    """`count_ranges` where the relevant codes are those that share a label with the query.

    `labels` (V, N) and `query_labels` (Q, V) are uint64, a bit per label.
    """
    distances = largest_distance(terms) + 1
    # The histogram of the codes without a shared label, then that of those with one.
    histogram = np.zeros((4, 2 * distances), np.uint32)
    count = lanes.shape[1]
    for block in range(0, count, _HISTOGRAM_BLOCK):
        end = min(block + _HISTOGRAM_BLOCK, count)
        for query in range(len(queries)):
            for row in range(block, end):
                shared = np.uint64(0)
                for word in range(len(label_words)):
                    shared |= labels[word, row] & query_labels[query, word]
                place = distance_from(lanes, row, queries, query, terms)
                if shared:
                    place += distances
                histogram[row & 3, place] += 1
            _add(histogram, 0, others[query])
            _add(histogram, distances, relevant[query])
