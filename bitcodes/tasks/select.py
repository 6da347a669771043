"""A subset of a code set: images that are unlike each other, for labelling or a gallery."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.hamming.measure import measure_of
from bitcodes.hamming.subset import farthest_first
from bitcodes.wording import counted


@dataclass(frozen=True)
class Selected:
    """One image of a subset."""

    row: int
    """In the code set."""
    path: str
    """As the code set has it."""
    file: Path | None
    """Where the image is, if that is known."""
    distance: int | None
    """From the nearest of the images selected before it; None for the first."""


@dataclass(frozen=True)
class Selection:
    """Images of a code set that are unlike each other, in the order of the selection."""

    codes: str
    """Name of the code set."""
    bits: int
    count: int
    """Images in the code set."""
    radius: int
    """Each image of the code set is within this distance of one in the selection."""
    images: tuple[Selected, ...]

    def __repr__(self) -> str:
        return f"<Selection: {self.describe()}>"

    def describe(self) -> str:
        """How many images, and how far the others are from them, in one line."""
        size = f"{len(self.images):,} of {counted(self.count, 'image')}"
        if len(self.images) == self.count:
            return size
        return f"{size}; each other image is within distance {self.radius} of one of these"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            **vars(self),
            "codes": escape(self.codes),
            "images": [
                {
                    **vars(image),
                    "path": escape(image.path),
                    "file": None if image.file is None else escape(str(image.file)),
                }
                for image in self.images
            ],
        }


def select(
    code_set: CodeSet | Path | str = "codes.npy",
    count: int = 100,
    progress: Progress | None = None,
) -> Selection:
    """Select `count` images whose codes are far from each other, or all if there are fewer.

    The first is the most typical image: its code is nearest to the majority of each bit. Each of
    the others is the one farthest from all before it; see `farthest_first`. Images of equal codes
    come last. The first n of a selection are the selection of n.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    subset = farthest_first(code_set.codes, count, measure_of(code_set), progress)
    images = (
        Selected(row, code_set.paths[row], code_set.file(row), None if distance < 0 else distance)
        for row, distance in zip(subset.rows.tolist(), subset.distances.tolist(), strict=True)
    )
    return Selection(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        radius=subset.radius,
        images=tuple(images),
    )
