"""Two image files: is one a copy of the other?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitcodes.choices import CopyKind
from bitcodes.codes.paths import escape
from bitcodes.errors import ImageError
from bitcodes.sources.paths import quote_path

if TYPE_CHECKING:  # views know the result without Pillow
    from bitcodes.images.likeness import Look


@dataclass(frozen=True)
class Compared:
    """What the pixels of two images say."""

    one: Path
    other: Path
    kind: CopyKind | None
    """None if they show different pictures."""
    score: float
    """How sure it is that both are one picture, 0 to 1."""
    mirrored: bool
    """Whether the other is mirrored."""
    turned: int
    """Degrees that the other is turned clockwise, before it was mirrored if it was."""

    @property
    def are_copies(self) -> bool:
        """Whether both are one picture, perhaps changed."""
        return self.kind == "copy"

    def describe(self) -> str:
        """What they are, in one line."""
        if self.kind is None:
            return f"different pictures (score {self.score:.2f})"
        changes = ["mirrored"] * self.mirrored + [f"turned by {self.turned}°"] * (self.turned > 0)
        how = f", {' and '.join(changes)}" if changes else ""
        what = "copies" if self.kind == "copy" else "similar, but no copies"
        return f"{what}{how} (score {self.score:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        names = {"one": escape(str(self.one)), "other": escape(str(self.other))}
        return {**vars(self), **names}


def compare(one: Path | str, other: Path | str) -> Compared:
    """Compare the pixels of two image files. Raises ImageError if one cannot be read."""
    from bitcodes.images.alignment import ORIENTATIONS
    from bitcodes.images.likeness import likeness

    like = likeness(_look(one), _look(other))
    mirrored, turns = ORIENTATIONS[like.placement.orientation]
    return Compared(
        Path(one), Path(other), like.kind, round(like.score, 3), mirrored, (90 * turns) % 360
    )


def _look(file: Path | str) -> "Look":
    from bitcodes.images.decode import open_image
    from bitcodes.images.keypoints import gray_picture
    from bitcodes.images.likeness import look_at

    try:
        return look_at(gray_picture(open_image(file)))
    except ImageError as error:
        raise ImageError(f"{quote_path(str(file))} cannot be read: {error}") from None
