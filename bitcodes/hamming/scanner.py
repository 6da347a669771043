"""The scan of all codes: in NumPy for little work, with compiled kernels (numba) for more."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.hamming import plain
from bitcodes.hamming.fallback import with_kernels
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.plain import Ball, Histograms, Keys, Labels, Lanes, Pairs
from bitcodes.hamming.threads import starts_at_once
from bitcodes.machine import core_count

R = TypeVar("R")

PLAIN_LIMIT = 10**8
"""Distances that are computed in NumPy (under a second) before the kernels are loaded."""

_TILE = 1024
"""Queries that a search by radius serves at a time."""


class Work:
    """Counts the distances computed so far, and chooses NumPy or kernels. Threads may share one."""

    def __init__(self) -> None:
        self.distances = 0
        self._kernels = False
        self._lock = threading.Lock()

    def add(self, distances: int) -> bool:
        """Count `distances` more; return whether NumPy should compute them."""
        with self._lock:
            self.distances += distances
        return self.fits(0)

    def fits(self, distances: int) -> bool:
        """Whether NumPy should compute so many more; if not, the kernels are used from now on."""
        self._kernels |= self.distances + distances > PLAIN_LIMIT
        return not self._kernels

    def use_kernels(self) -> None:
        """Let everything from now on be computed by the kernels."""
        self._kernels = True


class Scanner:
    """Compares queries with all of N packed codes (N, B), whose distances are those of `measure`.

    The codes are copied into lanes, uint64 (W, N), when they are first needed. `work`, which other
    scanners may share, decides between NumPy and the kernels; both give the same answers. Results
    are keys, see plain.py. CodeSetError for codes of a wrong shape, dtype or padding.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        measure: Measure,
        threads: int | None = None,
        work: Work | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: expected at least 1")
        self.measure = measure
        self.bits = measure.bits
        self.threads = threads or core_count()
        self.count = len(codes)
        self.work = work or Work()
        self._codes: NDArray[np.uint8] | None = codes  # until there are lanes
        self._lanes: Lanes
        self._lock = threading.Lock()

    @property
    def lanes(self) -> Lanes:
        """The codes as (W, N)."""
        return self.make_lanes()

    def make_lanes(self) -> Lanes:
        """Copy the codes into lanes unless that is done."""
        with self._lock:
            if self._codes is not None:
                self._lanes, self._codes = self.measure.lanes(self._codes), None
        return self._lanes

    def is_small(self, queries: int) -> bool:
        """Count the work of `queries` queries; return whether NumPy should do it."""
        return self.work.add(queries * self.count)

    def compile(self) -> None:
        """Use the kernels from now on; compile or load those of `nearest` at once."""
        self.work.use_kernels()
        for queries in (1, 16):  # few and many
            self.nearest(self.lanes[:, :1].repeat(queries, axis=1), 1, self.measure.largest)

    def nearest(self, queries: Lanes, k: int, radius: int) -> Keys:
        """The keys (Q, k) of the `k` nearest codes of each query within `radius`, else MISSING."""
        return self._scan(plain.nearest, queries, k, radius, self.measure)

    def ball(self, queries: Lanes, radius: int) -> Ball:
        """The sorted keys of all codes within `radius` of each query."""
        empty = np.empty(0, np.int64)
        pieces = [(empty, empty)]
        for start in range(0, queries.shape[1], _TILE):
            tile = queries[:, start : start + _TILE]
            for query, keys in self._scan(plain.near_pieces, tile, radius, 0, self.measure):
                pieces.append((query + start, keys))
        query, keys = map(np.concatenate, zip(*pieces, strict=True))
        pieces.clear()
        keys = keys[np.argsort(query, kind="stable")]
        offsets = plain.offsets_of(np.bincount(query, minlength=queries.shape[1]))
        for start, stop in pairwise(offsets):
            keys[start:stop].sort()
        return offsets, keys

    def histograms(
        self, queries: Lanes, query_labels: Labels | None, labels: Labels | None
    ) -> tuple[Histograms, Histograms]:
        """Histograms of all codes and of the relevant ones; without labels, none is relevant."""
        return self._scan(plain.histograms, queries, self.measure, query_labels, labels)

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """Every pair of codes at distance <= `radius`, once, in blocks of bounded size."""
        if self.work.fits(self.count**2) or not self.measure.is_plain:
            return self._pairs_by_tiles(radius, progress)
        return with_kernels(
            lambda _: self._pairs_by_parts(radius, progress),
            lambda: self._pairs_by_tiles(radius, progress),
        )

    @starts_at_once
    def _pairs_by_parts(self, radius: int, progress: Progress | None) -> Iterator[Pairs]:
        """`pairs` within groups of codes with an equal part, where that takes less time."""
        from bitcodes.hamming import pairing

        by_parts = pairing.sort_by_parts(self.lanes, self.bits, radius)
        if by_parts is None:
            yield from self._pairs_by_tiles(radius, progress)
            return
        masks, parts = by_parts
        for part, codes in enumerate(parts):
            if progress is not None:
                progress(part, len(parts))
            yield from pairing.near_pairs(self.lanes, masks, part, codes, radius, self.threads)

    def _pairs_by_tiles(self, radius: int, progress: Progress | None) -> Iterator[Pairs]:
        """`pairs` by comparing each code with all behind it."""
        for top in range(0, self.count, _TILE):
            if progress is not None:
                progress(top, self.count)
            tile = self.lanes[:, top : top + _TILE]
            for query, keys in self._scan(plain.near_pieces, tile, radius, top, self.measure):
                distances, second = plain.split_keys(keys)
                first = query + top
                once = first < second
                if once.any():
                    yield Pairs(first[once], second[once], distances[once])

    def _scan(self, plainly: Callable[..., R], queries: Lanes, *arguments: Any) -> R:
        """What a function of plain.py returns, or its twin of the same name in compiled.py."""
        lanes = self.lanes

        def with_threads(compiled: Any) -> R:
            twin: Callable[..., R] = getattr(compiled, plainly.__name__)
            return twin(queries, lanes, *arguments, threads=self.threads)

        if self.is_small(queries.shape[1]):
            return plainly(queries, lanes, *arguments)
        return with_kernels(with_threads, lambda: plainly(queries, lanes, *arguments))
