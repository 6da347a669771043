# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""The scan that reads lanes as they are, and the candidates that every scan keeps.

A block of 512 codes is read by xor, popcount and the running minimum, which the compiler turns into
full vector registers. Only a block whose minimum is below the bound is read again, by its parts. A
single query so runs at the speed of memory.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming.kernels.compiling import inlined_kernel, kernel
from bitcodes.hamming.kernels.planes import BLOCK, popcount, prefetch
from bitcodes.hamming.plain import MISSING, ROW_BITS

_PART = 64
"""Codes of a block that are looked at again at a time, if one of them may be near enough."""

SPAN = 64
"""Distances that a falling bound passes at once where no more than k codes lie below them."""


@inlined_kernel
def distance_from(lanes, row, queries, query, terms):
    """The distance of a code from a query: the sum of its `terms`."""
    place = np.uint64(row)  # signed, it could be negative, and a loop over it is not vectorised
    distance = 0
    for term in range(len(terms)):
        lane, mask, shift = terms[term]
        distance += popcount((lanes[lane, place] ^ queries[query, lane]) & mask) << shift
    return distance


@inlined_kernel
def largest_distance(terms):
    """The largest distance of two codes."""
    largest = 0
    for term in range(len(terms)):
        _, mask, shift = terms[term]
        largest += popcount(mask) << shift
    return largest


class Candidates(NamedTuple):
    """The nearest codes of Q queries so far, and how near another code must be."""

    bounds: NDArray[np.int64]
    """(Q,) only codes nearer than this are kept."""
    keys: NDArray[np.int64]
    """(Q, room), in the order of rows."""
    counts: NDArray[np.int64]
    """(Q,) how many there are."""
    nearer: NDArray[np.int64]
    """(Q,) how many there are nearer than the bound, for the k nearest."""
    histograms: NDArray[np.int32]
    """(Q, D + 1) how many there were at each distance, for the k nearest."""
    spans: NDArray[np.int32]
    """(Q, D // SPAN + 1) the same for every SPAN distances: weighted, bounds fall far."""


@kernel
def _cut_back(query, k, bounds, keys, counts, nearer):
    """Keep the k nearest candidates of a query that has more."""
    ties = k - nearer[query]
    size = 0
    for place in range(counts[query]):
        key = keys[query, place]
        distance = key >> ROW_BITS
        tie = distance == bounds[query]
        keys[query, size] = key
        size += distance < bounds[query] or (tie and ties > 0)
        ties -= tie
    counts[query] = size


@kernel
def share_bounds(candidates, best):
    """Lower the bounds of `candidates` to `best` (Q,), those of all threads, and the other way."""
    bounds, _, _, nearer, histograms, _ = candidates
    for query in range(len(best)):
        best[query] = min(best[query], bounds[query])
        # At the k-th distance of another thread, an earlier row can still win.
        if best[query] + 1 < bounds[query]:
            bounds[query] = best[query] + 1
            nearer[query] = histograms[query, : bounds[query]].sum()


@kernel
def sort_nearest(candidates, k):
    """The k least keys of each query (Q, k), sorted, MISSING behind them.

    By counting distances, for candidates are in the order of rows already; few are compared.
    """
    bounds, keys, counts, nearer, histograms, _ = candidates
    nearest = np.full((len(bounds), k), MISSING, np.int64)
    places = np.empty(histograms.shape[1] + 1, np.int64)
    for query in range(len(bounds)):
        _cut_back(query, k, bounds, keys, counts, nearer)
        count = counts[query]
        if 8 * count < len(places):
            nearest[query, :count] = keys[query, :count]
            nearest[query, :count].sort()
            continue
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


@inlined_kernel
def _lower_bound(query, k, bounds, nearer, histograms, spans):
    """Lower the bound of a query until fewer than k candidates are nearer."""
    bound, count = bounds[query], nearer[query]
    while count >= k:
        span = bound // SPAN - 1
        if bound % SPAN == 0 and count - spans[query, span] >= k:
            bound -= SPAN
            count -= spans[query, span]
        else:
            bound -= 1
            count -= histograms[query, bound]
    bounds[query], nearer[query] = bound, count


