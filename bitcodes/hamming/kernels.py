# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""The compiled loops of Hamming search (numba): importing this module loads a compiler.

Two ways to find the codes nearer to a query than its bound, a block of 512 codes at a time:

- `scan` reads the lanes as they are: xor, popcount and the running minimum of a block, which the
  compiler turns into full vector registers. Only a block whose minimum beats the bound is read
  again, by its parts. A single query so runs at the speed of memory.
- `scan_sliced` serves many queries at once. It turns a block on its side, into bit planes, and
  writes for each three planes a table: how many of these three bits of every code differ from each
  of the eight patterns that a query can have there. A query then only adds up its K / 3 rows of the
  tables, with carry-save adders: five logical operations for as many codes as a register has bits.
  (The tables are those of the "four Russians"; the adders are in planes.py.)

Results are keys, distance << ROW_BITS | row, so that their order is that of (distance, row). The
lanes are (W, N) uint64, queries (Q, W) uint64. Tuples
named `words`, `likely`, `numbers`, `columns` and `label_words` are there for their lengths, which
numba knows when it compiles: so each number of words gets loops of its own from one text.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bitcodes.hamming.plain import MISSING, ROW_BITS
from bitcodes.hamming.planes import (
    BLOCK,
    WORDS,
    bits_at,
    count_distances,
    exchange_far,
    exchange_near,
    find_near,
    lowest_one,
    popcount,
    prefetch,
    write_table,
)

_PART = 64
"""Codes of a block that are looked at again at a time, if the nearest of them is wanted."""

_HISTOGRAM_BLOCK = 1 << 14
"""Codes that are counted for all queries while they are in the second-level cache."""


@njit(nogil=True, cache=True, inline="always")
def _distance(lanes, row, queries, query, words):
    place = np.uint64(row)  # signed, it could be negative, and a loop over it is not vectorised
    distance = 0
    for word in range(len(words)):
        distance += popcount(lanes[word, place] ^ queries[query, word])
    return distance


# --- candidates -----------------------------------------------------------------------------------


class Candidates(NamedTuple):
    """The codes found for Q queries so far, and what it takes to be among them."""

    bounds: NDArray[np.int64]
    """(Q,) only codes nearer than this are wanted."""
    keys: NDArray[np.int64]
    """(Q, room), in the order of rows."""
    counts: NDArray[np.int64]
    """(Q,) how many there are."""
    nearer: NDArray[np.int64]
    """(Q,) how many there are nearer than the bound, for the k nearest."""
    histograms: NDArray[np.int32]
    """(Q, 64 W + 1) how many there were at each distance, for the k nearest."""


@njit(nogil=True, cache=True)
def _cut_back(query, k, bounds, keys, counts, nearer):
    """Keep the k nearest candidates of a query that has more."""
    ties = k - nearer[query]
    kept = 0
    for place in range(counts[query]):
        key = keys[query, place]
        distance = key >> ROW_BITS
        tie = distance == bounds[query]
        keys[query, kept] = key
        kept += distance < bounds[query] or (tie and ties > 0)
        ties -= tie
    counts[query] = kept


@njit(nogil=True, cache=True)
def share_bounds(found, best):
    """Lower the bounds of `found` by `best` (Q,), those of other threads, and these by the own."""
    bounds, _, _, nearer, histograms = found
    for query in range(len(best)):
        best[query] = min(best[query], bounds[query])
        # At the k-th distance of another thread, an earlier row can still win.
        if best[query] + 1 < bounds[query]:
            bounds[query] = best[query] + 1
            nearer[query] = histograms[query, : bounds[query]].sum()


@njit(nogil=True, cache=True)
def sort_nearest(found, k):
    """The k least keys of each query (Q, k), sorted, MISSING behind them.

    By counting distances: candidates are in the order of rows already.
    """
    bounds, keys, counts, nearer, histograms = found
    nearest = np.full((len(bounds), k), MISSING, np.int64)
    places = np.empty(histograms.shape[1] + 1, np.int64)
    for query in range(len(bounds)):
        _cut_back(query, k, bounds, keys, counts, nearer)
        places[:] = 0
        for candidate in range(counts[query]):
            places[(keys[query, candidate] >> ROW_BITS) + 1] += 1
        for distance in range(1, len(places)):
            places[distance] += places[distance - 1]
        for candidate in range(counts[query]):
            key = keys[query, candidate]
            distance = key >> ROW_BITS
            nearest[query, places[distance]] = key
            places[distance] += 1
    return nearest


