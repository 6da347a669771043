"""The radius at which near codes stop being those of copies, estimated from the set itself."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import Index
from bitcodes.tasks.duplicates.second_look import Pictures
from bitcodes.wording import counted

PRECISION = 0.95
"""The least share of copies among the pairs within the radius."""

_QUERIES, _NEAREST = 1000, 50
"""Images whose nearest ones are looked at, and how many of these."""

_PER_DISTANCE = 12
"""Pairs whose pixels are compared, of each distance."""


class Estimate(NamedTuple):
    """A radius, and what the pixels say of it."""

    radius: int
    precision: float
    """Share of the pairs within it that are copies."""
    recall: float
    """Share of the copies within `widest` that are within it."""
    compared: int
    """Pairs whose pixels were compared."""
    widest: int

    def describe(self) -> str:
        """The estimate in one line."""
        if not self.compared:
            return f"radius {self.radius}, by default: no codes lie within {self.widest}"
        return (
            f"radius {self.radius}, by the pixels of {counted(self.compared, 'pair')}: "
            f"{self.precision:.0%} of the pairs within it are copies, and {self.recall:.0%} of the "
            f"copies within {self.widest}"
        )


def estimate_radius(
    code_set: CodeSet, index: Index, default: int, widest: int, progress: Progress | None = None
) -> Estimate:
    """The largest radius up to `widest` within which PRECISION of the pairs are copies.

    Up to 1,000 images, evenly spaced, are taken with their 50 nearest others; of these pairs, up to
    12 of each distance are compared by their pixels. 0 if no radius is precise enough, `default` if
    there are no pairs. Raises CodeSetError if the set does not say where its images are.
    """
    if code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so no radius can be estimated "
            "from their pixels; name one"
        )
    pairs = _sampled(code_set, index, widest)
    counts = np.bincount(pairs[:, 2], minlength=widest + 1)
    chosen = np.concatenate([_spread(pairs[pairs[:, 2] == d]) for d in range(widest + 1)])
    files = [[code_set.absolute_path(row) for row in pair] for pair in chosen[:, :2].tolist()]
    pictures = Pictures({file: None for pair in files for file in pair}, index.threads, progress)
    compared, copies = np.zeros(widest + 1), np.zeros(widest + 1)
    for (one, other), distance in zip(files, chosen[:, 2].tolist(), strict=True):
        if not {one, other} & pictures.unreadable.keys():
            (like,) = pictures.likenesses(one, [other])
            compared[distance] += 1
            copies[distance] += like.kind == "copy"
    if not compared.any():
        return Estimate(default, 0.0, 0.0, 0, widest)
    shares = copies / np.maximum(compared, 1)
    right, all_pairs = np.cumsum(counts * shares), np.cumsum(counts * (compared > 0))
    precisions = right / np.maximum(all_pairs, 1)
    good = np.flatnonzero((precisions >= PRECISION) & (copies > 0))
    radius = int(good[-1]) if len(good) else 0
    recall = float(right[radius] / max(right[-1], 1e-9))
    return Estimate(radius, float(precisions[radius]), recall, int(compared.sum()), widest)


def _sampled(code_set: CodeSet, index: Index, widest: int) -> NDArray[np.int64]:
    """Pairs (P, 3) of a row, another row and their distance: some rows with their nearest."""
    count = code_set.count
    rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, _QUERIES)).astype(np.int64))
    near = index.within(code_set.codes[rows], widest, limit=_NEAREST)
    queries = np.repeat(rows, np.diff(near.offsets))
    pairs = np.stack([queries, near.rows, near.distances.astype(np.int64)], axis=1)
    others: NDArray[np.int64] = pairs[queries != near.rows]
    return others


def _spread(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Up to _PER_DISTANCE of some pairs, evenly spaced."""
    places = np.linspace(0, len(pairs) - 1, min(len(pairs), _PER_DISTANCE))
    return pairs[places.astype(np.int64)]
