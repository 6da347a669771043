"""Points of a picture that can be found again in a copy of it, whatever its scale and place there.

Corners (Harris and Stephens, "A combined corner and edge detector", 1988) in a pyramid of gray
pictures. Each is described by the patch around it, with mean 0 and norm 1: the scalar product of
two is their normalized cross-correlation, which brightness and contrast do not change.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 192
"""Longer side of the gray pictures, in pixels; all coordinates are in pixels of these."""

STEP = 2 ** (1 / 3)
"""Ratio of the sizes of two levels of the pyramid."""

_LEVELS = 8
_PATCH = 16  # pixels of a level
_CELLS = 8  # values of a descriptor along either side
_DENSITY = 160  # pixels of a level for each point that is kept
_FLAT = 3.0  # gray values: the least deviation of a patch that is described


class Points(NamedTuple):
    """N points of a picture."""

    places: NDArray[np.float32]
    """(N, 2) x and y in the gray picture"""
    levels: NDArray[np.int64]
    """(N,) of the pyramid, 0 for the finest"""
    patches: NDArray[np.float32]
    """(N, 8, 8) of mean 0 and norm 1"""


def gray_picture(image: Image.Image) -> NDArray[np.uint8]:
    """Gray values (H, W) of an RGB picture with its longer side at SIDE pixels."""
    scale = SIDE / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    gray = image.convert("L").resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(gray)


def find_points(gray: NDArray[np.float32]) -> Points:
    """The points of a gray picture (H, W)."""
    picture = Image.fromarray(gray)
    found = []
    for level in range(_LEVELS):
        width, height = (round(side / STEP**level) for side in picture.size)
        if min(width, height) < _PATCH + 2:
            break
        pixels = gray
        if level:
            shrunk = picture.resize((width, height), Image.Resampling.BICUBIC)
            pixels = np.asarray(shrunk, np.float32)
        rows, columns = _corners(pixels)
        patches, described = _patches(pixels, rows, columns)
        centers = np.stack([columns[described] + 0.5, rows[described] + 0.5], axis=1)
        scale = np.array([picture.width / width, picture.height / height])
        found.append(Points(centers * scale, np.full(len(centers), level), patches))
    if not found:
        none = np.empty((0, _CELLS, _CELLS), np.float32)
        return Points(np.empty((0, 2), np.float32), np.empty(0, np.int64), none)
    places, levels, described_patches = map(np.concatenate, zip(*found, strict=True))
    return Points(places.astype(np.float32), levels, described_patches)


def _corners(pixels: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the strongest corners, whose patches lie within the picture."""
    down, across = (np.asarray(part, np.float32) for part in np.gradient(pixels))
    xx, yy, xy = map(_smooth, (across * across, down * down, across * down))
    trace = xx + yy
    response = (xx * yy - xy * xy) / (trace + 1e-3)  # the harmonic mean of both eigenvalues
    half = _PATCH // 2
    inner = response[half : -half + 1, half : -half + 1]
    highest = inner.copy()
    padded = np.pad(inner, 2, constant_values=-np.inf)
    for row in range(5):
        for column in range(5):
            shifted = padded[row : row + inner.shape[0], column : column + inner.shape[1]]
            np.maximum(highest, shifted, out=highest)
    rows, columns = np.nonzero((inner == highest) & (inner > 1))
    strongest = np.argsort(-inner[rows, columns], kind="stable")[: max(8, inner.size // _DENSITY)]
    return rows[strongest] + half, columns[strongest] + half


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binomial smoothing over five pixels along either axis."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (2, 2)
        padded = np.pad(values, width, mode="edge")
        size = values.shape[axis]
        parts = [padded.take(range(n, n + size), axis) for n in range(5)]
        sums: NDArray[np.float32] = parts[0] + parts[4] + 4 * (parts[1] + parts[3]) + 6 * parts[2]
        values = (sums / 16).astype(np.float32)
    return values


def _patches(
    pixels: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Descriptors (M, 8, 8) of the N points whose patches are not flat, and which these are."""
    offsets = np.arange(-(_PATCH // 2), _PATCH // 2)
    at = rows[:, None, None] + offsets[:, None], columns[:, None, None] + offsets
    size = _PATCH // _CELLS
    parts = pixels[at].reshape(-1, _CELLS, size, _CELLS, size)
    cells: NDArray[np.float32] = parts.mean(axis=(2, 4))  # (N, 8, 8)
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(cells, axis=(1, 2), keepdims=True)
    described = norms[:, 0, 0] > _FLAT * _CELLS
    return cells[described] / norms[described], described
