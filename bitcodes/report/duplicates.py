"""Near-duplicates of a code set: what was found, which of a group to keep, and how it looks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.errors import CodeSetError, ImageError
from bitcodes.hamming.duplicates import near_duplicates
from bitcodes.hamming.grouped import GroupedIndex, group
from bitcodes.hamming.stored import open_index
from bitcodes.images.decode import image_size
from bitcodes.report.results import path_from_here, printable

Keep = Literal["first", "largest"]

_SHOWN_GROUPS = 50
_SHOWN_IMAGES = 10
"""In tables on a terminal; lines and JSON hold everything."""


@dataclass(frozen=True)
class Image:
    """One image of a group."""

    row: int
    """In the code set."""
    path: str
    """As the code set has it."""
    file: Path | None
    """Where the image lies, if that is known."""
    distance: int
    """Hamming distance to the image that is kept; chains can make it more than the radius."""


@dataclass(frozen=True)
class Duplicates:
    """The groups of near-duplicates in a code set; of each, the image to keep comes first."""

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

    @property
    def extra(self) -> int:
        """How many images there are beside those to keep."""
        return sum(len(images) - 1 for images in self.groups)

    def describe(self) -> str:
        """What was found, in one line."""
        within = "with one code" if self.radius == 0 else f"within distance {self.radius}"
        groups = "1 group" if len(self.groups) == 1 else f"{len(self.groups):,} groups"
        return (
            f"{groups} {within}: {self.extra:,} of {self.count:,} images beside the ones to keep "
            f"({self.distinct:,} distinct codes of {self.bits} bits)"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            "codes": escape(self.codes),
            "bits": self.bits,
            "count": self.count,
            "distinct": self.distinct,
            "radius": self.radius,
            "keep": self.keep,
            "extra": self.extra,
            "groups": [[_image_dict(image) for image in images] for images in self.groups],
        }


def find_duplicates(
    code_set: CodeSet,
    radius: int,
    keep: Keep = "first",
    threads: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`, directly or by a chain of others.

    `keep` says which image of a group comes first: the first by path, or the largest (pixels, then
    path; images that cannot be read count as the smallest). Raises CodeSetError where that needs
    files and the set does not know where they lie.
    """
    if keep == "largest" and code_set.root is None:
        raise CodeSetError(
            f"{code_set.path or 'this code set'} does not say where its images lie, so the largest "
            "cannot be told; keep the first"
        )
    index = open_index(code_set, threads)
    if not isinstance(index, GroupedIndex):
        index = group(code_set.codes, code_set.bits, threads)
    groups = near_duplicates(index, radius, progress)
    return Duplicates(
        codes=str(code_set.path or "a code set in memory"),
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(_group(code_set, rows.tolist(), keep) for rows in groups),
    )


def duplicate_tables(found: Duplicates) -> Iterator[RenderableType]:
    """A heading, and the groups as one table: the image to keep, then its duplicates."""
    yield Text(found.describe(), style="dim")
    if not found.groups:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("group", justify="right")
    table.add_column("")
    table.add_column("distance", justify="right")
    table.add_column("path", overflow="fold")
    for number, images in enumerate(found.groups[:_SHOWN_GROUPS], 1):
        for place, image in enumerate(images[:_SHOWN_IMAGES]):
            table.add_row(
                Text("" if place else f"{number}"),
                Text("duplicate") if place else Text("keep", style="green"),
                Text(f"{image.distance}" if place else ""),
                Text(
                    printable(path_from_here(image.path, image.file)), style="" if place else "bold"
                ),
            )
        if len(images) > _SHOWN_IMAGES:
            more = f"and {len(images) - _SHOWN_IMAGES:,} more"
            table.add_row(Text(), Text(), Text(), Text(more, style="dim"))
    yield Text()
    yield table
    if len(found.groups) > _SHOWN_GROUPS:
        hidden = len(found.groups) - _SHOWN_GROUPS
        yield Text(f"and {hidden:,} more groups: --json or a pipe has them all", style="dim")


def duplicate_lines(found: Duplicates) -> Iterator[str]:
    r"""A line an image, its fields parted by tabs: group, keep or duplicate, distance, path.

    Paths are escaped as in codes.paths.txt, tabs as `\t`.
    """
    for number, images in enumerate(found.groups, 1):
        for place, image in enumerate(images):
            role = "duplicate" if place else "keep"
            path = escape(path_from_here(image.path, image.file)).replace("\t", "\\t")
            yield f"{number}\t{role}\t{image.distance}\t{path}"


def _group(code_set: CodeSet, rows: Sequence[int], keep: Keep) -> tuple[Image, ...]:
    paths = {row: code_set.paths[row] for row in rows}
    if keep == "first":
        kept = min(rows, key=lambda row: (paths[row], row))
    else:
        kept = min(rows, key=lambda row: (-_pixels(code_set.absolute_path(row)), paths[row], row))
    codes = code_set.codes[list(rows)] ^ code_set.codes[kept]
    distances = np.bitwise_count(codes).sum(axis=1, dtype=int).tolist()
    images = [
        Image(row, paths[row], _file(code_set, row), distance)
        for row, distance in zip(rows, distances, strict=True)
    ]
    images.sort(key=lambda image: (image.row != kept, image.distance, image.path, image.row))
    return tuple(images)


def _file(code_set: CodeSet, row: int) -> Path | None:
    return None if code_set.root is None else code_set.absolute_path(row)


def _pixels(file: Path) -> int:
    try:
        width, height = image_size(file)
    except ImageError:
        return 0
    return width * height


def _image_dict(image: Image) -> dict[str, Any]:
    return {
        "row": image.row,
        "path": escape(image.path),
        "file": None if image.file is None else escape(str(image.file)),
        "distance": image.distance,
    }