@njit(nogil=True, cache=True)
def _keep(hits, size, query, k, bounds, keys, counts, nearer, histograms):
    """Note the first `size` keys of `hits`; the bound falls as soon as k codes are nearer.

    (Candidates come one by one, for numba counts references to the arrays of a tuple at each use.)
    """
    for hit in range(size):
        key = hits[hit]
        distance = key >> ROW_BITS
        if distance >= bounds[query]:
            continue
        keys[query, counts[query]] = key
        counts[query] += 1
        if k == 0:
            continue
        histograms[query, distance] += 1
        nearer[query] += 1
        while nearer[query] >= k:
            # The k-th is nearer than the bound; a later row at its distance loses against it.
            bounds[query] -= 1
            nearer[query] -= histograms[query, bounds[query]]
        if counts[query] == keys.shape[1]:
            _cut_back(query, k, bounds, keys, counts, nearer)


@njit(nogil=True, cache=True, inline="always")
def _least(lanes, start, stop, queries, query, words):
    """The least distance of the codes `start` to `stop`."""
    least = 64 * len(words) + 1
    for row in range(start, stop):
        least = min(least, _distance(lanes, row, queries, query, words))
    return least


@njit(nogil=True, cache=True, inline="always")
def _find_one_by_one(lanes, start, stop, queries, query, bound, hits, size, words):
    """Add the keys of the codes `start` to `stop` below the bound to the `size` of `hits`."""
    for row in range(start, stop):
        distance = _distance(lanes, row, queries, query, words)
        hits[size] = (distance << ROW_BITS) | row
        size += distance < bound
    return size


@njit(nogil=True, cache=True)
def _find(lanes, start, stop, queries, query, bound, hits, likely, words):
    """Write the keys of the codes `start` to `stop` below the bound in `hits`; return how many.

    A tuple `likely` that is not empty tells that there are some: where there are none, one minimum
    of all is fastest.
    """
    size = 0
    if len(likely) == 0 and _least(lanes, start, stop, queries, query, words) >= bound:
        return size
    parts = (stop - start) // _PART
    for part in range(parts):
        first = start + part * _PART  # a part's length is known when it is compiled
        if _least(lanes, first, first + _PART, queries, query, words) < bound:
            last = first + _PART
            size = _find_one_by_one(lanes, first, last, queries, query, bound, hits, size, words)
    first = start + parts * _PART
    return _find_one_by_one(lanes, first, stop, queries, query, bound, hits, size, words)


@njit(nogil=True, cache=True)
def _finished(k, bounds, keys, counts):
    """Whether to stop before the next block: none can be nearer, or (k = 0) keys may run over."""
    wanted = False
    for query in range(len(bounds)):
        if bounds[query] > 0:
            wanted = True
        if k == 0 and counts[query] > keys.shape[1] - BLOCK:
            return True
    return not wanted


