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
    changes: tuple[str, ...] = ()
    """How a copy lies in the one, in words; nothing where both are whole and upright."""

    @property
    def are_copies(self) -> bool:
        """Whether both are one picture, perhaps changed."""
        return self.kind == "copy"

    def describe(self) -> str:
        """What they are, in one line."""
        if self.kind is None:
            return f"different pictures (score {self.score:.2f})"
        how = f": B is {', '.join(self.changes)}" if self.changes else ""
        what = "copies" if self.kind == "copy" else "similar, but no copies"
        return f"{what}{how} (score {self.score:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        names = {"one": escape(str(self.one)), "other": escape(str(self.other))}
        return {**vars(self), **names, "changes": [*self.changes]}


def compare(one: Path | str, other: Path | str) -> Compared:
    """Compare the pixels of two image files. Raises ImageError if one cannot be read."""
    from bitcodes.images.likeness import likeness

    like = likeness(_look(one), _look(other))
    return Compared(
        one=Path(one),
        other=Path(other),
        kind=like.kind,
        score=round(like.score, 3),
        mirrored=like.mirrored,
        turned=like.turned,
        changes=like.changes,
    )


def _look(file: Path | str) -> "Look":
    from bitcodes.images.decode import open_image
    from bitcodes.images.keypoints import gray_picture
    from bitcodes.images.likeness import look_at

    try:
        return look_at(gray_picture(open_image(file)))
    except ImageError as error:
        raise ImageError(f"{quote_path(str(file))} cannot be read: {error}") from None
