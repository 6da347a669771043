# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable, assignment"
"""The compiled loops of multi-index hashing (numba): importing this module loads a compiler.

A code is cut into m parts. A table for each part holds all codes, ordered by that part, and says
where the codes with each value of it begin. The codes whose part is r bits from a query's are found
by looking up all values that far from it: the r-th *ring* of the table.

When table t has been searched up to ring `reach[t]` (-1: not at all), a code that was not seen
differs from the query in more than `reach[t]` bits of every part t, so it is farther away than
sum(reach[t] + 1) - 1 bits, the *proven* distance. Each ring of whichever table proves one bit more:
any order of rings is exact, and the cheapest comes first. (Norouzi, Punjani and Fleet, CVPR 2012,
https://doi.org/10.1109/CVPR.2012.6248043, go round the tables.)

The `tables` are those of tables.py, stacked: the codes of value v of table t are those at
`offsets[t, v]:offsets[t, v + 1]`, in the order of their ids. Codes are read where they lie in the
table, one after another, hence the copies.
"""

import numpy as np

from bitcodes.hamming.kernels.compiling import inlined_kernel, kernel
from bitcodes.hamming.kernels.planes import popcount, prefetch
from bitcodes.hamming.plain import MISSING, ROW_BITS

PROBE = 60.0
"""Nanoseconds that it takes to look up a value and find the place of its codes, about."""

LINE, LATER_LINE = 25.0, 6.0
"""What each of the first cache lines of codes takes there, and of those behind, about."""

_FIRST_LINES = 16
"""How many lines come slowly: then the processor sees that it should read ahead."""

CANDIDATE = 50.0
"""What a code that is near enough takes more, about."""

_AHEAD = 16
"""Values that are looked up together, so that the memory fetches for several at a time."""

_LINES = 2
"""Cache lines of a run of codes that are prefetched."""

_RUN = 16
"""Codes of a value from which their least distance is found first."""


@inlined_kernel
def _part(code, first, last):
    """The bits `first` to `last` of a code (W,), 32 at most, as a number."""
    word, shift = first >> 6, np.uint64(first & 63)
    value = code[word] >> shift
    if shift and (last - 1) >> 6 > word:
        value |= code[word + 1] << (np.uint64(64) - shift)
    return value & ((np.uint64(1) << np.uint64(last - first)) - np.uint64(1))


# --- building -------------------------------------------------------------------------------------


@kernel
def rearrange(lanes, places, codes):
    """Write the codes of `lanes` (W, N) in `codes` (N, W), zeros, with bit places[j] as bit j."""
    for row in range(lanes.shape[1]):
        for bit in range(len(places)):
            one = lanes[places[bit] >> 6, row] >> np.uint64(places[bit] & 63) & np.uint64(1)
            codes[row, bit >> 6] |= one << np.uint64(bit & 63)


@kernel
def fill_table(old_offsets, old_codes, old_ids, added, first, last, offsets, codes, ids):
    """Fill a table from an old one and the codes `added` (A, W), whose ids follow the old ones."""
    values, words = len(offsets) - 1, added.shape[1]
    places = np.zeros(values, np.uint32)  # how many are added, then where the next one goes
    for row in range(len(added)):
        places[_part(added[row], first, last)] += 1
    place = np.uint32(0)
    for value in range(values):
        count = places[value]
        offsets[value] = place
        for old in range(old_offsets[value], old_offsets[value + 1]):
            ids[place] = old_ids[old]
            for word in range(words):
                codes[place, word] = old_codes[old, word]
            place += np.uint32(1)
        places[value] = place
        place += count
    offsets[values] = place
    for row in range(len(added)):
        value = _part(added[row], first, last)
        place = places[value]
        places[value] += np.uint32(1)
        ids[place] = len(old_ids) + row
        for word in range(words):
            codes[place, word] = added[row, word]


# --- searching ------------------------------------------------------------------------------------


