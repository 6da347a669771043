"""How one picture lies in another: mirrored or turned, at which scale, and where.

Points of both pictures that look alike vote. Each pair of such points says how one picture lies in
the other; that which most others agree with is taken. The eight orientations are those of a
square: mirrored or not, and turned by quarters.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.images.keypoints import STEP, Points

ORIENTATIONS = tuple((mirrored, turns) for mirrored in (False, True) for turns in range(4))
"""Whether mirrored first, and then by how many quarters turned counterclockwise."""

_ALIKE = 0.75  # correlation of the patches of two points that vote
_MOST_VOTES = 200
_NEAR = 6.0  # pixels between where a point is and where another pair of points puts it
_LEAST_VOTES = 5


class Placement(NamedTuple):
    """Where the other picture lies: at `scale` * (x, y) + `shift` of it as `orientation` has it."""

    orientation: int
    """Place in ORIENTATIONS."""
    scale: tuple[float, float]
    """Along x and y."""
    shift: tuple[float, float]


def overlap(
    placement: Placement, size: tuple[int, int], other: tuple[int, int]
) -> tuple[float, float]:
    """What share of a picture of `size` (H, W) the other covers, and it of the other, 0 to 1."""
    _, turns = ORIENTATIONS[placement.orientation]
    common, area = 1.0, 1.0
    sides = zip(placement.scale, placement.shift, other[:: 1 if turns % 2 else -1], strict=True)
    for (scale, shift, side), whole in zip(sides, size[::-1], strict=True):
        common *= max(0.0, min(shift + scale * side, whole) - max(shift, 0.0))
        area *= scale * side
    return common / (size[0] * size[1]), common / max(area, 1e-9)


def oriented(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Pixels (..., H, W) mirrored and turned."""
    mirrored, turns = ORIENTATIONS[orientation]
    return np.rot90(pixels[..., ::-1] if mirrored else pixels, turns, axes=(-2, -1))


def find_placement(points: Points, other: Points, size: tuple[int, int]) -> Placement | None:
    """How the picture of `other`, of `size` (H, W), lies in that of `points`; None if unknown."""
    if not len(points.places) or not len(other.places):
        return None
    descriptors = points.patches.reshape(len(points.patches), -1)  # (N, 64)
    others = np.stack([oriented(other.patches, n) for n in range(len(ORIENTATIONS))])
    likeness = descriptors @ others.reshape(-1, descriptors.shape[1]).T  # (N, 8 M)
    best = likeness.argmax(axis=1)
    likest = likeness[np.arange(len(best)), best]
    point = np.argsort(-likest, kind="stable")[:_MOST_VOTES]
    point = point[likest[point] > _ALIKE]
    best = best[point]
    orientation, partner = np.divmod(best, len(other.places))
    here = points.places[point]  # (V, 2)
    there = np.empty_like(here)
    for number in np.unique(orientation):
        among = orientation == number
        there[among] = _turned(other.places[partner[among]], int(number), size)
    steps = (points.levels[point] - other.levels[partner]).astype(np.float32)
    agree = _agreement(here, there, steps, orientation)  # (V, V)
    counts = agree.sum(axis=1)
    if counts.max(initial=0) < _LEAST_VOTES:
        return None
    winner = int(np.argmax(counts))
    with_it = agree[winner]
    scale, shift = _fitted(here[with_it], there[with_it], STEP ** float(steps[winner]))
    return Placement(int(orientation[winner]), (scale, scale), shift)


def _agreement(
    here: NDArray[np.float32],
    there: NDArray[np.float32],
    steps: NDArray[np.float32],
    orientation: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which votes (V, V) agree with each: it puts their points where they are."""
    scales = (STEP**steps)[:, None, None]  # (V, 1, 1)
    predicted = here[:, None] + scales * (there[None] - there[:, None])  # (V, V, 2)
    distances = np.abs(predicted - here[None]).max(axis=2)
    apart = np.abs(here[None] - here[:, None]).max(axis=2)
    near: NDArray[np.bool_] = distances < _NEAR + 0.12 * apart  # the levels tell the scale to 12 %
    near &= orientation[:, None] == orientation[None]
    near &= np.abs(steps[:, None] - steps[None]) <= 1
    return near


def _fitted(
    here: NDArray[np.float32], there: NDArray[np.float32], scale: float
) -> tuple[float, tuple[float, float]]:
    """The scale and shift that fit pairs of points best: least squares, again for the nearest."""
    for _ in range(3):
        means = here.mean(axis=0), there.mean(axis=0)
        spread = ((there - means[1]) ** 2).sum()
        if spread > 1:
            scale = float(((here - means[0]) * (there - means[1])).sum() / spread)
        errors = np.abs(here - means[0] - scale * (there - means[1])).max(axis=1)
        keep = errors <= max(np.median(errors), 1.0)
        here, there = here[keep], there[keep]
    shift = here.mean(axis=0) - scale * there.mean(axis=0)
    return scale, (float(shift[0]), float(shift[1]))


def _turned(
    places: NDArray[np.float32], orientation: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Where points (N, 2) of a picture of `size` (H, W) lie as `orientation` has it."""
    mirrored, turns = ORIENTATIONS[orientation]
    height, width = size
    x, y = places.T
    if mirrored:
        x = width - x
    for _ in range(turns):  # a quarter counterclockwise: the right edge becomes the upper one
        x, y = y, width - x
        height, width = width, height
    return np.stack([x, y], axis=1)
