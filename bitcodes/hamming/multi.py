"""Multi-index hashing: exact search that reads only the codes that can be near.

Norouzi, Punjani and Fleet, CVPR 2012, https://doi.org/10.1109/CVPR.2012.6248043, with rings in the
order of their cost (probing.py), and a choice between the tables and a scan that rests on what
searches for some of the index's own codes cost.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import code_lanes, pack_bits, to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.hamming.grouped import GroupedIndex, extend_groups, group
from bitcodes.hamming.threads import THREADED_FROM, in_order

Method = Literal["auto", "tables", "scan"]

T = TypeVar("T")

CODES_PER_VALUE = 32
"""About how many codes a value of a part should have: as many as are read while one is found."""

_PART_BITS = (4, 26)
"""Least and most bits of a part."""

_SAMPLES = 32
"""Codes of the index that are searched for to know what searches cost."""

_SCANNED_WORD = 0.75
"""Nanoseconds that a thread takes to compare a word of a code with few queries, about."""

_SCANNED_BIT = 0.0022, 0.016
"""The same with many queries, each and all together, for each bit."""

_MEMORY_THREADS = 1.6
"""How many times as fast all threads read the codes as one does, about."""

_CALL = 5e4
"""Nanoseconds that a search takes beside all that, about."""

_CANDIDATES = 5
"""Codes that are among the k nearest for a while, for each that is in the end, about."""

MARGIN = 0.8
"""The tables are used where they should take less than this part of a scan's time."""


class Tables(NamedTuple):
    """The codes by each of their parts; see probing.py."""

    cuts: NDArray[np.int64]
    """(m + 1,) the bits at which parts begin, and the last one's end."""
    offsets: NDArray[np.uint32]
    """(m, V + 1)"""
    codes: NDArray[np.uint64]
    """(m, M, W)"""
    ids: NDArray[np.uint32]
    """(m, M)"""
    costs: NDArray[np.float64]
    """(S, T, 2): nanoseconds (about) that a search for sample s had taken when distance t was
    proven, and the rows it had found by then. NaN behind where it would have cost more than a
    scan."""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self)