@kernel
def _make_room(keys, size, k, bound):
    """Room for more keys; returns (keys, size, the least key that is too far).

    Of the k nearest, those beyond the bound are dropped, and of many ties the last ones. Where all
    are kept (k = 0), the array doubles.
    """
    if k == 0:
        grown = np.empty(2 * len(keys), np.int64)
        grown[:size] = keys[:size]
        return grown, size, MISSING
    kept_size = 0
    for place in range(size):
        keys[kept_size] = keys[place]
        kept_size += keys[place] >> ROW_BITS <= bound
    if kept_size <= (k + len(keys)) // 2:
        return keys, kept_size, MISSING
    keys[:kept_size].sort()
    return keys, k, keys[k - 1]


@inlined_kernel
def _distance(codes, table, place, query, words):
    distance = 0
    for word in range(len(words)):
        distance += popcount(codes[table, place, word] ^ query[word])
    return distance


@kernel
def _least(codes, table, start, end, query, words):
    """The distance of the nearest of the codes at `start` to `end`: a loop that is vectorised."""
    least = 64 * len(words)
    for place in range(np.uint64(start), np.uint64(end)):
        least = min(least, _distance(codes, table, place, query, words))
    return least


@kernel
def _ring_cost(probes, codes, words):
    """Nanoseconds that it takes to look up some values, which together have so many codes."""
    if probes == 0:
        return 0.0
    lines = codes * len(words) / (8.0 * probes) + 0.5
    first = min(lines, _FIRST_LINES)
    return probes * (PROBE + LINE * first + LATER_LINE * (lines - first))


@kernel
def search_tables(tables, query, starts_of, k, radius, budget, keys, histogram, trace, words):
    """The codes within `radius` of a query (W,), with `k` only the nearest of them.

    Those are the first k by (distance, id), and no more than it takes to reach k rows, where the
    rows of a code are `starts_of[id]` to `starts_of[id + 1]`; if it is empty, each has one. Returns
    (keys, how many, nanoseconds spent, about): keys are distance << ROW_BITS | id, in no order.
    `keys` is scratch for at least 2 k + 2, and `histogram` (64 W + 1,), zeros, too. `trace` (T, 2)
    gets, for each distance proven, what was spent, but for candidates, and how many rows were found
    up to it; it may be empty. How many is -1 where the search was given up, for it would cost more
    than the `budget`.
    """
    cuts, offsets, codes, ids, _ = tables
    table_count, values = offsets.shape[0], offsets.shape[1] - 1
    count = codes.shape[1]
    parts = np.empty(table_count, np.uint64)
    reach = np.full(table_count, -1)
    probes = np.ones(table_count)  # of the next ring of each table
    cost = np.empty(table_count)  # of that ring, about
    starts, ends = np.empty(_AHEAD, np.int64), np.empty(_AHEAD, np.int64)
    for table in range(table_count):
        parts[table] = _part(query, cuts[table], cuts[table + 1])
        value = parts[table]
        here = offsets[table, value + np.uint64(1)] - offsets[table, value]
        cost[table] = _ring_cost(1.0, np.int64(here), words)
    bound, nearer, size, last = radius, 0, 0, MISSING  # only keys below `last` are kept
    spent, candidates, proven, traced = 0.0, 0, -1, 0
    while proven < bound:
        table = np.argmin(cost)
        width = cuts[table + 1] - cuts[table]
        reach[table] += 1
        if reach[table] > width:
            break  # a table has been gone through: everything was seen
        if spent + cost[table] + CANDIDATE * candidates > budget:
            return keys, -1, budget
        # The values that differ in reach[table] bits, from the lowest such number on.
        flips = (np.uint64(1) << np.uint64(reach[table])) - np.uint64(1)
        end_of_ring = np.uint64(1) << np.uint64(width)
        looked_up, visited = 0, np.int64(0)
        while flips < end_of_ring:
            ahead = 0
            while ahead < _AHEAD and flips < end_of_ring:
                value = np.int64(parts[table] ^ flips)
                starts[ahead] = value
                prefetch(offsets, table * (values + 1) + value)
                ahead += 1
                if flips == 0:
                    flips = end_of_ring
                else:
                    # The next number with as many ones (Hacker's Delight, 2-1).
                    lowest = flips & (~flips + np.uint64(1))
                    ripple = flips + lowest
                    ones = (flips ^ ripple) >> np.uint64(2)
                    flips = ripple | ones >> np.uint64(popcount(lowest - np.uint64(1)))
            for probe in range(ahead):
                value = starts[probe]
                starts[probe] = np.int64(offsets[table, value])
                ends[probe] = min(np.int64(offsets[table, value + 1]), count)  # whatever it says
                for line in range(_LINES):
                    first = starts[probe] + line * 8 // len(words)
                    if first < ends[probe]:
                        prefetch(codes, (table * count + first) * len(words))
            for probe in range(ahead):
                start, end = starts[probe], ends[probe]
                visited += end - start
                if end - start >= _RUN and _least(codes, table, start, end, query, words) > bound:
                    continue
                for place in range(start, end):
                    distance = _distance(codes, table, place, query, words)
                    if distance > bound:
                        continue
                    key = distance << ROW_BITS | np.int64(ids[table, place])
                    if key >= last:
                        continue
                    candidates += 1
                    # Seen before if another table has been searched as far as its part differs.
                    is_new = True
                    for other in range(table_count):
                        if other != table and reach[other] >= 0:
                            part = _part(codes[table, place], cuts[other], cuts[other + 1])
                            if popcount(part ^ parts[other]) <= reach[other]:
                                is_new = False
                                break
                    if not is_new:
                        continue
                    if size == len(keys):
                        keys, size, too_far = _make_room(keys, size, k, bound)
                        last = min(last, too_far)
                        if key >= last:
                            continue
                    keys[size] = key
                    size += 1
                    if k or len(trace):
                        rows = 1
                        code = ids[table, place]
                        if code + 1 < len(starts_of):
                            rows = starts_of[code + 1] - starts_of[code]
                        histogram[distance] += rows
                        nearer += rows
                        while k and nearer - histogram[bound] >= k:
                            nearer -= histogram[bound]
                            bound -= 1
            looked_up += ahead
            if spent + _ring_cost(looked_up, visited, words) + CANDIDATE * candidates > budget:
                return keys, -1, budget
        spent += _ring_cost(looked_up, visited, words)
        proven += 1
        if traced < len(trace):
            row_count = 0
            for distance in range(proven + 1):
                row_count += histogram[distance]
            trace[traced, 0], trace[traced, 1] = spent, row_count
            traced += 1
        # The next ring: as many codes as its values have on average, or as this one had.
        probes[table] *= (width - reach[table]) / (reach[table] + 1)
        average = probes[table] * count / (1 << width)
        cost[table] = _ring_cost(probes[table], max(average, visited), words)
    return keys, size, spent


