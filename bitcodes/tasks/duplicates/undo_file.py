"""The undo file of moved images: what is to be moved, written before anything is.

It lies in the folder that images are moved to, as undo-1.json, undo-2.json and so on. While images
are moved, and after a kill, it is undo-1.unfinished.json. Where each image is shows which moves
were made, so nothing is written into it later.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bitcodes.choices import LinkKind
from bitcodes.codes.paths import escape, unescape, with_slashes
from bitcodes.documents import read_json
from bitcodes.errors import DataError
from bitcodes.files import lock, remove_left_lock, replace, write_json_atomic
from bitcodes.tasks.duplicates.moves import Move
from bitcodes.tasks.duplicates.moving import is_link, link, move, settle

_NAME = re.compile(r"undo-([1-9]\d{0,8})(\.unfinished)?\.json")
_HOLDS_SOMETHING = errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT
_LOCK = ".undo.lock"
_MOST_SECONDS = 2
"""By how much a file system may round the time of a file."""


class _MoveEntry(BaseModel):
    """A move in the file; `to` is relative to its folder. Paths are escaped as in codes.paths.txt.

    `from` is a word of Python, hence the other names.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    source: Annotated[str, Field(alias="from")]
    target: Annotated[str, Field(alias="to")]
    bytes: int
    time: int
    kept: str


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["bitcodes-moves/1"]
    link: LinkKind | None
    moves: list[_MoveEntry]


@dataclass(frozen=True)
class UndoFile:
    """Moves, and whether a link takes the place of each image moved."""

    path: Path
    moves: tuple[Move, ...]
    link: LinkKind | None

    @property
    def is_finished(self) -> bool:
        """Whether no move is under way."""
        return not self.path.name.endswith(".unfinished.json")

    def write(self) -> None:
        """Write it whole or not at all. OSErrors pass through."""
        folder = self.path.parent
        entries = [
            {
                "from": escape(str(move.source)),
                "to": escape(with_slashes(str(move.target.relative_to(folder)))),
                "bytes": move.bytes,
                "time": move.time,
                "kept": escape(str(move.kept)),
            }
            for move in self.moves
        ]
        document = {"format": "bitcodes-moves/1", "link": self.link, "moves": entries}
        write_json_atomic(self.path, document)

    def finish(self) -> Path:
        """Give it the name of one whose moves are over; returns that."""
        name = self.path.with_name(self.path.name.replace(".unfinished", ""))
        replace(self.path, name)
        return name

    def settle(self, entry: Move) -> None:
        """Bring a move that was killed, to or fro, to its beginning or its end."""
        if self.link is not None:
            waiting = _waiting_link(entry.source)
            if is_link(waiting, entry.kept, self.link):
                if os.path.lexists(entry.source):
                    waiting.unlink()
                else:
                    replace(waiting, entry.source)
            if self._has_link(entry):
                return
        settle(entry.source, entry.target)

    def make(self, entry: Move) -> None:
        """Make a move. OSErrors and FileInUseError mean that nothing has changed."""
        entry.target.parent.mkdir(parents=True, exist_ok=True)
        if self.link is None:
            move(entry.source, entry.target)
            return
        waiting = _waiting_link(entry.source)
        link(waiting, entry.kept, self.link)
        try:
            move(entry.source, entry.target)
        except BaseException:
            waiting.unlink()
            raise
        replace(waiting, entry.source)

    def why_not_back(self, entry: Move) -> str | None:
        """Why an image that was moved cannot be moved back; None if it can, or is back."""
        is_there = os.path.lexists(entry.source) and not self._has_link(entry)
        try:
            status = entry.target.lstat()
        except FileNotFoundError:
            return None if is_there else "it is in neither place"
        if is_there:
            return f"there is another file in its place; this one is {entry.target}"
        off = abs(status.st_mtime_ns - entry.time)
        if status.st_size != entry.bytes or off > _MOST_SECONDS * 10**9:
            return f"it has changed since it was moved; it is {entry.target}"
        return None

    def move_back(self, entry: Move) -> None:
        """Undo a move for which `why_not_back` has no reason. OSErrors: as in `make`."""
        entry.source.parent.mkdir(parents=True, exist_ok=True)
        move(entry.target, entry.source, over=self._has_link(entry))

    def remove(self) -> None:
        """Remove it, and before it the folders of its moves that are empty."""
        folders = {
            folder
            for entry in self.moves
            for folder in entry.target.parents
            if folder.is_relative_to(self.path.parent) and folder != self.path.parent
        }
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            remove_if_empty(folder)
        self.path.unlink()

    def _has_link(self, entry: Move) -> bool:
        return self.link is not None and is_link(entry.source, entry.kept, self.link)


def _waiting_link(source: Path) -> Path:
    """The link that takes the place of `source` as soon as that is moved."""
    return source.with_name(f".{source.name}.link")


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing. OSErrors of other reasons pass through."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in _HOLDS_SOMETHING:
            raise


def read_undo_file(path: Path) -> UndoFile:
    """Read an undo file. Raises DataError if it is missing or none."""
    try:
        document = _Document.model_validate(read_json(path, DataError))
        file = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links
        moves = tuple(_moves(document, file.parent))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"{path}: there is no such file; expected the undo file of images that were moved, "
            "such as duplicates/undo-1.json"
        ) from None
    except (ValidationError, ValueError) as error:
        raise DataError(
            f"{path}: is no undo file of moved images, or was changed "
            f"({str(error).splitlines()[0]})"
        ) from None
    return UndoFile(file, moves, document.link)


def _moves(document: _Document, folder: Path) -> Iterator[Move]:
    for entry in document.moves:
        source, target, kept = (
            Path(unescape(text.encode())) for text in (entry.source, entry.target, entry.kept)
        )
        if target.is_absolute() or ".." in target.parts or not target.parts:
            raise ValueError(f"{entry.target!r} is not in its folder")
        if not (source.is_absolute() and kept.is_absolute()):
            raise ValueError(f"{entry.source!r} and {entry.kept!r}: expected absolute paths")
        yield Move(source, folder / target, entry.bytes, entry.time, kept)


def new_undo_file(folder: Path, moves: tuple[Move, ...], link: LinkKind | None) -> UndoFile:
    """An undo file, not yet written, of the next number."""
    numbers = [int(match[1]) for match in map(_NAME.fullmatch, _names(folder)) if match]
    return UndoFile(folder / f"undo-{max(numbers, default=0) + 1}.unfinished.json", moves, link)


def unfinished(folder: Path) -> list[UndoFile]:
    """The undo files in `folder` whose moves were interrupted."""
    names = sorted(name for name in _names(folder) if (m := _NAME.fullmatch(name)) and m[2])
    return [read_undo_file(folder / name) for name in names]


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208


def lock_folder(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from moving images to and from `folder`. Raises BitcodesError."""
    return lock(folder / _LOCK, f"the folder {folder}")


def remove_lock_left_in(folder: Path) -> None:
    """Remove the lock of a killed process, and the folder if it holds nothing else."""
    remove_left_lock(folder / _LOCK)
    remove_if_empty(folder)
