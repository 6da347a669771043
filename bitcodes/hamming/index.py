"""Exact search of binary codes by Hamming distance."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.machine import core_count

if TYPE_CHECKING:
    from bitcodes.codes.codeset import CodeSet

PLAIN_LIMIT = 10**8
"""Distances that an index computes in NumPy (under a second) before it loads the kernels."""

_TILE = 1024
"""Codes that `pairs` takes as queries at a time."""


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
        self._prepare(threads)
        self._lanes = to_lanes(packed, self.bits)  # (W, N)

    def _prepare(self, threads: int | None) -> None:
        if not 1 <= self.bits <= 1024:
            raise CodeSetError(f"codes of {self.bits} bits: expected 1 to 1024")
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: expected at least 1")
        self.threads = threads or core_count()
        self._asked = 0  # distances so far

    def __len__(self) -> int:
        return self._count

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The `k` nearest codes of each query (Q, B): (distances (Q, k) int32, rows (Q, k) int64).

        Ordered by (distance, row). Where fewer than `k` codes exist, both are -1.
        """
        if k < 1:
            raise ValueError(f"k={k}: expected at least 1")
        keys = self._nearest(self._query_lanes(queries), k, self.bits)
        distances, rows = _parts(keys)
        if k > len(self):
            missing = keys == plain.MISSING
            distances[missing], rows[missing] = -1, -1
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
        query_lanes = self._query_lanes(queries)
        if limit is None:
            offsets, keys = self._ball(query_lanes, radius)
            return Within(offsets, *_parts(keys), np.zeros(len(queries), np.bool_))
        # One more than the limit tells whether the limit cuts.
        nearest = self._nearest(query_lanes, limit + 1, radius)  # (Q, limit + 1)
        there = nearest != plain.MISSING
        more = there[:, limit].copy()
        there[:, limit] = False
        return Within(_offsets(there), *_parts(nearest[there]), more)

    def pairs(
        self, radius: int, progress: Callable[[int, int | None], None] | None = None
    ) -> Iterator[Pairs]:
        """Every pair of rows at distance <= `radius`, once, in blocks of bounded size.

        `progress` is told how much of the work is done, and how much there is.
        """
        if radius < 0:
            raise ValueError(f"radius={radius}: expected at least 0")
        count = self._count
        if self._asked + count**2 > PLAIN_LIMIT:
            from bitcodes.hamming import pairing

            by_parts = pairing.sort_by_parts(self._lanes, self.bits, radius)
            if by_parts is not None:
                masks, parts = by_parts
                for part, codes in enumerate(parts):
                    if progress is not None:
                        progress(part, len(parts))
                    for block in pairing.near_pairs(
                        self._lanes, masks, part, codes, radius, self.threads
                    ):
                        yield Pairs(*block)
                return
        for top in range(0, count, _TILE):
            if progress is not None:
                progress(top, count)
            for query, keys in self._near_pieces(self._lanes[:, top : top + _TILE], radius, top):
                distances, second = _parts(keys)
                first = query + top
                once = first < second
                if once.any():
                    yield Pairs(first[once], second[once], distances[once])

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
            return self._histograms(query_lanes)
        if labels is None or query_labels is None:
            raise ValueError("labels and query_labels go together")
        self._check_labels(labels, query_labels, len(queries))
        return self._labelled_histograms(query_lanes, query_labels, labels)

    def compile(self) -> None:
        """Use the compiled kernels from now on; compile or load those of `search` at once.

        Without it, an index answers through NumPy until the distances asked of it add up to
        PLAIN_LIMIT: a small search does not wait for a compiler, and many of them are fast.
        """
        self._asked = PLAIN_LIMIT + 1
        for queries in (1, 16):  # few and many
            self._nearest(self._lanes[:, :1].repeat(queries, axis=1), 1, self.bits)

    # The same five functions, in NumPy and compiled.

    @property
    def _count(self) -> int:
        """How many codes are searched."""
        return int(self._lanes.shape[1])

    def _is_small(self, query_lanes: NDArray[np.uint64]) -> bool:
        self._asked += query_lanes.shape[1] * self._count
        return self._asked <= PLAIN_LIMIT

    def _nearest(self, query_lanes: NDArray[np.uint64], k: int, radius: int) -> NDArray[np.int64]:
        if self._is_small(query_lanes):
            return plain.nearest(query_lanes, self._lanes, k, radius)
        from bitcodes.hamming import compiled

        return compiled.nearest(query_lanes, self._lanes, k, radius, self.bits, self.threads)

    def _ball(
        self, query_lanes: NDArray[np.uint64], radius: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._is_small(query_lanes):
            return plain.ball(query_lanes, self._lanes, radius)
        from bitcodes.hamming import compiled

        return compiled.ball(query_lanes, self._lanes, radius, self.bits, self.threads)

    def _near_pieces(
        self, query_lanes: NDArray[np.uint64], radius: int, start: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        if self._is_small(query_lanes):
            return plain.near_pieces(query_lanes, self._lanes, radius, start)
        from bitcodes.hamming import compiled

        return compiled.near_pieces(
            query_lanes, self._lanes, radius, self.bits, self.threads, start
        )

    def _histograms(self, query_lanes: NDArray[np.uint64]) -> NDArray[np.int64]:
        if self._is_small(query_lanes):
            return plain.histograms(query_lanes, self._lanes, self.bits)
        from bitcodes.hamming import compiled

        return compiled.histograms(query_lanes, self._lanes, self.bits, self.threads)

    def _labelled_histograms(
        self,
        query_lanes: NDArray[np.uint64],
        query_labels: NDArray[Any],
        labels: NDArray[Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._is_small(query_lanes):
            return plain.labelled_histograms(
                query_lanes, self._lanes, self.bits, query_labels, labels
            )
        from bitcodes.hamming import compiled

        return compiled.labelled_histograms(
            query_lanes, self._lanes, self.bits, query_labels, labels, self.threads
        )

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


def to_ragged(distances: NDArray[np.int32], rows: NDArray[np.int64]) -> Within:
    """Results of `search`, both (Q, k), in the form of `within`: without the -1 of missing ones."""
    there = rows >= 0
    return Within(_offsets(there), distances[there], rows[there], np.zeros(len(rows), np.bool_))


def _offsets(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where the results of each query begin, (Q + 1,), from which places hold one, (Q, k)."""
    return np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)


def _parts(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The distances and the rows of keys."""
    return (keys >> plain.ROW_BITS).astype(np.int32), keys & ((1 << plain.ROW_BITS) - 1)