@kernel
def nearest_in_tables(tables, queries, starts_of, k, radius, budget, nearest, words):
    """Write the k least keys of each of `queries` (Q, W) in `nearest` (Q, k), MISSING behind them.

    See search_tables. Returns which queries were given up, (Q,).
    """
    keys = np.empty(2 * k + 1024, np.int64)
    histogram = np.zeros(64 * len(words) + 1, np.int64)
    trace = np.empty((0, 2))
    given_up = np.zeros(len(queries), np.bool_)
    for query in range(len(queries)):
        histogram[:] = 0
        keys, size, _ = search_tables(
            tables, queries[query], starts_of, k, radius, budget, keys, histogram, trace, words
        )
        if size < 0:
            given_up[query] = True
            continue
        keys[:size].sort()
        size = min(size, k)
        nearest[query, :size] = keys[:size]
        nearest[query, size:] = MISSING
    return given_up


@kernel
def find_codes(tables, targets):
    """The id of each of the codes `targets` (A, W) in the first table, -1 where it is not there."""
    cuts, offsets, codes, ids, _ = tables
    numbers = np.full(len(targets), -1)
    for row in range(len(targets)):
        value = _part(targets[row], cuts[0], cuts[1])
        for place in range(offsets[0, value], offsets[0, value + np.uint64(1)]):
            same = True
            for word in range(targets.shape[1]):
                same &= codes[0, place, word] == targets[row, word]
            if same:
                numbers[row] = ids[0, place]
                break
    return numbers
