"""Search in an engine that has an index for each part of the codes: rings, or a scan."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.databases.store import Store
from bitcodes.hamming.plain import ROW_BITS, Keys
from bitcodes.hamming.rings import Part, Ring, first_radius, lookups, rings


class PartStore(Store):
    """A store whose engine finds codes by the values of their parts, or by comparing all.

    For the k nearest, the radius grows until it holds k codes, and only what is new is looked up. A
    search by parts that would cost more than `share` of a scan is given up for the scan, so that it
    never takes much longer.
    """

    call_cost: ClassVar[float]
    """What it takes to ask the engine once, in codes that a scan compares meanwhile."""
    lookup_cost: ClassVar[float]
    """The same for looking up a value."""
    found_cost: ClassVar[float]
    """The same for reading a code that has the value."""
    share: ClassVar[float] = 0.15

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The parts that have an index; none where codes are only scanned."""

    @property
    def _scanned(self) -> float:
        """How many codes a scan compares, or what it takes in such codes."""
        return self._count

    @abstractmethod
    def _look_up(
        self, code: NDArray[np.uint8], found: list[Ring], k: int | None, radius: int
    ) -> Keys:
        """The keys of the codes within `radius` that rings find, or of the `k` nearest of them.

        In any order; a key may come several times.
        """

    @abstractmethod
    def _scan(self, code: NDArray[np.uint8], k: int | None, radius: int) -> Keys:
        """The sorted keys of all codes within `radius`, or of the `k` nearest of them."""

    def _keys(self, queries: NDArray[np.uint8], k: int | None, radius: int) -> Iterator[Keys]:
        for code in queries:
            yield self._keys_of(code, k, radius)

    def _keys_of(self, code: NDArray[np.uint8], k: int | None, radius: int) -> Keys:
        parts, measure = self.parts, self.measure
        radius = min(radius, measure.largest)
        step = first_radius(parts, measure) + 1
        bound, before = radius if k is None else min(step - 1, radius), -1
        left = self._scanned * (1.0 if k is None else self.share)
        keys = np.empty(0, np.int64)
        while parts:
            left -= self._cost(bound, before)
            if left < 0:
                break
            found = rings(code, parts, measure, bound, before)
            if found:  # a larger radius may need nothing more
                keys = np.union1d(keys, self._look_up(code, found, k, radius))[:k]
            if k is not None and len(keys) == k:
                # What was found beyond the bound says how far the k nearest reach at most.
                radius = int(keys[-1]) >> ROW_BITS
            if radius <= bound:
                return keys
            bound, before = min(bound + step, radius), bound
        return self._scan(code, k, radius)

    def _cost(self, radius: int, before: int) -> float:
        """What the look-ups for a radius take, those for the radius `before` left out."""
        cost = self.call_cost
        for bound, sign in ((radius, 1), (before, -1)):
            values, codes = lookups(self.parts, self.measure, bound, self._count)
            cost += sign * (self.lookup_cost * values + self.found_cost * codes)
        return cost
