"""The built-in demo set: drawn pictures in ten classes.

A class is a form (a heart, a star, ...) or an all-over pattern (dots, checks, stripes). Colours,
size, angle, place, filling, background, light, noise and clutter vary and say nothing about it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageDraw

from bitcodes.callbacks import Progress
from bitcodes.datasets.prepared import Prepared, check_settings, staged_folder, write_dataset

SIZE = 64
"""Height and width of a picture in pixels."""

TRAIN_PER_CLASS = 250
TEST_PER_CLASS = 50

_SCALE = 4  # masks are drawn larger and reduced, for smooth edges
_REACH = 8  # copies of a pattern on each side of the centre: more than the diagonal needs

_Colour = tuple[int, int, int]
_Outline = NDArray[np.float64]  # corners (P, 2), or of several polygons (M, P, 2); y downwards
_Form = Sequence[tuple[_Outline, int]]  # outlines and what fills them, one over the other

_COLOURS = (
    *((38, 70, 83), (42, 157, 143), (233, 196, 106), (244, 162, 97), (231, 111, 81)),
    *((29, 53, 87), (69, 123, 157), (168, 218, 220), (230, 57, 70), (241, 250, 238)),
    *((90, 24, 154), (157, 78, 221), (224, 170, 255), (255, 200, 221), (255, 90, 150)),
    *((27, 67, 50), (64, 145, 108), (149, 213, 178), (216, 243, 220), (255, 183, 3)),
    *((60, 47, 47), (141, 91, 76), (215, 180, 150), (255, 244, 224), (33, 33, 40)),
    *((0, 119, 182), (72, 202, 228), (208, 0, 0), (255, 140, 40), (250, 250, 250)),
)


def prepare_demo(
    out: Path | str, seed: int | None = None, progress: Progress | None = None
) -> Prepared:
    """Draw the demo set into the folder `out`: 2,500 pictures to train on and search, 500 queries.

    Raises DataError if `out` holds anything else.
    """
    out = Path(out)
    if done := check_settings(out, {"name": "demo", "seed": seed}):
        return done
    seed = seed or 0
    classes: dict[str, dict[str, list[str]]] = {}
    per_class = TRAIN_PER_CLASS + TEST_PER_CLASS
    with staged_folder(out) as folder:
        for number in range(per_class * len(CLASSES)):
            name, index = CLASSES[number // per_class], number % per_class
            past = index - TRAIN_PER_CLASS
            half, i = ("train", index) if past < 0 else ("test", past)
            path = f"{half}/{name}/{i:04}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            draw(name, index, seed).save(folder / path)
            classes.setdefault(name, {"train": [], "test": []})[half].append(path)
            if progress is not None:
                progress(number + 1, per_class * len(CLASSES))
        divisions = {name: paths | {"database": paths["train"]} for name, paths in classes.items()}
        settings = {"name": "demo", "protocol": "demo", "seed": seed}
        description = write_dataset(folder, divisions, settings)
    return Prepared(out, description, "new")


def draw(name: str, index: int, seed: int = 0) -> Image.Image:
    """Picture `index` of the class `name` (one of CLASSES): RGB, SIZE x SIZE pixels."""
    rng = np.random.default_rng([seed, CLASSES.index(name), index])
    front, back, third = _colours(rng)
    if name in _PATTERNS:
        picture = _background(rng, back, third, 0.0)
        picture.paste(front, mask=_mask(rng, [(_PATTERNS[name](rng), 255)], (10, 20), 10))
        _add_clutter(rng, picture, third)
    else:
        picture = _background(rng, back, third, 0.55)
        _add_clutter(rng, picture, third)
        form = _mask(rng, _FORMS[name], (13, 25), 11)
        if rng.random() < 0.5:
            shadow = ImageChops.offset(form, int(rng.integers(-8, 9)), int(rng.integers(2, 9)))
            picture.paste((0, 0, 0), mask=_faint(shadow, rng.uniform(0.1, 0.4)))
        picture.paste(front, mask=form)
        if rng.random() < 0.35:
            filling = _faint(_any_pattern(rng), rng.uniform(0.25, 0.6))
            picture.paste(third, mask=ImageChops.multiply(form, filling))
    return _develop(rng, picture)


def _colours(rng: Generator) -> tuple[_Colour, _Colour, _Colour]:
    """Three colours that differ: of the form, of what is behind it, of what goes with them."""
    front = _COLOURS[rng.integers(len(_COLOURS))]
    far = [c for c in _COLOURS if _difference(c, front) > 230]
    back = far[rng.integers(len(far))]
    others = [c for c in _COLOURS if _difference(c, front) > 120 and c != back]
    return front, back, others[rng.integers(len(others))]


def _difference(a: _Colour, b: _Colour) -> float:
    """About how far apart the eye sees two colours."""
    return abs(a[0] - b[0]) + 1.5 * abs(a[1] - b[1]) + 0.5 * abs(a[2] - b[2])


def _mask(rng: Generator, form: _Form, radius: tuple[float, float], spread: float) -> Image.Image:
    """A form of some radius, turned, and up to `spread` pixels off the centre, as a mask."""
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(*radius) * _SCALE
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = _SCALE * (SIZE / 2 + rng.uniform(-spread, spread, 2))
    mask = Image.new("L", (SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(mask)
    for outlines, fill in form:
        polygons = outlines.reshape(-1, *outlines.shape[-2:]) @ turn + centre
        for corners in polygons.reshape(len(polygons), -1).tolist():
            pen.polygon(corners, fill=fill)
    return mask.reduce(_SCALE)


def _faint(mask: Image.Image, share: float) -> Image.Image:
    return mask.point([round(value * share) for value in range(256)])


def _background(rng: Generator, colour: _Colour, other: _Colour, textured: float) -> Image.Image:
    """A colour that fades towards another, or for a share of the pictures a faint pattern."""
    picture = Image.new("RGB", (SIZE, SIZE), colour)
    if rng.random() < textured:
        mask = _faint(_any_pattern(rng), rng.uniform(0.08, 0.35))
    else:
        slope = Image.linear_gradient("L").rotate(rng.uniform(0, 360)).crop((38, 38, 218, 218))
        mask = _faint(slope.resize((SIZE, SIZE)), rng.uniform(0, 0.6))
    picture.paste(other, mask=mask)
    return picture


def _any_pattern(rng: Generator) -> Image.Image:
    name = sorted(_PATTERNS)[rng.integers(len(_PATTERNS))]
    return _mask(rng, [(_PATTERNS[name](rng), 255)], (8, 22), 8)


def _add_clutter(rng: Generator, picture: Image.Image, colour: _Colour) -> None:
    """Draw a few crumbs, and at times a line, as distraction."""
    for _ in range(rng.integers(5)):
        picture.paste(colour, mask=_mask(rng, [(_around(1, 4), 255)], (2, 4), 30))
    if rng.random() < 0.25:
        line = _bar(rng.uniform(0.6, 1.4), 4 * SIZE)
        picture.paste(colour, mask=_mask(rng, [(line, 255)], (1, 1), 28))


def _develop(rng: Generator, picture: Image.Image) -> Image.Image:
    """The picture in some light, with some contrast and noise."""
    pixels = (np.asarray(picture, np.float64) - 128) * rng.uniform(0.6, 1.15) + 128
    noise = rng.uniform(0, 16) if rng.random() < 0.7 else 0
    pixels += rng.uniform(-30, 30) + rng.normal(0, noise, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _around(radius: ArrayLike, corners: int = 48, x: float = 0.0, y: float = 0.0) -> _Outline:
    """Corners around a point, the first above it, at these distances in turn: (P, 2)."""
    angles = np.arange(corners) * 2 * np.pi / corners
    distances = np.resize(radius, corners)
    return np.stack([x + distances * np.sin(angles), y - distances * np.cos(angles)], axis=1)


def _bar(width: float, length: float) -> _Outline:
    x, y = width / 2, length / 2
    return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])


def _heart() -> _Outline:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -2.5 - y], axis=1) / 15


def _copies(outline: _Outline, step: float, rows: int) -> _Outline:
    """Copies of an outline side by side, in 2 rows + 1 rows: (M, P, 2)."""
    number = int(_REACH / step)
    x, y = np.mgrid[-number : number + 1, -rows : rows + 1].reshape(2, -1) * step
    return np.asarray(outline + np.stack([x, y], axis=1)[:, None])


_FORMS: dict[str, _Form] = {  # in units of the radius
    "circle": [(_around(0.88), 255)],
    "cross": [(_bar(0.59, 1.91), 255), (_bar(1.91, 0.59), 255)],
    "heart": [(_heart(), 255)],
    "moon": [(_around(0.98), 255), (_around(0.8, x=0.42), 0)],
    "ring": [(_around(0.96), 255), (_around(0.59), 0)],
    "star": [(_around([1.17, 0.447], 10), 255)],
    "triangle": [(_around(1.09, 3), 255)],
}
_PATTERNS: dict[str, Callable[[Generator], _Outline]] = {  # in units of their period
    "checks": lambda rng: _copies(_around(0.354, 4), 0.708, int(_REACH / 0.708)),
    "dots": lambda rng: _copies(_around(rng.uniform(0.26, 0.39), 16), 1, _REACH),
    "stripes": lambda rng: _copies(_bar(rng.uniform(0.37, 0.6), 2 * _REACH), 1, 0),
}
CLASSES = tuple(sorted([*_FORMS, *_PATTERNS]))
"""The ten class names, in the order of their labels."""
