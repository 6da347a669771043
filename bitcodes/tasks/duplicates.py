"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitcodes.callbacks import Progress
from bitcodes.choices import Keep
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.errors import CodeSetError, ImageError
from bitcodes.hamming.duplicates import near_duplicates
from bitcodes.hamming.stored import open_groups
from bitcodes.wording import counted

RADIUS_SHARE = 10
"""The default radius is the number of bits divided by this."""


@dataclass(frozen=True)
class Image:
    """One image of a group."""

    row: int
    """In the code set."""
    path: str
    """As the code set has it."""
    file: Path | None
    """Where the image is, if that is known."""
    distance: int
    """Hamming distance to the image to keep; more than the radius through a chain."""


@dataclass(frozen=True)
class Duplicates:
    """The groups of near-duplicates in a code set. The first image of each is the one to keep."""

    codes: str
    """Name of the code set."""
    bits: int
    count: int
    """Images in the code set."""
    distinct: int
    """Distinct codes in it."""
    radius: int
    keep: Keep
    groups: tuple[tuple[Image, ...], ...]

    def __repr__(self) -> str:
        return f"<Duplicates: {self.describe()}>"

    @property
    def extra(self) -> int:
        """Number of images beside those to keep."""
        return sum(len(images) - 1 for images in self.groups)

    def describe(self) -> str:
        """The number of groups and images, in one line."""
        within = "of equal codes" if self.radius == 0 else f"within distance {self.radius}"
        return (
            f"{counted(len(self.groups), 'group')} {within}: "
            f"{counted(self.extra, 'duplicate')} among {counted(self.count, 'image')} "
            f"({counted(self.distinct, 'distinct code')} of {counted(self.bits, 'bit')})"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            **vars(self),
            "codes": escape(self.codes),
            "extra": self.extra,
            "groups": [[_image_dict(image) for image in images] for images in self.groups],
        }


def find_duplicates(
    code_set: CodeSet | Path | str = "codes.npy",
    radius: int | None = None,
    keep: Keep = "first",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`, directly or by a chain of others.

    `code_set` is a code set or its file. `radius` is a tenth of the bits by default, rounded down:
    measured on photographs, it finds copies that were resized, recompressed or mirrored. `keep`
    says which image of a group comes first: the first by path, or the largest (pixels, then path;
    an image that cannot be read is the smallest).
    Raises CodeSetError if the largest is requested of a set that does not say where its images are.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    if keep == "largest" and code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their "
            "sizes are unknown; keep the first"
        )
    radius = code_set.bits // RADIUS_SHARE if radius is None else radius
    index = open_groups(code_set, threads)
    groups = near_duplicates(index, radius, progress)
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(_group(code_set, rows.tolist(), keep) for rows in groups),
    )


def _group(code_set: CodeSet, rows: Sequence[int], keep: Keep) -> tuple[Image, ...]:
    paths = {row: code_set.paths[row] for row in rows}
    if keep == "first":
        best = min(rows, key=lambda row: (paths[row], row))
    else:
        best = min(rows, key=lambda row: (-_pixels(code_set.absolute_path(row)), paths[row], row))
    codes = code_set.codes[list(rows)] ^ code_set.codes[best]
    distances = np.bitwise_count(codes).sum(axis=1, dtype=int).tolist()
    images = [
        Image(row, paths[row], code_set.file(row), distance)
        for row, distance in zip(rows, distances, strict=True)
    ]
    images.sort(key=lambda image: (image.row != best, image.distance, image.path, image.row))
    return tuple(images)


def _pixels(file: Path) -> int:
    from bitcodes.images.decode import image_size  # keeping the first needs no Pillow

    try:
        width, height = image_size(file)
    except ImageError:
        return 0
    return width * height


def _image_dict(image: Image) -> dict[str, Any]:
    file = None if image.file is None else escape(str(image.file))
    return {**vars(image), "path": escape(image.path), "file": file}
