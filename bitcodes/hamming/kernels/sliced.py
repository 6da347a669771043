# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""The scan on bit planes, which serves many queries at once.

A block of 512 codes is turned on its side, into bit planes. For every three planes there is a table
of how many of these three bits differ, for every code, from each of the eight patterns that a query
can have there. A query then only adds up its K / 3 rows of the tables with carry-save adders: five
logical operations for as many codes as a register has bits. (The tables are those of the "four
Russians"; the adders are in planes.py.)
"""

import numpy as np

from bitcodes.hamming.kernels.compiling import kernel
from bitcodes.hamming.kernels.planes import (
    BLOCK,
    WORDS,
    bits_at,
    exchange_far,
    exchange_near,
    find_near,
    lowest_one,
    write_table,
)
from bitcodes.hamming.kernels.scan import distance_from, find, finished, keep, prefetch_block
from bitcodes.hamming.plain import ROW_BITS


@kernel
def slice_block(lanes, start, planes, places, tables, first_group):
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


@kernel
def scan_sliced(lanes, start, stop, queries, candidates, k, terms, slicing):
    """`scan` for many queries; `slicing` is what `find_near` and `slice_block` need.

    Of that, `planes` and `tables` are scratch.
    """
    places, patterns, planes, tables, parts, columns = slicing
    highest = 1 << len(columns)  # the highest bound that the adders can tell
    near = np.zeros(WORDS, np.uint64)
    bounds, keys, counts, nearer, histograms, spans = candidates
    hits = np.empty(BLOCK, np.int64)
    for block in range(start, stop, BLOCK):
        if finished(k, bounds, keys, counts):
            return block if k == 0 else stop
        whole = block + BLOCK <= stop
        if whole:
            slice_block(lanes, block, planes, places, tables, 0)
        for query in range(len(queries)):
            prefetch_block(lanes, block + BLOCK, query, len(queries))
            bound = bounds[query]
            if bound <= 0:
                continue
            size = 0
            if bound > highest or not whole:
                end = min(block + BLOCK, stop)
                size = find(lanes, block, end, queries, query, bound, hits, (0,), terms)
            elif find_near(tables, patterns, query, bound, near, parts, columns):
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
                        distance = distance_from(lanes, row, queries, query, terms)
                        hits[size] = (distance << ROW_BITS) | row
                        size += 1
            if size:
                keep(hits, size, query, k, bounds, keys, counts, nearer, histograms, spans)
    return stop
