"""Lists of images, and changed copies of photographs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from bitcodes.images.changes import mirrored, recompressed

Change = Callable[[Image.Image], Image.Image]


def paths_in(folder: Path) -> list[Path]:
    """The JPEG files in a folder, in the order of their names."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})


def of_each(folder: Path, first: int, end: int) -> list[Path]:
    """Of each folder in a folder, the JPEG files number `first` to `end` - 1."""
    parts = sorted(part for part in folder.iterdir() if part.is_dir())
    return [path for part in parts for path in paths_in(part)[first:end]]


def opened(paths: list[Path]) -> Iterator[Image.Image]:
    """The images, in RGB."""
    for path in paths:
        with Image.open(path) as image:
            yield image.convert("RGB")


def part(image: Image.Image, share: float, x: float, y: float) -> Image.Image:
    """A part with `share` of either side; x and y from 0 (left, top) to 1 (right, bottom)."""
    width, height = image.size
    left, top = x * (1 - share) * width, y * (1 - share) * height
    box = (left, top, left + share * width, top + share * height)
    return image.crop(tuple(map(round, box)))  # type: ignore[arg-type]


def smaller(image: Image.Image, times: float) -> Image.Image:
    """Both sides `times` as long."""
    return image.resize(tuple(max(1, round(side * times)) for side in image.size))


CHANGES: dict[str, Change] = {
    "cropped": lambda image: part(image, 0.8, 0, 0),
    "reduced": lambda image: smaller(image, 0.25),
    "recompressed": lambda image: recompressed(image, 20),
    "mirrored": mirrored,
    "half": lambda image: part(image, 0.5**0.5, 1, 1),
    "quarter": lambda image: part(image, 0.5, 0.5, 0.5),
    "quality 10": lambda image: recompressed(image, 10),
    "mirrored part": lambda image: mirrored(part(image, 0.8, 1, 0)),
    "64 pixels": lambda image: smaller(image, 64 / image.width),
}
"""How a copy differs from its photograph: the first four as in benchmarks/copies.py, then harder
ones: half or a quarter of the picture, JPEG of quality 10, 64 % mirrored, 64 pixels wide."""
