"""Tables of codes by their parts, and the search that reads them where that beats a scan.

Norouzi, Punjani and Fleet, CVPR 2012, https://doi.org/10.1109/CVPR.2012.6248043, with rings in the
order of their cost (kernels/probing.py), and a choice between the tables and a scan that rests on
what searches for some of the index's own codes cost.
"""

import math
from collections.abc import Callable
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming import plain
from bitcodes.hamming.fallback import kernels_load, with_kernels
from bitcodes.hamming.measure import bit_places
from bitcodes.hamming.plain import Ball, Keys, Lanes
from bitcodes.hamming.scanner import Scanner
from bitcodes.hamming.threads import THREADED_FROM, in_order

Method = Literal["auto", "tables", "scan"]

T = TypeVar("T")

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
    """The codes by each of their parts; see kernels/probing.py."""

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


class TableSearch:
    """Finds codes through their tables, or by a scan where that should be faster.

    The codes are those of `scanner`; `starts` (M + 1,) says how many rows each has, and is empty
    where each has one. With method "auto", the tables are used where samples say that they are
    faster for as many nearest rows or as large a radius; even then a query is scanned for once its
    tables would cost more. Answers are those of a scan.
    """

    def __init__(
        self, scanner: Scanner, starts: NDArray[np.int64], tables: Tables, method: Method
    ) -> None:
        self.tables = tables
        self.method = method
        self._scanner = scanner
        self._starts = starts
        self._words = (0,) * int(tables.codes.shape[2])
        self._choices: dict[tuple[int, int, int], bool] = {}  # of `auto`, for queries, k and radius

    def compile(self) -> None:
        """See Index.compile; compiles the kernels of both methods."""
        self._scanner.compile()
        one = self._scanner.lanes[:, :1]
        if one.size:
            with_kernels(
                lambda _: self._nearest(one, 1, self._scanner.bits), lambda: np.empty(0, np.int64)
            )

    def gain(self, k: int | None = None, radius: int | None = None, queries: int = 1) -> float:
        """How many times faster the tables should be than a scan: a guess, from samples."""
        radius = self._scanner.bits if radius is None else radius
        scan = self._scan_cost(queries)
        return scan / self._table_cost(queries, k or 0, radius, scan)

    def _uses_tables(self, queries: int, k: int, radius: int) -> bool:
        work = queries * self._scanner.count
        if not work or self._scanner.work.fits(work) or not kernels_load():
            return False
        if self.method != "auto":
            return self.method == "tables"
        case = (queries, k, radius)
        if case not in self._choices:
            scan = self._scan_cost(queries)
            self._choices[case] = self._table_cost(queries, k, radius, scan) < MARGIN * scan
        return self._choices[case]

    def _scan_cost(self, queries: int) -> float:
        """Nanoseconds that scanning for some queries takes, about."""
        count, words = self._scanner.count, len(self._words)
        work = queries * count * words
        threads = self._scanner.threads if work >= THREADED_FROM else 1
        one_by_one = work * _SCANNED_WORD / min(_MEMORY_THREADS, threads)
        each, together = _SCANNED_BIT
        at_once = count * self._scanner.bits * (together + queries * each) / threads
        return _CALL + (one_by_one if queries < 4 else min(one_by_one, at_once))

    def _table_cost(self, queries: int, k: int, radius: int, scan: float) -> float:
        """The same for searching the tables, where what is given up is scanned for as well."""
        from bitcodes.hamming.kernels import probing

        spent, rows = self.tables.costs[..., 0], self.tables.costs[..., 1]
        if not spent.size:
            return math.inf
        # Each sample finds itself, which a query does not.
        done = np.arange(spent.shape[1]) >= np.full((len(spent), 1), radius)  # (S, T)
        if k:
            done |= rows > k
        last = np.arange(len(done)), np.argmax(done, axis=1)
        cost = spent[last] + probing.CANDIDATE * _CANDIDATES * k
        cost[~done.any(axis=1) | np.isnan(cost)] = 2 * scan / queries
        return _CALL + float(cost.mean()) * queries / min(queries, self._scanner.threads)

    def nearest(self, queries: Lanes, k: int, radius: int) -> Keys:
        """`Scanner.nearest` of the distinct codes: only as many as it takes to have k rows."""
        if not self._uses_tables(queries.shape[1], k, radius):
            return self._scanner.nearest(queries, k, radius)
        return with_kernels(
            lambda _: self._nearest(queries, k, radius),
            lambda: self._scanner.nearest(queries, k, radius),
        )

    def ball(self, queries: Lanes, radius: int) -> Ball:
        """`Scanner.ball` of the distinct codes."""
        if not self._uses_tables(queries.shape[1], 0, radius):
            return self._scanner.ball(queries, radius)
        return with_kernels(
            lambda _: self._ball(queries, radius), lambda: self._scanner.ball(queries, radius)
        )

    def _nearest(self, queries: Lanes, k: int, radius: int) -> Keys:
        from bitcodes.hamming.kernels import probing

        codes = arranged(queries, self._scanner.bits)
        keys = np.full((len(codes), k), plain.MISSING, np.int64)

        def search(some: slice) -> NDArray[np.bool_]:
            arguments = [*self._arguments(codes[some], k, radius), keys[some], self._words]
            return np.asarray(probing.nearest_in_tables(*arguments))

        given_up = np.concatenate(self._shared_out(search, len(codes)))
        if given_up.any():
            keys[given_up] = self._scanner.nearest(queries[:, given_up], k, radius)
        return keys

    def _ball(self, queries: Lanes, radius: int) -> Ball:
        from bitcodes.hamming.kernels import probing

        codes = arranged(queries, self._scanner.bits)

        def search(some: slice) -> list[Keys | None]:
            balls: list[Keys | None] = []
            scratch = [np.empty(1024, np.int64), np.zeros(1, np.int64), np.empty((0, 2))]
            for code in codes[some]:
                arguments = [*self._arguments(code, 0, radius), *scratch, self._words]
                keys, size, _ = probing.search_tables(*arguments)
                balls.append(np.sort(keys[:size]) if size >= 0 else None)
            return balls

        balls = [
            self._scanner.ball(queries[:, [query]], radius)[1] if keys is None else keys
            for query, keys in enumerate(chain(*self._shared_out(search, len(codes))))
        ]
        return plain.offsets_of(np.array([len(keys) for keys in balls])), np.concatenate(balls)

    def costs_of(self, queries: Lanes) -> NDArray[np.float64]:
        """What searches for these queries, lanes (W, S), cost: see Tables."""
        from bitcodes.hamming.kernels import probing

        codes = arranged(queries, self._scanner.bits)
        radius = self._scanner.bits // 3  # what is farther is found by a scan anyway
        costs = np.full((len(codes), radius + 1, 2), np.nan)
        for code, trace in zip(codes, costs, strict=True):
            histogram = np.zeros(64 * len(self._words) + 1, np.int64)
            scratch = [np.empty(1024, np.int64), histogram, trace, self._words]
            arguments = [*self._arguments(code, 0, radius), *scratch]
            probing.search_tables(*arguments)
        return costs

    def _arguments(self, queries: Lanes, k: int, radius: int) -> list[Any]:
        """What the kernels are given first."""
        radius = min(radius, self._scanner.bits)
        return [self.tables, queries, self._starts, k, radius, self._scan_cost(1)]

    def _shared_out(self, search: Callable[[slice], T], queries: int) -> list[T]:
        """`search` on some queries after the other, by threads in turns: they take unlike times."""
        size = min(64, -(-queries // (4 * self._scanner.threads)))
        shares = [slice(start, start + size) for start in range(0, queries, size)]
        if len(shares) == 1:  # in this thread: waking another one takes longer
            return [search(shares[0])]
        return list(in_order(search, shares, self._scanner.threads))


def arranged(lanes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Lanes (W, N) code by code, (N, W), with the padding moved behind all bits."""
    from bitcodes.hamming.kernels import probing

    if bits % 8 == 0:
        return np.ascontiguousarray(lanes.T)
    codes = np.zeros(lanes.shape[::-1], np.uint64)
    probing.rearrange(lanes, bit_places(bits), codes)
    return codes
