"""Clusters of a code set: images with like codes together, divided again and again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import unpack_bits
from bitcodes.errors import DataError
from bitcodes.wording import shortened

PARTS = 12
"""Clusters that a cluster is divided into, at most."""
SMALLEST = 24
"""Images of the smallest cluster that is divided."""
DEEPEST = 16
"""Clusters within each other."""
_SAMPLE = 20_000
_ROUNDS = 8
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Cluster:
    """Some images of a set, those nearest to the middle first."""

    name: str
    """The numbers of the clusters that lead to it, such as 3.0.2; "" for the whole set."""
    rows: NDArray[np.int64]

    @property
    def examples(self) -> list[int]:
        """Up to four rows, from the middle to the edge."""
        count = min(4, len(self.rows))
        return [int(self.rows[place * len(self.rows) // count]) for place in range(count)]


class Clusters:
    """Divides a code set; each division is made at its first use, and kept."""

    def __init__(self, database: CodeSet) -> None:
        self._set = database
        whole = Cluster("", np.arange(database.count))
        self._clusters: dict[str, Cluster] = {"": whole}
        self._divided: dict[str, list[Cluster]] = {}

    def find(self, name: str) -> tuple[Cluster, Sequence[Cluster]]:
        """A cluster, and its parts, the largest first; without any if it is not divided.

        DataError if there is no such cluster.
        """
        numbers = name.split(".") if name else []
        for depth in range(min(len(numbers), DEEPEST) + 1):
            here = ".".join(numbers[:depth])
            if here not in self._clusters:
                break
            parts = self._parts(self._clusters[here])
        if name not in self._clusters:
            raise DataError(
                f"of: expected the name of a cluster, such as 0 or 0.3; found "
                f"{shortened(repr(name), 40)}"
            )
        return self._clusters[name], parts

    def _parts(self, cluster: Cluster) -> Sequence[Cluster]:
        if cluster.name not in self._divided:
            rows = [] if cluster.name.count(".") >= DEEPEST else divide(self._set, cluster.rows)
            prefix = f"{cluster.name}." if cluster.name else ""
            parts = [Cluster(f"{prefix}{number}", part) for number, part in enumerate(rows)]
            self._divided[cluster.name] = parts
            self._clusters |= {part.name: part for part in parts}
        return self._divided[cluster.name]


def divide(database: CodeSet, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Divide rows into up to PARTS clusters: the largest first, in each the nearest to its middle.

    k-means with majorities of bits in place of means (k-majority: Grana et al., A fast approach for
    integrating ORB descriptors in the bag of words model, 2013), on a sample; always the same.
    Empty if the rows are few, or their codes cannot be told apart.
    """
    if len(rows) < SMALLEST:
        return []
    sample = _signs(database, rows[:: -(-len(rows) // _SAMPLE)])  # (n, K)
    middles = _apart(sample)  # (c, K)
    if len(middles) < 2:
        return []
    for _ in range(_ROUNDS):
        nearest = (sample @ middles.T).argmax(axis=1)  # (n,)
        for number in range(len(middles)):
            if (nearest == number).any():
                middles[number] = np.where(sample[nearest == number].sum(axis=0) > 0, 1, -1)
    likeness = np.concatenate(
        [
            _signs(database, rows[start : start + _CHUNK]) @ middles.T
            for start in range(0, len(rows), _CHUNK)
        ]
    )  # (N, c)
    nearest, best = likeness.argmax(axis=1), likeness.max(axis=1)
    order = np.lexsort((rows, -best))
    parts = [rows[order[nearest[order] == number]] for number in range(len(middles))]
    parts = sorted((part for part in parts if len(part)), key=lambda part: (-len(part), part[0]))
    return parts if len(parts) > 1 else []


def _signs(database: CodeSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The bits of some rows as 1 and -1, (n, K): products are then bits alike minus bits apart."""
    bits = unpack_bits(np.ascontiguousarray(database.codes[rows]), database.bits)
    return bits.astype(np.float32) * 2 - 1


def _apart(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Up to PARTS codes far from each other: each the farthest from those before it."""
    first = int((sample @ sample.sum(axis=0)).argmax())  # the most usual one
    chosen = [first]
    likeness = sample @ sample[first]
    while len(chosen) < PARTS and likeness.min() < sample.shape[1]:
        chosen.append(int(likeness.argmin()))
        likeness = np.maximum(likeness, sample @ sample[chosen[-1]])
    return sample[chosen]