@kernel
def keep(hits, size, query, k, bounds, keys, counts, nearer, histograms, spans):
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
        spans[query, distance // SPAN] += 1
        nearer[query] += 1
        if nearer[query] >= k:
            # The k-th is nearer than the bound; a later row at its distance loses against it.
            _lower_bound(query, k, bounds, nearer, histograms, spans)
        if counts[query] == keys.shape[1]:
            _cut_back(query, k, bounds, keys, counts, nearer)


@inlined_kernel
def _least(lanes, start, stop, queries, query, terms):
    """The least distance of the codes `start` to `stop`."""
    least = largest_distance(terms) + 1
    for row in range(start, stop):
        least = min(least, distance_from(lanes, row, queries, query, terms))
    return least


@inlined_kernel
def _find_one_by_one(lanes, start, stop, queries, query, bound, hits, size, terms):
    """Add the keys of the codes `start` to `stop` below the bound to the `size` of `hits`."""
    for row in range(start, stop):
        distance = distance_from(lanes, row, queries, query, terms)
        hits[size] = (distance << ROW_BITS) | row
        size += distance < bound
    return size


@kernel
def find(lanes, start, stop, queries, query, bound, hits, likely, terms):
    """Write the keys of the codes `start` to `stop` below the bound in `hits`; return how many.

    A tuple `likely` that is not empty tells that there are some: where there are none, one minimum
    of all is fastest.
    """
    size = 0
    if len(likely) == 0 and _least(lanes, start, stop, queries, query, terms) >= bound:
        return size
    parts = (stop - start) // _PART
    for part in range(parts):
        first = start + part * _PART  # a part's length is known when it is compiled
        if _least(lanes, first, first + _PART, queries, query, terms) < bound:
            last = first + _PART
            size = _find_one_by_one(lanes, first, last, queries, query, bound, hits, size, terms)
    first = start + parts * _PART
    return _find_one_by_one(lanes, first, stop, queries, query, bound, hits, size, terms)


@kernel
def finished(k, bounds, keys, counts):
    """Whether to stop before the next block: none can be nearer, or (k = 0) keys may run over."""
    open_queries = False
    for query in range(len(bounds)):
        open_queries |= bounds[query] > 0
        if k == 0 and counts[query] > keys.shape[1] - BLOCK:
            return True
    return not open_queries


@inlined_kernel
def prefetch_block(lanes, block, part, parts):
    """Ask for one of `parts` parts of the codes of the block at `block`, before they are needed.

    By itself, a processor looks ahead only to the end of a page, which is the end of a block.
    """
    size = BLOCK // 8 // parts + 1  # cache lines
    for word in range(lanes.shape[0]):
        start = word * lanes.shape[1] + block
        for line in range(part * size, min((part + 1) * size, BLOCK // 8)):
            prefetch(lanes, start + 8 * line)


@kernel
def _scan(lanes, start, stop, queries, candidates, k, likely, terms):
    bounds, keys, counts, nearer, histograms, spans = candidates
    hits = np.empty(BLOCK, np.int64)
    for block in range(start, stop, BLOCK):
        if finished(k, bounds, keys, counts):
            return block if k == 0 else stop
        for query in range(len(queries)):
            prefetch_block(lanes, block + BLOCK, query, len(queries))
            end = min(block + BLOCK, stop)
            size = find(lanes, block, end, queries, query, bounds[query], hits, likely, terms)
            if size:
                keep(hits, size, query, k, bounds, keys, counts, nearer, histograms, spans)
    return stop


@kernel
def scan(lanes, start, stop, queries, candidates, k, terms):
    """Keep the codes `start` to `stop` that are below the bounds of `candidates` there.

    With `k`, bounds fall to the k-th distance. With k = 0 they stay, and the scan ends early when
    less than a block's room is left. Returns the row to go on from.
    """
    # In no special order, a code is among the k nearest of the n so far in k of n cases.
    border = min(max(start, 2 * k * BLOCK), stop)
    _scan(lanes, start, border, queries, candidates, k, (0,), terms)
    return _scan(lanes, border, stop, queries, candidates, k, (), terms)


@kernel
def nearest_of_few(lanes, queries, k, radius, room, terms):
    """The k least keys (Q, k) of few queries in one call, MISSING where there are fewer.

    For small searches, in which Python would take longer than the scan.
    """
    count = len(queries)
    bounds = np.full(count, radius + 1, np.int64)
    keys = np.empty((count, room), np.int64)
    counts, nearer = np.zeros(count, np.int64), np.zeros(count, np.int64)
    histograms = np.zeros((count, largest_distance(terms) + 1), np.int32)
    spans = np.zeros((count, histograms.shape[1] // SPAN + 1), np.int32)
    candidates = Candidates(bounds, keys, counts, nearer, histograms, spans)
    scan(lanes, 0, lanes.shape[1], queries, candidates, k, terms)
    return sort_nearest(candidates, k)
