"""The scan of all codes: in NumPy for little work, with compiled kernels (numba) for more."""

import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.hamming.fallback import load_kernels, with_kernels
from bitcodes.hamming.finders import Ball, Histograms, Keys, Lanes, Pairs, Progress
from bitcodes.machine import core_count

R = TypeVar("R")
T = TypeVar("T")

PLAIN_LIMIT = 10**8
"""Distances that are computed in NumPy (under a second) before the kernels are loaded."""

_TILE = 1024
"""Codes that `pairs` takes as queries at a time."""


class Work:
    """Counts the distances computed so far. Threads may share one."""

    def __init__(self) -> None:
        self.distances = 0
        self._kernels_at_once = False
        self._lock = threading.Lock()

    def add(self, distances: int) -> bool:
        """Count `distances` more; return whether NumPy should compute them."""
        with self._lock:
            self.distances += distances
            return self.distances <= PLAIN_LIMIT and not self._kernels_at_once

    def use_kernels(self) -> None:
        """Let everything from now on be computed by the kernels."""
        self._kernels_at_once = True


class Scanner:
    """Compares queries with all of N packed codes (N, B) of `bits` bits, 1 to 1024.

    The codes are copied into lanes, uint64 (W, N), when they are first needed. `work`, which other
    scanners may share, decides between NumPy and the kernels; both give the same answers. Results
    are keys, see plain.py. CodeSetError for codes of a wrong shape, dtype or padding.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        bits: int,
        threads: int | None = None,
        work: Work | None = None,
    ) -> None:
        if not 1 <= bits <= 1024:
            raise CodeSetError(f"codes of {bits} bits: expected 1 to 1024")
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: expected at least 1")
        self.bits = bits
        self.threads = threads or core_count()
        self.count = len(codes)
        self.work = Work() if work is None else work
        self._codes: NDArray[np.uint8] | None = codes  # until there are lanes
        self._lanes: NDArray[np.uint64] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count

    @property
    def lanes(self) -> NDArray[np.uint64]:
        """The codes as (W, N)."""
        return self.make_lanes()

    def make_lanes(self) -> NDArray[np.uint64]:
        """Copy the codes into lanes unless that is done; return these."""
        with self._lock:
            if self._lanes is None:
                assert self._codes is not None
                self._lanes, self._codes = to_lanes(self._codes, self.bits), None
            return self._lanes

    def is_small(self, queries: int) -> bool:
        """Count the work of `queries` queries; return whether NumPy should do it."""
        return self.work.add(queries * self.count)

    def compile(self) -> None:
        """Use the kernels from now on; compile or load those of `nearest` at once."""
        self.work.use_kernels()
        for queries in (1, 16):  # few and many
            self.nearest(self.lanes[:, :1].repeat(queries, axis=1), 1, self.bits)

    def nearest(self, queries: Lanes, k: int, radius: int, small: bool | None = None) -> Keys:
        """See plain.nearest; `small` is the answer of `is_small` if it was asked before."""
        return self._scan(
            queries,
            lambda: plain.nearest(queries, self.lanes, k, radius),
            lambda compiled: compiled.nearest(
                queries, self.lanes, k, radius, self.bits, self.threads
            ),
            small,
        )

    def ball(self, queries: Lanes, radius: int, small: bool | None = None) -> Ball:
        """See plain.ball; `small` is the answer of `is_small` if it was asked before."""
        ball: Ball = self._scan(
            queries,
            lambda: plain.ball(queries, self.lanes, radius),
            lambda compiled: compiled.ball(queries, self.lanes, radius, self.bits, self.threads),
            small,
        )
        return ball

    def histograms(self, queries: Lanes) -> Histograms:
        """See plain.histograms."""
        return self._scan(
            queries,
            lambda: plain.histograms(queries, self.lanes, self.bits),
            lambda compiled: compiled.histograms(queries, self.lanes, self.bits, self.threads),
        )

    def labelled_histograms(
        self,
        queries: Lanes,
        query_labels: NDArray[Any],
        labels: NDArray[Any],
    ) -> tuple[Histograms, Histograms]:
        """See plain.labelled_histograms."""
        arguments = (queries, self.lanes, self.bits, query_labels, labels)
        both: tuple[Histograms, Histograms] = self._scan(
            queries,
            lambda: plain.labelled_histograms(*arguments),
            lambda compiled: compiled.labelled_histograms(*arguments, self.threads),
        )
        return both

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """Every pair of codes at distance <= `radius`, once, in blocks of bounded size."""
        if self.work.add(self.count**2):
            return self._pairs_by_tiles(radius, progress)
        return with_kernels(
            lambda: self._pairs_by_parts(radius, progress),
            lambda: self._pairs_by_tiles(radius, progress),
        )

    def _pairs_by_parts(self, radius: int, progress: Progress | None) -> Iterator[Pairs]:
        """`pairs` within groups of codes with an equal part, where that takes less time."""
        from bitcodes.hamming import pairing

        by_parts = pairing.sort_by_parts(self.lanes, self.bits, radius)
        if by_parts is None:
            return self._pairs_by_tiles(radius, progress)
        pairing.compile_comparison(self.lanes)
        masks, parts = by_parts

        def blocks() -> Iterator[Pairs]:
            for part, codes in enumerate(parts):
                if progress is not None:
                    progress(part, len(parts))
                for block in pairing.near_pairs(
                    self.lanes, masks, part, codes, radius, self.threads
                ):
                    yield Pairs(*block)

        return blocks()

    def _pairs_by_tiles(self, radius: int, progress: Progress | None) -> Iterator[Pairs]:
        """`pairs` by comparing each code with all behind it."""
        for top in range(0, self.count, _TILE):
            if progress is not None:
                progress(top, self.count)
            for query, keys in self._near_pieces(self.lanes[:, top : top + _TILE], radius, top):
                distances, second = plain.split_keys(keys)
                first = query + top
                once = first < second
                if once.any():
                    yield Pairs(first[once], second[once], distances[once])

    def _near_pieces(self, queries: Lanes, radius: int, start: int) -> Iterator[Ball]:
        return self._scan(
            queries,
            lambda: plain.near_pieces(queries, self.lanes, radius, start),
            lambda compiled: _started(
                compiled.near_pieces(queries, self.lanes, radius, self.bits, self.threads, start)
            ),
            small=self.work.add(0),  # `pairs` has counted them
        )

    def _scan(
        self,
        queries: Lanes,
        plainly: Callable[[], R],
        compiled: Callable[[Any], R],
        small: bool | None = None,
    ) -> R:
        if self.is_small(queries.shape[1]) if small is None else small:
            return plainly()
        return with_kernels(lambda: compiled(load_kernels()), plainly)


def _started(pieces: Iterator[T]) -> Iterator[T]:
    """The same pieces, the first of them made at once."""
    return chain([piece for piece in [next(pieces, None)] if piece is not None], pieces)
