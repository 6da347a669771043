"""Exact search of binary codes by Hamming distance."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain

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


class Pairs(NamedTuple):
    """A block of pairs of rows, `first < second`, and their distances; three (M,) arrays."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distances: NDArray[np.int32]


class HammingIndex:
    """Exact top-k, radius and counting search over N codes of `bits` bits, 1 to 1024.

    `codes` is a code set, or packed codes (N, ceil(bits / 8)) uint8, memory-mapped or not, with
    `bits` (default: all of the bytes). They are copied once into lanes, uint64 (W, N). `threads`
    defaults to all cores; answers do not depend on it, and one index may be searched by many
    threads at once. Raises CodeSetError for codes of a wrong shape, dtype or padding.
    """

    def __init__(
        self,
        codes: "CodeSet | NDArray[np.uint8]",
        bits: int | None = None,
        threads: int | None = None,
    ) -> None:
        if isinstance(codes, np.ndarray):
            packed, self.bits = codes, bits if bits is not None else 8 * codes.shape[-1]
        else:
            packed, self.bits = codes.codes, codes.bits
            if bits not in (None, self.bits):
                raise CodeSetError(f"bits={bits} was asked of a code set of {self.bits} bits")
        if not 1 <= self.bits <= 1024:
            raise CodeSetError(f"codes of {self.bits} bits: expected 1 to 1024")
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: expected at least 1")
        self.threads = threads or len(os.sched_getaffinity(0))
        self._lanes = to_lanes(packed, self.bits)  # (W, N)

    def __len__(self) -> int:
        return int(self._lanes.shape[1])

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The `k` nearest codes of each query (Q, B): (distances (Q, k) int32, rows (Q, k) int64).

        Ordered by (distance, row). Where fewer than `k` codes exist, both are -1.
        """
        if k < 1:
            raise ValueError(f"k={k}: expected at least 1")
        query_lanes = self._query_lanes(queries)
        distances = np.full((len(queries), k), -1, np.int32)
        rows = np.full((len(queries), k), -1, np.int64)
        for query, found in enumerate(plain.nearest(query_lanes, self._lanes, k, self.bits)):
            distances[query, : len(found[0])], rows[query, : len(found[1])] = found
        return distances, rows

    def within(self, queries: NDArray[np.uint8], radius: int, limit: int | None = None) -> Within:
        """Every code at distance <= `radius` of each query (Q, B), ordered by (distance, row).

        `limit` keeps the nearest `limit` of each query, which bounds memory; `more` and `cut` of
        the result say where it did.
        """
        if radius < 0:
            raise ValueError(f"radius={radius}: expected at least 0")
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: expected at least 1")
        # One more than the limit tells whether the limit cuts.
        k = None if limit is None else limit + 1
        found = plain.nearest(self._query_lanes(queries), self._lanes, k, radius)
        more = np.array([limit is not None and len(rows) > limit for _, rows in found], np.bool_)
        kept = [(distances[:limit], rows[:limit]) for distances, rows in found]
        return _ragged(kept, more)

    def pairs(self, radius: int) -> Iterator[Pairs]:
        """Every pair of rows at distance <= `radius`, once, in blocks of bounded size."""
        if radius < 0:
            raise ValueError(f"radius={radius}: expected at least 0")
        count, side = len(self), 1024
        for top in range(0, count, side):
            for left in range(top, count, side):
                ours = self._lanes[:, top : top + side]
                distances = plain.block_distances(ours, self._lanes[:, left : left + side])
                first, second = np.nonzero(distances <= radius)
                if left == top:
                    upper = first < second
                    first, second = first[upper], second[upper]
                if len(first):
                    near = distances[first, second].astype(np.int32)
                    yield Pairs(first + top, second + left, near)

    @overload
    def count(self, queries: NDArray[np.uint8]) -> NDArray[np.int64]: ...
    @overload
    def count(
        self,
        queries: NDArray[np.uint8],
        labels: NDArray[np.generic],
        query_labels: NDArray[np.generic],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
    def count(
        self,
        queries: NDArray[np.uint8],
        labels: NDArray[np.generic] | None = None,
        query_labels: NDArray[np.generic] | None = None,
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many codes lie at each distance 0..K from each query: (Q, K + 1) int64.

        With `labels` (of the N codes) and `query_labels`, the pair (total, relevant) of such
        histograms. Integer labels (N,) and (Q,): relevant means equal. 0/1 labels (N, C) and
        (Q, C): relevant means that at least one label is shared.
        """
        query_lanes = self._query_lanes(queries)
        if labels is None and query_labels is None:
            return plain.histograms(query_lanes, self._lanes, self.bits)
        if labels is None or query_labels is None:
            raise ValueError("labels and query_labels go together")
        self._check_labels(labels, query_labels, len(queries))
        return plain.labelled_histograms(query_lanes, self._lanes, self.bits, query_labels, labels)

    def _query_lanes(self, queries: NDArray[np.uint8]) -> NDArray[np.uint64]:
        return to_lanes(queries, self.bits)  # (W, Q)

    def _check_labels(
        self, labels: NDArray[np.generic], query_labels: NDArray[np.generic], queries: int
    ) -> None:
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


def to_ragged(distances: NDArray[np.int32], rows: NDArray[np.int64]) -> Within:
    """Results of `search`, both (Q, k), in the form of `within`: without the -1 of missing ones."""
    there = rows >= 0
    found = [(d[t], r[t]) for d, r, t in zip(distances, rows, there, strict=True)]
    return _ragged(found, np.zeros(len(rows), np.bool_))


def _ragged(
    found: list[tuple[NDArray[np.int32], NDArray[np.int64]]], more: NDArray[np.bool_]
) -> Within:
    offsets = np.zeros(len(found) + 1, np.int64)
    np.cumsum([len(rows) for _, rows in found], out=offsets[1:])
    distances = np.concatenate([np.empty(0, np.int32), *(distances for distances, _ in found)])
    rows = np.concatenate([np.empty(0, np.int64), *(rows for _, rows in found)])
    return Within(offsets, distances, rows, more)
