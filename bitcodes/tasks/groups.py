"""Groups of near-duplicates, as `duplicates` finds them: images, distances, and what to keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.choices import CopyKind, Keep, Linkage
from bitcodes.codes.paths import escape
from bitcodes.wording import counted

_RULES: dict[Keep, str] = {
    "largest": "most pixels, then most bytes, then first by path",
    "first": "first by path",
}
_OF: dict[Linkage, str] = {
    "star": " of the image to keep",
    "complete": " of each other",
    "chain": " of another image",
}


MEASURED = 100
"""Images of a group whose distances from each other are told."""


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
    """Hamming distance to the image to keep; more than the radius only through a chain."""
    distances: tuple[int, ...] = ()
    """Hamming distances to the images before it in its group, up to MEASURED images."""
    kind: CopyKind | None = None
    """What the pixels say beside those of the image to keep; None if they were not compared."""
    score: float | None = None
    """How sure it is that both show one picture, from 0 to 1; None if they were not compared."""


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
    notes: tuple[str, ...] = ()
    """Files that were left out, or whose sizes are unknown."""
    linkage: Linkage = "star"

    def __repr__(self) -> str:
        return f"<Duplicates: {self.describe()}>"

    @property
    def extra(self) -> int:
        """Number of images beside those to keep."""
        return sum(len(images) - 1 for images in self.groups)

    def describe(self) -> str:
        """The number of groups and images, in one line."""
        within = "of equal codes" if self.radius == 0 else f"within distance {self.radius}"
        if self.radius:
            within += _OF[self.linkage]
        keep = f"; keep: {_RULES[self.keep]}" if self.groups else ""
        return (
            f"{counted(len(self.groups), 'group')} {within}: "
            f"{counted(self.extra, 'duplicate')} among {counted(self.count, 'image')} "
            f"({counted(self.distinct, 'distinct code')} of {counted(self.bits, 'bit')}){keep}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            **vars(self),
            "codes": escape(self.codes),
            "extra": self.extra,
            "notes": [*self.notes],
            "groups": [[_image_dict(image) for image in images] for images in self.groups],
        }


def _image_dict(image: Image) -> dict[str, Any]:
    file = None if image.file is None else escape(str(image.file))
    return {**vars(image), "path": escape(image.path), "file": file}
