"""Whether two pictures are one picture, changed, or two: what their pixels say once aligned.

A copy that was resized, compressed, cropped, framed, written on, mirrored or turned shows the same
details at the same places, once it is aligned by scale and shift. Another shot of the same thing
does not: seen from another point, things move against each other by more than scale and shift.
So one picture is cut into blocks, and each is looked for in the other near the place where it
should be. The score counts the blocks that are there, less where the places show a perspective.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.choices import CopyKind
from bitcodes.images.alignment import ORIENTATIONS, Placement, find_placement, oriented, overlap
from bitcodes.images.keypoints import Points, find_points

_SIDE = 144  # longer side of the pictures that are compared, in pixels
_BLOCK = 16
_REACH = 4  # pixels around its place where a block is looked for
_FLAT = 4.0  # gray values: blocks of a smaller deviation say nothing
_FOUND = 0.75  # correlation of a block that is there
_OFF = 1.0  # pixels between a block that is there and its place
_ROUNDS = 3
_LEAST_BLOCKS = 8
_BENT = 0.25  # pixels of perspective, turn or shear that lower the score to 1/e
_SURE = 0.8  # share of blocks from which on no other placement is tried
_FIT = 0.4  # correlation of whole pictures from which on one is laid over the other
_BLANK = 3.0  # gray values by which two pictures without details may differ

COPY_SCORE = 0.45
"""The least score of a copy."""

_ALIKE_SHARE = 0.2
"""The least share of the blocks of another shot."""

_WHOLE = 0.97
"""The least share of a whole picture: the placement is known to a pixel or so."""

_SMALL = 24
"""Side of the squares by which whole pictures are compared."""


class Look(NamedTuple):
    """What is compared of a picture."""

    gray: NDArray[np.float32]
    """(H, W)"""
    points: Points
    small: NDArray[np.float32]
    """(24, 24) of mean 0 and norm 1"""

    @property
    def is_blank(self) -> bool:
        """Whether nothing can be seen on it."""
        return float(self.gray.std()) < _BLANK


class Likeness(NamedTuple):
    """How alike two pictures are."""

    score: float
    """How sure it is that both are one picture, 0 to 1; a copy from COPY_SCORE on."""
    share: float
    """Share of blocks of the one that are in the other, 0 to 1."""
    placement: Placement
    """How the other lies in the one."""
    shown: float = 1.0
    """What share of the one is on the other, 0 to 1."""
    inside: float = 1.0
    """What share of the other is on the one, 0 to 1."""

    @property
    def mirrored(self) -> bool:
        """Whether the other is mirrored."""
        return ORIENTATIONS[self.placement.orientation][0]

    @property
    def turned(self) -> int:
        """Degrees that the other is turned clockwise, before it was mirrored if it was."""
        return 90 * ORIENTATIONS[self.placement.orientation][1]

    @property
    def changes(self) -> tuple[str, ...]:
        """How a copy lies in the one, in words; nothing where both are whole and upright."""
        if self.kind != "copy":
            return ()
        words = [f"turned by {self.turned}°"] * (self.turned > 0) + ["mirrored"] * self.mirrored
        if self.shown < _WHOLE:
            words.append(f"cropped to {self.shown:.0%}")
        if self.inside < _WHOLE:
            words.append(f"with {1 - self.inside:.0%} added around it")
        return tuple(words)

    @property
    def kind(self) -> CopyKind | None:
        """What they are; None if neither one picture nor shots of one thing."""
        if self.score >= COPY_SCORE:
            return "copy"
        return "similar" if self.share >= _ALIKE_SHARE else None


def look_at(picture: NDArray[np.uint8]) -> Look:
    """What is compared of a picture, from its gray values (H, W); see gray_picture."""
    gray = picture.astype(np.float32)
    small = _resized(gray, (_SMALL, _SMALL))
    small = small - small.mean()
    norm = np.sqrt((small**2).sum())
    return Look(gray, find_points(gray), small / max(norm, 1e-6))


def likeness(look: Look, other: Look) -> Likeness:
    """Compare two pictures."""
    if look.is_blank or other.is_blank:
        return _of_blank(look, other)
    if np.array_equal(look.gray, other.gray):
        return Likeness(1.0, 1.0, _stretched(look, other, 0))
    orientation, fit = _orientation(look, other)
    whole = _stretched(look, other, orientation)
    best = _compare(look.gray, other.gray, whole) if fit > _FIT else Likeness(0.0, 0.0, whole)
    if best.score < _SURE:
        placement = find_placement(look.points, other.points, other.gray.shape)
        if placement is not None:
            best = max(best, _compare(look.gray, other.gray, placement))
    shown, inside = overlap(best.placement, look.gray.shape, other.gray.shape)
    return best._replace(shown=shown, inside=inside)


def _of_blank(look: Look, other: Look) -> Likeness:
    """Pictures without details are one if both are, and of one gray value."""
    difference = abs(float(look.gray.mean() - other.gray.mean()))
    score = float(look.is_blank and other.is_blank and difference < _BLANK)
    return Likeness(score, score, _stretched(look, other, 0))


def _orientation(look: Look, other: Look) -> tuple[int, float]:
    """The orientation in which the whole of the other fits the whole of the one, and how well."""
    fits = [
        float((look.small * oriented(other.small, number)).sum())
        for number in range(len(ORIENTATIONS))
    ]
    best = int(np.argmax(fits))
    return best, fits[best]


def _stretched(look: Look, other: Look, orientation: int) -> Placement:
    """The other picture stretched over the whole of the one."""
    height, width = oriented(other.gray, orientation).shape
    scale = look.gray.shape[1] / width, look.gray.shape[0] / height
    return Placement(orientation, scale, (0.0, 0.0))


def _compare(
    gray: NDArray[np.float32], other: NDArray[np.float32], placement: Placement
) -> Likeness:
    """Count the blocks that are there, once the placement is as good as it can be."""
    factor = _SIDE / max(gray.shape)
    height, width = (round(side * factor) for side in gray.shape)
    picture = _resized(gray, (height, width))
    turned = np.ascontiguousarray(oriented(other, placement.orientation))
    scale, shift = np.array(placement.scale) * factor, np.array(placement.shift) * factor
    best = Likeness(0.0, 0.0, placement)
    for _ in range(_ROUNDS):
        if min(scale) < 0.05:
            break
        warped, inside = _warped(turned, scale, shift, (height, width))
        blocks = _match(picture, warped, inside)
        there = blocks.correlations > _FOUND
        if there.sum() < _LEAST_BLOCKS:
            break
        gain, offset = _correction(blocks.places[there], blocks.offsets[there])
        left = blocks.offsets - (gain * blocks.places + offset)
        errors = np.abs(left).max(axis=1)
        share = float((there & (errors <= _OFF)).mean())
        among = there & (errors <= _REACH)
        bend = _bend(blocks.places[among], left[among])
        score = share * float(np.exp(-((bend / _BENT) ** 2)))
        scale, shift = scale * (1 - gain), shift * (1 - gain) - offset
        fitted = Placement(
            placement.orientation,
            (float(scale[0] / factor), float(scale[1] / factor)),
            (float(shift[0] / factor), float(shift[1] / factor)),
        )
        best = max(best, Likeness(score, share, fitted))
        moved = np.abs(gain * (width, height)).max() + np.abs(offset).max()
        if moved < 0.5:
            break
    return best


def _bend(places: NDArray[np.float64], left: NDArray[np.float64]) -> float:
    """How far a perspective moves the blocks, beyond scale and shift: the root mean square.

    A map of the second order along x and along y is fitted to how far the blocks (N, 2) at
    `places` (N, 2) are off, as a projective map has: what single blocks are off averages out.
    """
    x, y = ((places - places.mean(axis=0)) / (_SIDE / 2)).T
    one = np.ones_like(x)
    total = 0.0
    for along, across, off in ((x, y, left[:, 0]), (y, x, left[:, 1])):
        terms = np.stack([one, along, across, along * along, along * across], axis=1)  # (N, 5)
        keep = np.ones(len(places), np.bool_)
        for _ in range(4):
            fitted = np.linalg.lstsq(terms[keep], off[keep], rcond=None)[0]
            errors = np.abs(terms @ fitted - off)
            keep = errors <= max(1.5 * float(np.median(errors)), 0.3)
        moved = terms @ fitted
        plain = terms[:, :2]  # scale and shift
        moved -= plain @ np.linalg.lstsq(plain, moved, rcond=None)[0]
        total += float((moved**2).mean())
    return float(np.sqrt(total))


def _warped(
    turned: NDArray[np.float32],
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The other picture where it lies in one of `size` (H, W), and where it covers that."""
    height, width = turned.shape
    if scale.min() < 0.75:  # else every other pixel would be left out
        small = max(1, round(height * scale[1])), max(1, round(width * scale[0]))
        turned = _resized(turned, small)
        scale = scale * (width / small[1], height / small[0])
        height, width = small
    matrix = (1 / scale[0], 0, -shift[0] / scale[0], 0, 1 / scale[1], -shift[1] / scale[1])
    warped = Image.fromarray(turned).transform(
        (size[1], size[0]), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    x = (np.arange(size[1]) + 0.5 - shift[0]) / scale[0]
    y = (np.arange(size[0]) + 0.5 - shift[1]) / scale[1]
    across, down = (x >= 0.5) & (x <= width - 0.5), (y >= 0.5) & (y <= height - 0.5)
    return np.asarray(warped, np.float32), down[:, None] & across


class _Blocks(NamedTuple):
    """N blocks that are not flat."""

    places: NDArray[np.float64]
    """(N, 2) x and y of their centers"""
    offsets: NDArray[np.float64]
    """(N, 2) from there to where they are found"""
    correlations: NDArray[np.float32]
    """(N,) with what is found there"""


def _match(
    picture: NDArray[np.float32], warped: NDArray[np.float32], inside: NDArray[np.bool_]
) -> _Blocks:
    """Look for each block of the picture near its place in the other."""
    rows = np.arange(_REACH, picture.shape[0] - _BLOCK - _REACH + 1, _BLOCK // 2)
    columns = np.arange(_REACH, picture.shape[1] - _BLOCK - _REACH + 1, _BLOCK // 2)
    row, column = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    if not len(row):
        none = np.empty((0, 2))
        return _Blocks(none, none, np.empty(0, np.float32))
    block = np.arange(_BLOCK)
    wide = np.arange(-_REACH, _BLOCK + _REACH)
    ours = picture[row[:, None, None] + block[:, None], column[:, None, None] + block]
    at = row[:, None, None] + wide[:, None], column[:, None, None] + wide
    kept = inside[at].all(axis=(1, 2)) & (ours.std(axis=(1, 2)) > _FLAT)
    ours, theirs = ours[kept], warped[at[0][kept], at[1][kept]]  # (N, 16, 16), (N, 24, 24)
    correlations = _correlations(ours, theirs)  # (N, 9, 9)
    span = correlations.shape[1]
    best = correlations.reshape(len(ours), -1).argmax(axis=1) if len(ours) else np.empty(0, int)
    down, across = np.divmod(best, span)
    offsets = np.stack(
        [
            across + _peak(correlations, down, across, 2) - _REACH,
            down + _peak(correlations, down, across, 1) - _REACH,
        ],
        axis=1,
    )
    places = np.stack([column[kept], row[kept]], axis=1) + _BLOCK / 2
    return _Blocks(places, offsets, correlations[np.arange(len(ours)), down, across])


def _correlations(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalized correlations (N, S, S) of blocks with each window of larger blocks."""
    count, side, wide = len(ours), ours.shape[1], theirs.shape[1]
    span = wide - side + 1
    ours = ours - ours.mean(axis=(1, 2), keepdims=True)
    ours /= np.sqrt((ours**2).sum(axis=(1, 2), keepdims=True))
    theirs = theirs - theirs.mean(axis=(1, 2), keepdims=True)
    shape = (wide, wide)
    spectra = np.fft.rfft2(theirs, shape), np.fft.rfft2(ours, shape)
    products = np.fft.irfft2(spectra[0] * spectra[1].conj(), shape)[:, :span, :span]
    sums, squares = (_window_sums(values, side) for values in (theirs, theirs**2))
    variances = np.maximum(squares - sums**2 / side**2, 0)
    deviations = np.sqrt(variances) + 0.5 * side  # flat ones are like nothing
    result: NDArray[np.float32] = (products / deviations).astype(np.float32)
    return result.reshape(count, span, span)


def _window_sums(values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Sums (N, S, S) over the squares of a side in each block (N, H, H)."""
    sums = np.pad(values.cumsum(axis=1, dtype=np.float64).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    difference = sums[:, side:] - sums[:, :-side]
    windows: NDArray[np.float64] = difference[:, :, side:] - difference[:, :, :-side]
    return windows


def _peak(
    correlations: NDArray[np.float32], down: NDArray[np.int64], across: NDArray[np.int64], axis: int
) -> NDArray[np.float64]:
    """How far the peak lies from the highest value along an axis: that of a parabola, (N,)."""
    span = correlations.shape[1]
    number = np.arange(len(down))
    place = across if axis == 2 else down
    middle = np.clip(place, 1, span - 2)

    def at(step: int) -> NDArray[np.float64]:
        where = (number, down, middle + step) if axis == 2 else (number, middle + step, across)
        return correlations[where].astype(np.float64)

    low, mid, high = at(-1), at(0), at(1)
    bend = low - 2 * mid + high
    moved = np.where(bend < -1e-6, 0.5 * (low - high) / np.minimum(bend, -1e-6), 0.0)
    return np.where(place == middle, np.clip(moved, -0.5, 0.5), 0.0)


def _correction(
    places: NDArray[np.float64], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain and offset of x and of y, (2,) each, that explain how far most blocks are off."""
    keep = np.ones(len(places), np.bool_)
    gain, offset = np.zeros(2), np.median(offsets, axis=0)
    for _ in range(4):
        middle, mean = places[keep].mean(axis=0), offsets[keep].mean(axis=0)
        spread = ((places[keep] - middle) ** 2).sum(axis=0)
        product = ((places[keep] - middle) * (offsets[keep] - mean)).sum(axis=0)
        gain = product / np.maximum(spread, 1.0)
        offset = mean - gain * middle
        errors = np.abs(offsets - gain * places - offset).max(axis=1)
        keep = errors <= max(float(np.median(errors)) * 1.5, 0.7)
    return gain, offset


def _resized(gray: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A gray picture at a size (H, W)."""
    shrunk = Image.fromarray(gray).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(shrunk, np.float32)
