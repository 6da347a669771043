"""The built-in demo set: drawn pictures in ten classes, the same for a seed on every machine.

Everything is computed with integers from SHAKE-256 streams, so neither the mathematics library nor
the version of NumPy or Pillow can change a pixel. A class is a form (a heart, a star, ...) or an
all-over pattern (dots, checks, stripes); colours, size, angle, place, filling, background, light,
noise and clutter vary and say nothing about it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitcodes.datasets.prepared import (
    Prepared,
    Progress,
    check_settings,
    staged_folder,
    write_dataset,
)

SIZE = 64
"""Height and width of a picture in pixels."""

TRAIN_PER_CLASS = 250
TEST_PER_CLASS = 50

_SCALE = 3  # points a pixel side, for smooth edges
_UNIT = 1024  # a form's radius in its own coordinates
_POINTS = SIZE * _SCALE

_Plane = npt.NDArray[np.int32]
_Mask = npt.NDArray[np.bool_]
_Picture = npt.NDArray[np.int32]  # (SIZE, SIZE, 3) of 0..255

# Coordinates of the points from the centre of the picture, in halves of their distance.
_X = np.arange(_POINTS, dtype=np.int32) * 2 - (_POINTS - 1)
_Y = _X[:, None]

_COLOURS = (
    *((38, 70, 83), (42, 157, 143), (233, 196, 106), (244, 162, 97), (231, 111, 81)),
    *((29, 53, 87), (69, 123, 157), (168, 218, 220), (230, 57, 70), (241, 250, 238)),
    *((90, 24, 154), (157, 78, 221), (224, 170, 255), (255, 200, 221), (255, 90, 150)),
    *((27, 67, 50), (64, 145, 108), (149, 213, 178), (216, 243, 220), (255, 183, 3)),
    *((60, 47, 47), (141, 91, 76), (215, 180, 150), (255, 244, 224), (33, 33, 40)),
    *((0, 119, 182), (72, 202, 228), (208, 0, 0), (255, 140, 40), (250, 250, 250)),
)


def prepare_demo(out: Path, seed: int | None = None, progress: Progress | None = None) -> Prepared:
    """Draw the demo set into the folder `out`: 2,500 pictures to train on and search, 500 queries.

    Raises DataError if `out` holds anything else.
    """
    if done := check_settings(out, {"name": "demo", "seed": seed}):
        return done
    seed = seed or 0
    numbers = {"train": TRAIN_PER_CLASS, "test": TEST_PER_CLASS}
    total = len(CLASSES) * sum(numbers.values())
    items: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    done_pictures = 0
    with staged_folder(out) as folder:
        for label, name in enumerate(CLASSES):
            index = 0  # goes on from train to test, so that no picture occurs twice
            for split, number in numbers.items():
                (folder / split / name).mkdir(parents=True)
                for i in range(number):
                    path = f"{split}/{name}/{i:04}.png"
                    Image.fromarray(draw(name, index, seed)).save(folder / path)
                    items[split].append((path, label))
                    index += 1
                    done_pictures += 1
                    if progress is not None:
                        progress(done_pictures, total)
        items["database"] = items["train"]
        settings = {"name": "demo", "protocol": "demo", "seed": seed}
        description = write_dataset(folder, items, CLASSES, settings)
    return Prepared(out, description, "new")


class _Dice:
    """Numbers that depend on the seed and the name of the picture alone."""

    def __init__(self, name: str, size: int = 512) -> None:
        self._bytes = hashlib.shake_256(name.encode()).digest(size)
        self._position = 0

    def below(self, end: int) -> int:
        """An integer from 0 to end - 1 (end up to 65,536)."""
        two = self._bytes[self._position : self._position + 2]
        self._position += 2
        return int.from_bytes(two, "big") * end >> 16

    def between(self, first: int, last: int) -> int:
        return first + self.below(last - first + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


def draw(name: str, index: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Picture `index` of the class `name` (one of CLASSES): uint8 (SIZE, SIZE, 3), RGB."""
    dice = _Dice(f"{seed}/{name}/{index}")
    front, back, third = _colours(dice)
    if name in _PATTERNS:
        u, v = _place(dice, dice.between(10, 20), spread=SIZE // 2)
        picture = _background(dice, back, third, 0)
        picture = _paint(picture, _PATTERNS[name](u, v, dice), front)
        picture = _clutter(dice, picture, third)
    else:
        u, v = _place(dice, dice.between(13, 25), spread=11)
        form = _FORMS[name](u, v)
        picture = _clutter(dice, _background(dice, back, third, 55), third)
        if dice.chance(50):
            down, right = dice.between(2, 8), dice.between(-8, 8)
            shadow = np.roll(form, (down, right), (0, 1))
            picture = _paint(picture, shadow, (0, 0, 0), dice.between(10, 40))
        picture = _paint(picture, form, front)
        if dice.chance(35):
            picture = _paint(picture, form & _pattern(dice), third, dice.between(25, 60))
    return _develop(dice, picture)


def _colours(dice: _Dice) -> list[tuple[int, int, int]]:
    """Three colours that differ: what is drawn, what is behind it and what goes with them."""
    front = _COLOURS[dice.below(len(_COLOURS))]
    far = [c for c in _COLOURS if _difference(c, front) > 230]
    back = far[dice.below(len(far))]
    others = [c for c in _COLOURS if _difference(c, front) > 120 and c != back]
    return [front, back, others[dice.below(len(others))]]


def _difference(a: tuple[int, int, int], b: tuple[int, int, int]) -> int:
    return 2 * abs(a[0] - b[0]) + 3 * abs(a[1] - b[1]) + abs(a[2] - b[2]) >> 1


def _place(dice: _Dice, radius: int, spread: int) -> tuple[_Plane, _Plane]:
    """Coordinates (u, v) of all points in a turned and shifted frame, where `radius` is _UNIT."""
    # An angle by its half's tangent p / 256, as the rational points of the circle go; then by
    # quarter turns, so that every direction occurs.
    p = dice.below(256)
    square = 256 * 256 + p * p
    cosine, sine = (256 * 256 - p * p) * _UNIT * 64, 2 * 256 * p * _UNIT * 64
    for _ in range(dice.below(4)):
        cosine, sine = -sine, cosine
    length = 2 * _SCALE * radius  # of the radius, in the unit of _X and _Y
    c, s = cosine // (square * length), sine // (square * length)
    x = _X - 2 * _SCALE * dice.between(-spread, spread)
    y = _Y - 2 * _SCALE * dice.between(-spread, spread)
    return (x * c + y * s) >> 6, (y * c - x * s) >> 6


def _paint(
    picture: _Picture, mask: _Mask, colour: tuple[int, int, int], percent: int = 100
) -> _Picture:
    """Lay a colour over the points of a mask, with smooth edges."""
    points = mask.view(np.uint8)
    share = np.zeros((SIZE, SIZE, 1), np.int32)
    for i in range(_SCALE):
        for j in range(_SCALE):
            share[..., 0] += points[i::_SCALE, j::_SCALE]
    share *= percent
    whole = _SCALE * _SCALE * 100
    return (picture * (whole - share) + np.array(colour, np.int32) * share + whole // 2) // whole


def _background(
    dice: _Dice, colour: tuple[int, int, int], other: tuple[int, int, int], textured: int
) -> _Picture:
    """A colour, plain or fading towards another, or (in `textured` percent) a faint pattern."""
    picture = np.empty((SIZE, SIZE, 3), np.int32)
    picture[:] = colour
    if dice.chance(textured):
        return _paint(picture, _pattern(dice), other, dice.between(8, 35))
    a, b = dice.between(-64, 64), dice.between(-64, 64)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.int32)
    slope = np.clip(64 + (a * (2 * x - SIZE) + b * (2 * y - SIZE)) // 128, 0, 128)[..., None]
    depth = dice.between(0, 60)
    picture += (np.array(other, np.int32) - picture) * slope * depth // 12800
    return picture


def _pattern(dice: _Dice) -> _Mask:
    names = sorted(_PATTERNS)
    u, v = _place(dice, dice.between(8, 22), spread=SIZE // 2)
    return _PATTERNS[names[dice.below(len(names))]](u, v, dice)


def _clutter(dice: _Dice, picture: _Picture, colour: tuple[int, int, int]) -> _Picture:
    """A few crumbs and a line or two, as distraction."""
    for _ in range(dice.below(5)):
        u, v = _place(dice, dice.between(2, 4), spread=30)
        picture = _paint(picture, np.abs(u) + np.abs(v) < _UNIT, colour)
    if dice.chance(25):
        u, _ = _place(dice, 20, spread=28)
        picture = _paint(picture, np.abs(u) < dice.between(30, 70), colour)
    return picture


def _develop(dice: _Dice, picture: _Picture) -> npt.NDArray[np.uint8]:
    """Light, contrast and noise."""
    contrast, light = dice.between(60, 115), dice.between(-30, 30)
    picture = (picture - 128) * contrast // 100 + 128 + light
    strength = dice.between(0, 40) if dice.chance(70) else 0
    grain = hashlib.shake_256(dice._bytes).digest(picture.size * 2)
    noise = np.frombuffer(grain, np.uint8).astype(np.int32).reshape(*picture.shape, 2)
    picture = picture + (noise[..., 0] + noise[..., 1] - 255) * strength // 256
    return np.clip(picture, 0, 255).astype(np.uint8)


def _circle(u: _Plane, v: _Plane) -> _Mask:
    return u * u + v * v < 900 * 900


def _ring(u: _Plane, v: _Plane) -> _Mask:
    square = u * u + v * v
    return (square < 980 * 980) & (square > 600 * 600)


def _moon(u: _Plane, v: _Plane) -> _Mask:
    return (u * u + v * v < 1000 * 1000) & ((u - 430) ** 2 + v * v > 820 * 820)


def _cross(u: _Plane, v: _Plane) -> _Mask:
    u, v = np.abs(u), np.abs(v)
    return (np.minimum(u, v) < 300) & (np.maximum(u, v) < 980)


def _triangle(u: _Plane, v: _Plane) -> _Mask:
    # Half planes at 120 degrees: normals (0, 1) and (+-0.866, -0.5), here times 1024.
    return (v < 560) & (np.abs(u) * 887 - v * 512 < 560 * 1024)


def _star(u: _Plane, v: _Plane) -> _Mask:
    # Five half planes at 72 degrees: a point of the star lies in four of them at least.
    normals = ((0, 1024), (974, 316), (602, -828), (-602, -828), (-974, 316))
    outside = np.zeros(u.shape, np.int8)
    for a, b in normals:
        outside += u * a + v * b >= 370 * 1024
    star: _Mask = outside <= 1
    return star


def _heart(u: _Plane, v: _Plane) -> _Mask:
    # A square that stands on its corner, with a half disc on each of its upper sides.
    v = v + 140
    square = np.abs(u) + np.abs(v - 60) < 920
    discs = (np.abs(u) - 460) ** 2 + (v + 400) ** 2 < 651 * 651
    return square | discs


def _stripes(u: _Plane, v: _Plane, dice: _Dice) -> _Mask:
    return u % _UNIT < dice.between(380, 620)


def _checks(u: _Plane, v: _Plane, dice: _Dice) -> _Mask:
    checks: _Mask = ((u ^ v) & (_UNIT // 2)) != 0
    return checks


def _dots(u: _Plane, v: _Plane, dice: _Dice) -> _Mask:
    u, v = u % _UNIT - _UNIT // 2, v % _UNIT - _UNIT // 2
    return u * u + v * v < dice.between(270, 400) ** 2


_FORMS: dict[str, Callable[[_Plane, _Plane], _Mask]] = {
    "circle": _circle,
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
    "ring": _ring,
    "star": _star,
    "triangle": _triangle,
}
_PATTERNS: dict[str, Callable[[_Plane, _Plane, _Dice], _Mask]] = {
    "checks": _checks,
    "dots": _dots,
    "stripes": _stripes,
}
CLASSES = tuple(sorted([*_FORMS, *_PATTERNS]))
"""The ten class names, in the order of their labels."""