class MultiIndex(GroupedIndex):
    """A GroupedIndex with tables of its codes by their parts. `build` makes it.

    Answers are those of a scan. With `method` "auto", a search uses the tables where they should be
    faster, by what samples have cost for as many nearest rows or as large a radius; even then a
    query is scanned for once its tables would cost more. Counting and pairs do not use them.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        starts: NDArray[np.int64],
        rows: NDArray[np.int64],
        bits: int,
        tables: Tables,
        threads: int | None = None,
        method: Method = "auto",
    ) -> None:
        super().__init__(codes, starts, rows, bits, threads)
        self.tables = tables
        self.method = method
        self._choices: dict[tuple[int, int, int], bool] = {}  # of `auto`, for queries, k and radius

    def compile(self) -> None:
        """See HammingIndex.compile."""
        chosen = self.method
        try:
            for self.method in ("scan", "tables"):
                super().compile()
        finally:
            self.method = chosen

    def gain(self, k: int | None = None, radius: int | None = None, queries: int = 1) -> float:
        """How many times faster the tables should be than a scan: a guess, from samples."""
        radius = self.bits if radius is None else radius
        scan = self._scan_cost(queries)
        return scan / self._table_cost(queries, k or 0, radius, scan)

    def _uses_tables(self, queries: int, k: int, radius: int) -> bool:
        if not queries or not len(self.distinct) or self.method == "scan":
            return False
        if self.method == "tables":
            return True
        asked = (queries, k, radius)
        if asked not in self._choices:
            scan = self._scan_cost(queries)
            self._choices[asked] = self._table_cost(queries, k, radius, scan) < MARGIN * scan
        return self._choices[asked]

    def _scan_cost(self, queries: int) -> float:
        """Nanoseconds that scanning for some queries takes, about."""
        count, words = len(self.distinct), len(self._words)
        work = queries * count * words
        threads = self.threads if work >= THREADED_FROM else 1
        one_by_one = work * _SCANNED_WORD / min(_MEMORY_THREADS, threads)
        each, together = _SCANNED_BIT
        at_once = count * self.bits * (together + queries * each) / threads
        return _CALL + (one_by_one if queries < 4 else min(one_by_one, at_once))

    def _table_cost(self, queries: int, k: int, radius: int, scan: float) -> float:
        """The same for searching the tables, where what is given up is scanned for as well."""
        from bitcodes.hamming import probing

        spent, found = self.tables.costs[..., 0], self.tables.costs[..., 1]
        if not spent.size:
            return math.inf
        # Each sample finds itself, which a query does not.
        done = np.arange(spent.shape[1]) >= np.full((len(spent), 1), radius)  # (S, T)
        if k:
            done |= found > k
        last = np.arange(len(done)), np.argmax(done, axis=1)
        cost = spent[last] + probing.CANDIDATE * _CANDIDATES * k
        cost[~done.any(axis=1) | np.isnan(cost)] = 2 * scan / queries
        return _CALL + float(cost.mean()) * queries / min(queries, self.threads)

    def _nearest_codes(
        self, query_lanes: NDArray[np.uint64], k: int, radius: int
    ) -> NDArray[np.int64]:
        queries = query_lanes.shape[1]
        if self._is_small(query_lanes) or not self._uses_tables(queries, k, radius):
            return super()._nearest_codes(query_lanes, k, radius)
        from bitcodes.hamming import probing

        asked = _arranged(query_lanes, self.bits)
        found = np.full((queries, k), plain.MISSING, np.int64)

        def search(some: slice) -> NDArray[np.bool_]:
            arguments = [*self._arguments(asked[some], k, radius), found[some], self._words]
            given_up: NDArray[np.bool_] = probing.nearest_in_tables(*arguments)
            return given_up

        given_up = np.concatenate(self._shared_out(search, queries))
        if given_up.any():
            found[given_up] = super()._nearest_codes(query_lanes[:, given_up], k, radius)
        return found

    def _ball_codes(
        self, query_lanes: NDArray[np.uint64], radius: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        queries = query_lanes.shape[1]
        if self._is_small(query_lanes) or not self._uses_tables(queries, 0, radius):
            return super()._ball_codes(query_lanes, radius)
        from bitcodes.hamming import probing

        asked = _arranged(query_lanes, self.bits)

        def search(some: slice) -> list[NDArray[np.int64] | None]:
            found: list[NDArray[np.int64] | None] = []
            scratch = [np.empty(1024, np.int64), np.zeros(1, np.int64), np.empty((0, 2))]
            for query in asked[some]:
                arguments = [*self._arguments(query, 0, radius), *scratch, self._words]
                keys, size, _ = probing.search_tables(*arguments)
                found.append(np.sort(keys[:size]) if size >= 0 else None)
            return found

        found = [keys for share in self._shared_out(search, queries) for keys in share]
        for query, keys in enumerate(found):
            if keys is None:
                here = query_lanes[:, query : query + 1]
                found[query] = super()._ball_codes(here, radius)[1]
        whole = [keys for keys in found if keys is not None]
        return np.cumsum([0, *map(len, whole)]), np.concatenate(whole)

    # What the kernels are given.

    @property
    def _words(self) -> tuple[int, ...]:
        return (0,) * int(self.tables.codes.shape[2])

    def _arguments(self, asked: NDArray[np.uint64], k: int, radius: int) -> list[Any]:
        cuts, offsets, codes, ids, _ = self.tables
        # Where each code has one row, there is nothing to look up.
        starts = self.starts[:0] if self._all_distinct else self.starts
        budget = self._scan_cost(1)
        return [offsets, codes, ids, cuts, asked, starts, k, min(radius, self.bits), budget]

    def _shared_out(self, search: Callable[[slice], T], queries: int) -> list[T]:
        """`search` on some queries after the other, by threads in turns: they take unlike times."""
        size = min(64, -(-queries // (4 * self.threads)))
        shares = [slice(start, start + size) for start in range(0, queries, size)]
        if len(shares) == 1:
            return [search(shares[0])]
        return list(in_order(search, shares, self.threads))


def build(
    codes: NDArray[np.uint8],
    bits: int,
    threads: int | None = None,
    method: Method = "auto",
    parts: int | None = None,
) -> MultiIndex:
    """Build the multi-index of packed codes (N, B): `with_tables` of their groups.

    Raises CodeSetError for codes of a wrong shape, dtype or padding.
    """
    return with_tables(group(codes, bits, threads), method, parts)


def with_tables(
    grouped: GroupedIndex, method: Method = "auto", parts: int | None = None
) -> MultiIndex:
    """Add tables to a grouped index: `parts` of them, by default what is fastest.

    They take parts * (8 ceil(bits / 64) + 4) bytes a distinct code. Raises CodeSetError for more
    codes than 32 bits can number.
    """
    bits = grouped.bits
    if len(grouped.distinct) >= 1 << 32:
        raise CodeSetError(
            f"tables hold up to {(1 << 32) - 1:,} distinct codes, found {len(grouped.distinct):,}; "
            "split the code set"
        )
    if parts is None:
        parts = default_parts(len(grouped.distinct), bits)
    cuts = np.arange(parts + 1) * bits // parts
    words = code_lanes(bits)
    none = Tables(
        cuts,
        np.zeros((parts, (1 << int(np.diff(cuts).max())) + 1), np.uint32),
        np.empty((parts, 0, words), np.uint64),
        np.empty((parts, 0), np.uint32),
        np.empty((0, 0, 2)),
    )
    return _merged(grouped, none, grouped.distinct, method)


def extend(index: MultiIndex, added: NDArray[np.uint8]) -> MultiIndex:
    """The index of the same codes and some more rows behind them, packed (A, B).

    Merges them in, in passes over the tables: several times faster than building anew.
    """
    from bitcodes.hamming import probing

    cuts, offsets, codes, ids, _ = index.tables
    asked = _arranged(to_lanes(added, index.bits), index.bits)
    known = probing.find_codes(offsets, codes, ids, cuts, asked)
    grouped = extend_groups(index, added, known)
    new = grouped.distinct[len(index.distinct) :]
    return _merged(grouped, index.tables, new, index.method)


def default_parts(count: int, bits: int) -> int:
    """Into how many parts to cut codes: so that a value of a part has some CODES_PER_VALUE codes.

    The paper has one code for a value. But where the codes of a value lie is a read from anywhere
    in memory, which takes as long as reading several tens of codes that lie together.
    """
    least, most = _PART_BITS
    wanted = round(math.log2(max(count, 1) / CODES_PER_VALUE))
    return min(bits, -(-bits // min(max(wanted, least), most)))


def _merged(
    grouped: GroupedIndex, old: Tables, added: NDArray[np.uint8], method: Method
) -> MultiIndex:
    """The index of a grouped one with the tables `old`, and the codes `added` merged into them."""
    from bitcodes.hamming import probing

    count = len(grouped.distinct)
    parts, _, words = old.codes.shape
    asked = _arranged(to_lanes(added, grouped.bits), grouped.bits)
    offsets = np.empty_like(old.offsets)
    codes = np.empty((parts, count, words), np.uint64)
    ids = np.empty((parts, count), np.uint32)

    def fill(part: int) -> None:
        arguments = [old.offsets[part], old.codes[part], old.ids[part], asked]
        arguments += [*old.cuts[part : part + 2], offsets[part], codes[part], ids[part]]
        probing.fill_table(*arguments)

    for _ in in_order(fill, range(parts), grouped.threads):
        pass
    tables = Tables(old.cuts, offsets, codes, ids, np.empty((0, 0, 2)))
    index = MultiIndex(
        *(grouped.distinct, grouped.starts, grouped.rows, grouped.bits, tables),
        *(grouped.threads, method),
    )
    index.tables = tables._replace(costs=_costs(index))
    return index


def _costs(index: MultiIndex) -> NDArray[np.float64]:
    """What searches for some of the codes cost: see Tables."""
    from bitcodes.hamming import probing

    if not len(index.distinct):
        return np.empty((0, 0, 2))
    samples = np.unique(np.linspace(0, len(index.distinct) - 1, _SAMPLES).astype(np.int64))
    asked = _arranged(to_lanes(index.distinct[samples], index.bits), index.bits)
    radius = index.bits // 3  # what is farther is found by a scan anyway
    costs = np.full((len(asked), radius + 1, 2), np.nan)
    for query, trace in zip(asked, costs, strict=True):
        histogram = np.zeros(64 * len(index._words) + 1, np.int64)
        arguments = [*index._arguments(query, 0, radius), np.empty(1024, np.int64), histogram]
        arguments += [trace, index._words]
        probing.search_tables(*arguments)
    return costs


def _arranged(lanes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Lanes (W, N) code by code, (N, W), with the padding moved behind all bits."""
    from bitcodes.hamming import probing

    if bits % 8 == 0:
        return np.ascontiguousarray(lanes.T)
    used = to_lanes(pack_bits(np.ones((1, bits), np.bool_)), bits)  # (W, 1)
    places = np.flatnonzero(used >> np.arange(64, dtype=np.uint64) & np.uint64(1))  # (K,)
    codes = np.zeros(lanes.shape[::-1], np.uint64)
    probing.rearrange(lanes, places, codes)
    return codes