@njit(nogil=True, cache=True, inline="always")
def _prefetch(lanes, block, part, parts):
    """Ask for one of `parts` parts of the codes of the block at `block`, before they are needed.

    By itself, a processor looks ahead only to the end of a page, which is the end of a block.
    """
    size = BLOCK // 8 // parts + 1  # cache lines
    for word in range(lanes.shape[0]):
        start = word * lanes.shape[1] + block
        for line in range(part * size, min((part + 1) * size, BLOCK // 8)):
            prefetch(lanes, start + 8 * line)


@njit(nogil=True, cache=True)
def _scan(lanes, start, stop, queries, found, k, likely, words):
    bounds, keys, counts, nearer, histograms = found
    hits = np.empty(BLOCK, np.int64)
    for block in range(start, stop, BLOCK):
        if _finished(k, bounds, keys, counts):
            return block if k == 0 else stop
        for query in range(len(queries)):
            _prefetch(lanes, block + BLOCK, query, len(queries))
            end = min(block + BLOCK, stop)
            size = _find(lanes, block, end, queries, query, bounds[query], hits, likely, words)
            if size:
                _keep(hits, size, query, k, bounds, keys, counts, nearer, histograms)
    return stop


@njit(nogil=True, cache=True)
def scan(lanes, start, stop, queries, found, k, words):
    """Keep the codes `start` to `stop` that are below the bounds of `found` there.

    With `k`, bounds fall to the k-th distance. With k = 0 they stay, and the scan ends early when
    less than a block's room is left. Returns the row to go on from.
    """
    # In no special order, a code is among the k nearest of the n so far in k of n cases.
    border = min(max(start, 2 * k * BLOCK), stop)
    _scan(lanes, start, border, queries, found, k, (0,), words)
    return _scan(lanes, border, stop, queries, found, k, (), words)


@njit(nogil=True, cache=True)
def nearest_of_few(lanes, queries, k, radius, room, words):
    """The k least keys (Q, k) of few queries in one call, MISSING where there are fewer.

    For small searches, in which Python would take longer than the scan.
    """
    count, highest = len(queries), 64 * len(words)
    bounds = np.full(count, radius + 1, np.int64)
    keys = np.empty((count, room), np.int64)
    counts, nearer = np.zeros(count, np.int64), np.zeros(count, np.int64)
    histograms = np.zeros((count, highest + 1), np.int32)
    found = Candidates(bounds, keys, counts, nearer, histograms)
    scan(lanes, 0, lanes.shape[1], queries, found, k, words)
    return sort_nearest(found, k)


# --- many queries ---------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _slice_block(lanes, start, planes, places, tables, first_group):
    """Turn BLOCK codes into `planes` (64 W + 1, WORDS), the last one zero, and fill the `tables`.

    `places` (3 G,) are the planes of the G groups, whose tables begin at `first_group`.
    """
    count = lanes.shape[1]
    for word in range(lanes.shape[0]):
        base = word * BLOCK
        for row in range(8):
            exchange_far(lanes, word * count + start + row * WORDS, planes, base + row * WORDS)
        for row in range(0, 64, 8):
            exchange_near(planes, base + row * WORDS, planes, base + row * WORDS)
    for group in range(len(places) // 3):
        first, second, third = places[3 * group], places[3 * group + 1], places[3 * group + 2]
        write_table(planes, first, second, third, tables, first_group + group)


@njit(nogil=True, cache=True)
def scan_sliced(
    lanes,
    start,
    stop,
    queries,
    found,
    k,
    words,
    places,
    patterns,
    carries,
    planes,
    tables,
    numbers,
    columns,
):
    """`scan` for many queries; the further arguments are those of `find_near` and `_slice_block`.

    `planes` and `tables` are scratch.
    """
    highest = 1 << len(columns)  # the highest bound that the adders can tell
    near = np.zeros(WORDS, np.uint64)
    bounds, keys, counts, nearer, histograms = found
    hits = np.empty(BLOCK, np.int64)
    for block in range(start, stop, BLOCK):
        if _finished(k, bounds, keys, counts):
            return block if k == 0 else stop
        whole = block + BLOCK <= stop
        if whole:
            _slice_block(lanes, block, planes, places, tables, 0)
        for query in range(len(queries)):
            _prefetch(lanes, block + BLOCK, query, len(queries))
            bound = bounds[query]
            if bound <= 0:
                continue
            size = 0
            if bound > highest or not whole:
                end = min(block + BLOCK, stop)
                size = _find(lanes, block, end, queries, query, bound, hits, (0,), words)
            elif find_near(tables, patterns, query, carries, bound, near, numbers, columns):
                some = np.uint64(0)  # bit r: one of the codes 8 r to 8 r + 7
                for word in near:
                    some |= word
                while some:
                    place = lowest_one(some)
                    some &= some - np.uint64(1)
                    eight = bits_at(near, place)
                    while eight:
                        row = block + WORDS * place + lowest_one(eight)
                        eight &= eight - np.uint64(1)
                        distance = _distance(lanes, row, queries, query, words)
                        hits[size] = (distance << ROW_BITS) | row
                        size += 1
            if size:
                _keep(hits, size, query, k, bounds, keys, counts, nearer, histograms)
    return stop


# --- pairs ----------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def compare_in_groups(lanes, start, stop, ends, masks, part, radius, found, words):
    """Write the pairs (place, later place of its group, distance) within the radius in `found`.

    Of the pairs that begin at `start` to `stop`, those whose codes have no part before `part` in
    common. `found` (3, M) has room for all; returns how many there are.
    """
    size = 0
    for place in range(start, stop):
        for other in range(place + 1, ends[place]):
            distance = 0
            for word in range(len(words)):
                distance += popcount(lanes[word, place] ^ lanes[word, other])
            if distance > radius:
                continue
            new = True
            for before in range(part):
                apart = np.uint64(0)
                for word in range(len(words)):
                    apart |= (lanes[word, place] ^ lanes[word, other]) & masks[before, word]
                if apart == 0:
                    new = False
                    break
            if new:
                found[0, size], found[1, size], found[2, size] = place, other, distance
                size += 1
    return size


# --- counting -------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _count_rows(lanes, start, stop, queries, query, histogram, words):
    """Add the distances of codes `start` to `stop` to `histogram` (4, D), whose rows take turns.

    Turns keep an addition from waiting for the one before it to the same distance.
    """
    quarter = (stop - start) // 4
    for row in range(start, start + quarter):
        histogram[0, _distance(lanes, row, queries, query, words)] += 1
        histogram[1, _distance(lanes, row + quarter, queries, query, words)] += 1
        histogram[2, _distance(lanes, row + 2 * quarter, queries, query, words)] += 1
        histogram[3, _distance(lanes, row + 3 * quarter, queries, query, words)] += 1
    for row in range(start + 4 * quarter, stop):
        histogram[0, _distance(lanes, row, queries, query, words)] += 1


@njit(nogil=True, cache=True)
def _add(histogram, totals):
    """Add the rows of `histogram` (4, D) to `totals` (K + 1,), and clear them."""
    for distance in range(len(totals)):
        for turn in range(4):
            totals[distance] += histogram[turn, distance]
            histogram[turn, distance] = 0


@njit(nogil=True, cache=True)
def count_ranges(lanes, queries, first, last, total, relevant, words):
    """Add histograms of all distances to `total` (Q, K + 1), of relevant codes to `relevant`.

    The codes relevant to a query are `first[query]` to `last[query]`: sorted by class, relevance
    costs nothing.
    """
    histogram = np.zeros((4, 64 * len(words) + 1), np.uint32)
    count = lanes.shape[1]
    for block in range(0, count, _HISTOGRAM_BLOCK):
        end = min(block + _HISTOGRAM_BLOCK, count)
        for query in range(len(queries)):
            left = min(max(first[query], block), end)
            right = min(max(last[query], left), end)
            if right > left:
                _count_rows(lanes, left, right, queries, query, histogram, words)
                for distance in range(total.shape[1]):
                    for turn in range(4):
                        relevant[query, distance] += histogram[turn, distance]
            _count_rows(lanes, block, left, queries, query, histogram, words)
            _count_rows(lanes, right, end, queries, query, histogram, words)
            _add(histogram, total[query])


@njit(nogil=True, cache=True)
def _mask_range(start, stop, mask):
    """Let `mask` (WORDS,) be the codes `start` to `stop` of a block."""
    mask[:] = 0
    for code in range(start, stop):
        mask[code % WORDS] |= np.uint64(1) << np.uint64(code // WORDS)


@njit(nogil=True, cache=True)
def count_ranges_sliced(
    lanes,
    first,
    last,
    total,
    relevant,
    patterns,
    places,
    planes,
    tables,
    histograms,
    numbers,
):
    """`count_ranges` on bit planes: several codes a cycle. For codes that are not too long.

    `tables` has room for several blocks, which are read for a query after the other; `histograms`
    (2 R, WORDS), zeros, is scratch, first for relevant codes, then for others.
    """
    count, groups = lanes.shape[1], len(places) // 3
    others = len(histograms) // 2
    together = len(tables) // groups * BLOCK
    padded = np.zeros((lanes.shape[0], BLOCK), np.uint64)
    mask, everything = np.zeros(WORDS, np.uint64), np.zeros(WORDS, np.uint64)
    _mask_range(0, BLOCK, everything)
    for start in range(0, count, together):
        stop = min(start + together, count)
        for block in range(start, stop, BLOCK):
            first_group = (block - start) // BLOCK * groups
            if block + BLOCK <= count:
                _slice_block(lanes, block, planes, places, tables, first_group)
            else:
                padded[:, : count - block] = lanes[:, block:]
                _slice_block(padded, 0, planes, places, tables, first_group)
        for query in range(len(total)):
            for block in range(start, stop, BLOCK):
                first_group = (block - start) // BLOCK * groups
                size = min(BLOCK, stop - block)
                left = min(max(first[query] - block, 0), size)
                right = min(max(last[query] - block, left), size)
                if size == BLOCK and right - left in (0, BLOCK):
                    row = others if left == right else 0
                    count_distances(
                        tables, first_group, patterns, query, everything, histograms, row, numbers
                    )
                    continue
                for row, begin, end in ((0, left, right), (others, 0, left), (others, right, size)):
                    if end > begin:
                        _mask_range(begin, end, mask)
                        count_distances(
                            tables, first_group, patterns, query, mask, histograms, row, numbers
                        )
            for distance in range(total.shape[1]):
                for word in range(WORDS):
                    related, other = histograms[distance, word], histograms[others + distance, word]
                    relevant[query, distance] += related
                    total[query, distance] += related + other
            histograms[:] = 0


@njit(nogil=True, cache=True)
def count_shared(lanes, queries, labels, query_labels, total, relevant, words, label_words):
    """`count_ranges` where the relevant codes are those that share a label with the query.

    `labels` (V, N) and `query_labels` (Q, V) are uint64, a bit a label.
    """
    distances = 64 * len(words) + 1
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
                place = _distance(lanes, row, queries, query, words)
                if shared:
                    place += distances
                histogram[row & 3, place] += 1
            for distance in range(total.shape[1]):
                for turn in range(4):
                    relevant[query, distance] += histogram[turn, distances + distance]
                    total[query, distance] += histogram[turn, distances + distance]
                    histogram[turn, distances + distance] = 0
            _add(histogram, total[query])
