"""What the indexes are put together from: objects that find codes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[int, int | None], None]
"""Called with how much of the work is done, and how much there is."""

Lanes = NDArray[np.uint64]
"""Queries (W, Q) or codes (W, N), word-major."""

Keys = NDArray[np.int64]
"""Results, distance << ROW_BITS | row; see plain.py."""

Ball = tuple[NDArray[np.int64], Keys]
"""Ragged results: query q owns the keys `offsets[q]:offsets[q + 1]`; (Q + 1,) and (M,)."""

Histograms = NDArray[np.int64]
"""How many codes lie at each distance from each query, (Q, bits + 1)."""


class Pairs(NamedTuple):
    """A block of pairs of rows, `first < second`, and their distances; three (M,) arrays."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distances: NDArray[np.int32]


class CodeFinder(Protocol):
    """Finds the nearest codes, by their numbers."""

    def compile(self) -> None:
        """Use the compiled kernels from now on; compile or load those of `nearest` at once."""

    def nearest(self, queries: Lanes, k: int, radius: int) -> Keys:
        """The keys (Q, k) of the `k` nearest codes of each query within `radius`, else MISSING."""

    def ball(self, queries: Lanes, radius: int) -> Ball:
        """The sorted keys of all codes within `radius` of each query."""


class Finder(CodeFinder, Protocol):
    """Finds everything that an index answers, by rows."""

    def __len__(self) -> int: ...

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """Every pair of rows at distance <= `radius`, once, in blocks of bounded size."""

    def histograms(self, queries: Lanes) -> Histograms:
        """How many codes lie at each distance from each query."""

    def labelled_histograms(
        self, queries: Lanes, query_labels: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[Histograms, Histograms]:
        """`histograms` of all codes and of the relevant ones; labels are those of Index.count."""
