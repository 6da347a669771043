"""The compiled loops of Hamming search (numba): importing a module of these loads a compiler.

Results are keys, distance << ROW_BITS | row, so that their order is that of (distance, row). The
lanes are (W, N) uint64, queries (Q, W) uint64. Tuples named `terms`, `words`, `likely`, `parts`,
`columns` and `label_words` are there for their lengths, which numba knows when it compiles: so each
number of words gets loops of its own from one text. The items of `terms` are those of a distance,
where parts of a code may weigh more than others: see `Term` in measure.py.
"""
