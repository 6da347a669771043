"""Groups of near-duplicates, as `duplicates` finds them: images, distances, and what to keep."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bitcodes.choices import CopyKind, Keep, Linkage
from bitcodes.codes.paths import escape
from bitcodes.wording import counted

_RULES: dict[Keep, str] = {
    "largest": "most pixels, then most bytes",
    "oldest": "oldest file",
    "shortest-path": "shortest path",
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
    """Hamming distance to the image to keep; more than the radius only through a chain. Of a
    turned or gray image where that is nearer."""
    distances: tuple[int, ...] = ()
    """Hamming distances to the images before it in its group, up to MEASURED images."""
    kind: CopyKind | None = None
    """What the pixels say beside those of the image to keep; None if they were not compared."""
    score: float | None = None
    """How sure it is that both show one picture, from 0 to 1; None if they were not compared."""
    changes: tuple[str, ...] = ()
    """What the pixels say of how it lies in the image to keep: mirrored, turned, cropped."""


Group = tuple[Image, ...]
"""The image to keep, and its duplicates."""


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
    """If the groups are decided, the largest distance of an image from the one to keep."""
    keep: str
    """The rules, in order, with commas between them; see keeping.py. Empty if decided."""
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()
    """Files that were left out, or whose sizes are unknown."""
    linkage: Linkage = "star"
    verified: bool = False
    """Whether the pixels were compared; then only copies are extra, and similar images are not."""
    decisions: tuple[str, ...] = ()
    """The lines of codes.decisions.tsv, which the groups respect; see decisions.py."""
    decided: bool = False
    """Whether the groups are those that people have decided, and no others."""

    def __repr__(self) -> str:
        return f"<Duplicates: {self.describe()}>"

    @property
    def extra(self) -> int:
        """Number of duplicates beside the images to keep."""
        return sum(image.kind != "similar" for images in self.groups for image in images[1:])

    def among(self, rows: NDArray[np.int64]) -> "Duplicates":
        """The groups that have an image of one of these rows."""
        some = set(rows.tolist())
        groups = (group for group in self.groups if any(image.row in some for image in group))
        return replace(self, groups=tuple(groups))

    def describe(self) -> str:
        """The number of groups and images, in one line."""
        within = f"within distance {self.radius}{_OF[self.linkage]}"
        if self.decided:
            within = "as decided"
        elif self.radius == 0:
            within = "of equal codes"
        rules = dict.fromkeys([*self.keep.split(","), "first"])
        words = (_RULES.get(cast(Keep, rule), f"in {rule[7:]}") for rule in rules)
        keep = f"; keep: {', then '.join(words)}" if self.groups and self.keep else ""
        return (
            f"{counted(len(self.groups), 'group')} {within}: "
            f"{self._found()} among {counted(self.count, 'image')} "
            f"({counted(self.distinct, 'distinct code')} of {counted(self.bits, 'bit')}){keep}"
        )

    def _found(self) -> str:
        if not self.verified:
            return counted(self.extra, "duplicate")
        similar = sum(len(images) - 1 for images in self.groups) - self.extra
        copies = counted(self.extra, "verified copy", "verified copies")
        return f"{copies} and {counted(similar, 'similar image')}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            **vars(self),
            "codes": escape(self.codes),
            "extra": self.extra,
            "notes": [*self.notes],
            "decisions": [*self.decisions],
            "groups": [[image_dict(image) for image in images] for images in self.groups],
        }


def role(image: Image, place: int) -> str:
    """What an image is at its place in a group: keep, duplicate; copy or similar if verified."""
    return (image.kind or "duplicate") if place else "keep"


def image_dict(image: Image) -> dict[str, Any]:
    """A JSON-ready form of an image."""
    file = None if image.file is None else escape(str(image.file))
    changes = [*image.changes]
    return {**vars(image), "path": escape(image.path), "file": file, "changes": changes}
