"""Images that were moved, or would be: what acting on near-duplicates returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.codes.paths import escape
from bitcodes.wording import command, counted, from_here


@dataclass(frozen=True)
class Move:
    """An image, and where it is moved to."""

    source: Path
    target: Path
    bytes: int
    time: int
    """When the image was last changed, in ns."""
    kept: Path
    """The image of its group that stays."""


Refused = tuple[Path, str]
"""An image that is not moved, and why."""


@dataclass(frozen=True)
class Moves:
    """Images that were moved, or that would be."""

    moves: tuple[Move, ...]
    refused: tuple[Refused, ...]
    folder: Path
    """Where images are moved to; of an undo, from."""
    is_done: bool
    is_undo: bool = False
    undo_file: Path | None = None
    """What undoes it."""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Moves: {self.describe()}>"

    def describe(self) -> str:
        """What was done, or would be, in one line."""
        images = counted(len(self.moves), "image")
        if not self.is_done:
            where = f"back from {self.folder}" if self.is_undo else f"to {self.folder}"
            then = "; nothing was moved yet: add --yes to do it" if self.moves else ""
            return f"{images} to move {where}{then}"
        if self.is_undo:
            return f"moved {images} back from {self.folder}"
        undo = ""
        if self.undo_file is not None:
            undo = f"; to undo: {command('duplicates', '--undo', self.undo_file, '--yes')}"
        return f"moved {images} to {self.folder}{undo}"

    def remarks(self) -> Iterator[str]:
        """Notes, and the images that are not moved, and why."""
        yield from self.notes
        for path, reason in self.refused:
            yield f"not moved: {from_here(path)}: {reason}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            "folder": escape(str(self.folder)),
            "done": self.is_done,
            "undo": self.is_undo,
            "undo_file": None if self.undo_file is None else escape(str(self.undo_file)),
            "moves": [
                {
                    "from": escape(str(move.source)),
                    "to": escape(str(move.target)),
                    "kept": escape(str(move.kept)),
                }
                for move in self.moves
            ],
            "notes": [*self.notes],
            "refused": [
                {"path": escape(str(path)), "reason": reason} for path, reason in self.refused
            ],
        }
