"""Exact search of binary codes by Hamming distance."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.hamming.finders import Finder, Pairs, Progress
from bitcodes.hamming.scanner import Scanner

if TYPE_CHECKING:
    from bitcodes.codes.codeset import CodeSet


class Within(NamedTuple):
    """Ragged results: query q owns `offsets[q]:offsets[q + 1]`, ordered by (distance, row)."""

    offsets: NDArray[np.int64]
    """(Q + 1,)"""
    distances: NDArray[np.int32]
    """(M,)"""
    rows: NDArray[np.int64]
    """(M,)"""
    more: NDArray[np.bool_]
    """(Q,) whether the limit cut results of this query."""

    @property
    def cut(self) -> bool:
        """Whether the limit cut results of any query."""
        return bool(self.more.any())


class Index:
    """Exact top-k, radius and counting search over N codes of `bits` bits, 1 to 1024.

    The base of HammingIndex, GroupedIndex and MultiIndex, which give the same answers and differ in
    how they find them: `finder` does that, by default the scanner. Answers do not depend on
    `threads`, and many threads may search one index at once.
    """

    def __init__(self, scanner: Scanner, finder: Finder | None = None) -> None:
        self.scanner = scanner
        self._finder = scanner if finder is None else finder
        self.bits = scanner.bits
        self.threads = scanner.threads

    def __len__(self) -> int:
        return len(self._finder)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} codes of {self.bits} bits>"

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The `k` nearest codes of each query (Q, B): (distances (Q, k) int32, rows (Q, k) int64).

        Ordered by (distance, row). Where fewer than `k` codes exist, both are -1.
        """
        if k < 1:
            raise ValueError(f"k={k}: expected at least 1")
        keys = self._finder.nearest(self._query_lanes(queries), k, self.bits)
        distances, rows = plain.split_keys(keys)
        if k > len(self):
            missing = keys == plain.MISSING
            distances[missing], rows[missing] = -1, -1
        return distances, rows

    def within(self, queries: NDArray[np.uint8], radius: int, limit: int | None = None) -> Within:
        """Every code at distance <= `radius` of each query (Q, B), ordered by (distance, row).

        `limit` keeps the nearest `limit` of each query, which bounds memory; `more` and `cut` of
        the result say where it did.
        """
        _check_radius(radius)
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: expected at least 1")
        query_lanes = self._query_lanes(queries)
        if limit is None:
            offsets, keys = self._finder.ball(query_lanes, radius)
            return Within(offsets, *plain.split_keys(keys), np.zeros(len(queries), np.bool_))
        # One more than the limit tells whether the limit cuts.
        nearest = self._finder.nearest(query_lanes, limit + 1, radius)  # (Q, limit + 1)
        there = nearest != plain.MISSING
        more = there[:, limit].copy()
        there[:, limit] = False
        return Within(_offsets(there), *plain.split_keys(nearest[there]), more)

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """Every pair of rows at distance <= `radius`, once, in blocks of bounded size.

        `progress` is called with how much of the work is done, and how much there is.
        """
        _check_radius(radius)
        return self._finder.pairs(radius, progress)

    @overload
    def count(self, queries: NDArray[np.uint8]) -> NDArray[np.int64]: ...
    @overload
    def count(
        self,
        queries: NDArray[np.uint8],
        labels: NDArray[Any],
        query_labels: NDArray[Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
    def count(
        self,
        queries: NDArray[np.uint8],
        labels: NDArray[Any] | None = None,
        query_labels: NDArray[Any] | None = None,
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many codes lie at each distance 0..K from each query: (Q, K + 1) int64.

        With `labels` (of the N codes) and `query_labels`, the pair (total, relevant) of such
        histograms. Integer labels (N,) and (Q,): relevant means equal. 0/1 labels (N, C) and
        (Q, C): relevant means that at least one label is shared.
        """
        query_lanes = self._query_lanes(queries)
        if labels is None and query_labels is None:
            return self._finder.histograms(query_lanes)
        if labels is None or query_labels is None:
            raise ValueError("labels and query_labels go together")
        self._check_labels(labels, query_labels, len(queries))
        return self._finder.labelled_histograms(query_lanes, query_labels, labels)

    def compile(self) -> None:
        """Use the compiled kernels from now on; compile or load those of `search` at once.

        Otherwise an index uses NumPy until its searches add up to PLAIN_LIMIT distances: a small
        search does not wait for a compiler, and many of them are fast.
        """
        self._finder.compile()

    def _query_lanes(self, queries: NDArray[np.uint8]) -> NDArray[np.uint64]:
        return to_lanes(queries, self.bits)  # (W, Q)

    def _check_labels(self, labels: NDArray[Any], query_labels: NDArray[Any], queries: int) -> None:
        if (
            labels.ndim not in (1, 2)
            or labels.shape[0] != len(self)
            or query_labels.shape != (queries, *labels.shape[1:])
        ):
            raise CodeSetError(
                f"labels of shape {labels.shape} and query labels of shape {query_labels.shape}: "
                f"expected ({len(self)},) and ({queries},), "
                f"or ({len(self)}, C) and ({queries}, C)"
            )


class HammingIndex(Index):
    """An index that compares queries with every code.

    `codes` is a code set, or packed codes (N, ceil(bits / 8)) uint8, memory-mapped or not, with
    `bits` (default: all of the bytes). They are copied once into lanes, uint64 (W, N). `threads`
    defaults to all cores. Raises CodeSetError for codes of a wrong shape, dtype or padding.
    """

    def __init__(
        self,
        codes: "CodeSet | NDArray[np.uint8]",
        bits: int | None = None,
        threads: int | None = None,
    ) -> None:
        if isinstance(codes, np.ndarray):
            packed, bits = codes, 8 * codes.shape[-1] if bits is None else bits
        elif bits in (None, codes.bits):
            packed, bits = codes.codes, codes.bits
        else:
            raise CodeSetError(f"bits={bits}: the code set has {codes.bits} bits")
        scanner = Scanner(packed, bits, threads)
        scanner.make_lanes()
        super().__init__(scanner)


def to_ragged(distances: NDArray[np.int32], rows: NDArray[np.int64]) -> Within:
    """Results of `search`, both (Q, k), in the form of `within`: without the -1 of missing ones."""
    there = rows >= 0
    return Within(_offsets(there), distances[there], rows[there], np.zeros(len(rows), np.bool_))


def _offsets(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where the results of each query begin, (Q + 1,), from which places hold one, (Q, k)."""
    return np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)


def _check_radius(radius: int) -> None:
    if radius < 0:
        raise ValueError(f"radius={radius}: expected at least 0")
