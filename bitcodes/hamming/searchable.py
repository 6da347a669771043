"""What can be searched: the interface that indexes in memory and stores share."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming import plain
from bitcodes.hamming.measure import Measure


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


class Searchable(ABC):
    """Exact top-k and radius search; each kind says only how it finds the nearest codes.

    Distances, and so a radius, are those of `measure`: Hamming distances, unless it is weighted.
    """

    fingerprint: str | None = None
    """The fingerprint of the model that made the codes; None where unknown."""

    @property
    @abstractmethod
    def measure(self) -> Measure:
        """How far apart two codes are."""

    @property
    def bits(self) -> int:
        """K, the length of a code."""
        return self.measure.bits

    @abstractmethod
    def __len__(self) -> int: ...

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The `k` nearest codes of each query (Q, B): (distances (Q, k) int32, rows (Q, k) int64).

        Ordered by (distance, row). Where fewer than `k` codes exist, both are -1.
        """
        if k < 1:
            raise ValueError(f"k={k}: expected at least 1")
        keys = self._nearest(queries, k, self.measure.largest)
        distances, rows = plain.split_keys(keys)
        missing = keys == plain.MISSING
        distances[missing], rows[missing] = -1, -1
        return distances, rows

    def within(self, queries: NDArray[np.uint8], radius: int, limit: int | None = None) -> Within:
        """Every code at distance <= `radius` of each query (Q, B), ordered by (distance, row).

        `limit` keeps the nearest `limit` of each query, which bounds memory; `more` and `cut` of
        the result say where it did.
        """
        check_radius(radius)
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: expected at least 1")
        if limit is None:
            offsets, keys = self._ball(queries, radius)
            return Within(offsets, *plain.split_keys(keys), np.zeros(len(queries), np.bool_))
        # One more than the limit tells whether the limit cuts.
        nearest = self._nearest(queries, limit + 1, radius)  # (Q, limit + 1)
        there = nearest != plain.MISSING
        more = there[:, limit].copy()
        there[:, limit] = False
        offsets = plain.offsets_of(there.sum(axis=1))
        return Within(offsets, *plain.split_keys(nearest[there]), more)

    @abstractmethod
    def _nearest(self, queries: NDArray[np.uint8], k: int, radius: int) -> plain.Keys:
        """The keys (Q, k) of the `k` nearest codes of each query within `radius`, else MISSING."""

    @abstractmethod
    def _ball(self, queries: NDArray[np.uint8], radius: int) -> plain.Ball:
        """The keys of all codes within `radius` of each query."""


def check_radius(radius: int) -> None:
    """Raise ValueError for a radius that is none."""
    if radius < 0:
        raise ValueError(f"radius={radius}: expected at least 0")
