"""The compiled loops of Hamming search (numba): importing a module of these loads a compiler.

Results are keys, distance << ROW_BITS | row, so that their order is that of (distance, row). The
lanes are (W, N) uint64, queries (Q, W) uint64. Tuples named `words`, `likely`, `parts`, `columns`
and `label_words` are there for their lengths, which numba knows when it compiles: so each number of
words gets loops of its own from one text. The items of `words` say by how many bits the distance in
a word is shifted, where parts of a code weigh more than others; see measure.py.
"""
