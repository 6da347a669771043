"""The multi-index: building and extending tables of codes by their parts; see tables.py."""

import math
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import code_lanes, to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming.fallback import with_kernels
from bitcodes.hamming.grouped import extend_groups
from bitcodes.hamming.index import GroupedIndex, Index
from bitcodes.hamming.tables import Method, Tables, TableSearch, arranged
from bitcodes.hamming.threads import in_order

CODES_PER_VALUE = 32
"""About how many codes a value of a part should have: as many as are read while one is found."""

_SAMPLES = 32
"""Codes of the index that are searched for to know what searches cost."""

_PART_BITS = (4, 26)
"""Least and most bits of a part."""


class MultiIndex(Index):
    """A grouped index with tables of its codes. `with_tables` makes it.

    Answers are those of a scan. `method` says whether searches use the tables, see TableSearch.
    Counting and pairs do not use them.
    """

    def __init__(self, grouped: GroupedIndex, tables: Tables, method: Method = "auto") -> None:
        groups = grouped.groups
        # Where each code has one row, there is nothing to look up.
        starts = groups.starts[:0] if groups.all_distinct else groups.starts
        self.table_search = TableSearch(grouped.scanner, starts, tables, method)
        super().__init__(grouped.scanner, groups, self.table_search)
        self.grouped = grouped
        self.distinct = grouped.distinct
        self.tables = tables

    @property
    def method(self) -> Method:
        """Whether searches use the tables: "tables", "scan" or what is faster, "auto"."""
        return self.table_search.method

    @method.setter
    def method(self, method: Method) -> None:
        self.table_search.method = method

    def gain(self, k: int | None = None, radius: int | None = None, queries: int = 1) -> float:
        """How many times faster the tables should be than a scan: a guess, from samples."""
        return self.table_search.gain(k, radius, queries)


def with_tables(
    grouped: GroupedIndex, method: Method = "auto", parts: int | None = None
) -> MultiIndex:
    """Add tables to a grouped index: `parts` of them, by default what is fastest.

    They take parts * (8 ceil(bits / 64) + 4) bytes per distinct code. Raises CodeSetError for more
    codes than 32 bits can number, and where the kernels cannot be compiled.
    """
    bits = grouped.bits
    if len(grouped.distinct) >= 1 << 32:
        raise CodeSetError(
            f"tables hold up to {(1 << 32) - 1:,} distinct codes, found {len(grouped.distinct):,}; "
            "split the code set"
        )
    parts = parts or default_parts(len(grouped.distinct), bits)
    cuts = np.arange(parts + 1) * bits // parts
    none = Tables(
        cuts,
        np.zeros((parts, (1 << int(np.diff(cuts).max())) + 1), np.uint32),
        np.empty((parts, 0, code_lanes(bits)), np.uint64),
        np.empty((parts, 0), np.uint32),
        np.empty((0, 0, 2)),
    )
    return with_kernels(lambda _: _merged(grouped, none, grouped.distinct, method), _refuse)


def extend(index: MultiIndex, added: NDArray[np.uint8]) -> MultiIndex:
    """The index of the same codes and some more rows behind them, packed (A, B).

    Merges them in, in passes over the tables: several times faster than building anew.
    """
    return with_kernels(lambda _: _extended(index, added), _refuse)


def _extended(index: MultiIndex, added: NDArray[np.uint8]) -> MultiIndex:
    from bitcodes.hamming.kernels import probing

    new_codes = arranged(to_lanes(added, index.bits), index.bits)
    known = probing.find_codes(index.tables, new_codes)
    groups = extend_groups(index.grouped.groups, added, index.bits, known)
    grouped = GroupedIndex(groups, index.bits, index.threads)
    new = grouped.distinct[len(index.distinct) :]
    return _merged(grouped, index.tables, new, index.method)


def _refuse() -> NoReturn:
    raise CodeSetError(
        "tables need the search kernels, which cannot be compiled here: install a version of numba "
        "that works, or build the index without tables (--no-tables)"
    )


def default_parts(count: int, bits: int) -> int:
    """Into how many parts to cut codes: so that a value of a part has some CODES_PER_VALUE codes.

    The paper has one code for a value. But where the codes of a value lie is a read from anywhere
    in memory, which takes as long as reading several tens of codes that lie together.
    """
    least, most = _PART_BITS
    part_bits = round(math.log2(max(count, 1) / CODES_PER_VALUE))
    return min(bits, -(-bits // min(max(part_bits, least), most)))


def _merged(
    grouped: GroupedIndex, old: Tables, added: NDArray[np.uint8], method: Method
) -> MultiIndex:
    """The index of a grouped one with the tables `old`, and the codes `added` merged into them."""
    from bitcodes.hamming.kernels import probing

    count = len(grouped.distinct)
    parts, _, words = old.codes.shape
    new_codes = arranged(to_lanes(added, grouped.bits), grouped.bits)
    offsets = np.empty_like(old.offsets)
    codes = np.empty((parts, count, words), np.uint64)
    ids = np.empty((parts, count), np.uint32)

    def fill(part: int) -> None:
        arguments = [old.offsets[part], old.codes[part], old.ids[part], new_codes]
        arguments += [*old.cuts[part : part + 2], offsets[part], codes[part], ids[part]]
        probing.fill_table(*arguments)

    for _ in in_order(fill, range(parts), grouped.threads):
        pass
    cuts = np.array(old.cuts)  # no longer part of a mapped file, which is to be replaced
    tables = Tables(cuts, offsets, codes, ids, np.empty((0, 0, 2)))
    samples = np.unique(np.linspace(0, max(count - 1, 0), _SAMPLES).astype(np.int64)[:count])
    search = MultiIndex(grouped, tables).table_search
    costs = search.costs_of(to_lanes(grouped.distinct[samples], grouped.bits))
    return MultiIndex(grouped, tables._replace(costs=costs), method)
