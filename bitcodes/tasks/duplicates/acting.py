"""What to do with near-duplicates: move all but the images to keep into a folder, and undo it.

Nothing is ever deleted. See undo_file.py and moving.py for what a kill leaves.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from bitcodes.choices import LinkKind
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import BitcodesError, FileInUseError
from bitcodes.files import check_folder_of, fsync_dir
from bitcodes.sources.item import Stat, stat_of
from bitcodes.sources.lists import write_list
from bitcodes.sources.paths import absolute
from bitcodes.tasks.duplicates.groups import Duplicates, Image
from bitcodes.tasks.duplicates.moves import Move, Moves, Refused
from bitcodes.tasks.duplicates.undo_file import (
    UndoFile,
    lock_folder,
    new_undo_file,
    read_undo_file,
    remove_if_empty,
    remove_lock_left_in,
    unfinished,
)
from bitcodes.tasks.opening import open_codes
from bitcodes.tasks.searching.copying import check_folder, numbered_names
from bitcodes.wording import command

_OF_ONE_FILE = {
    getattr(errno, name)
    for name in (
        *("EACCES", "EPERM", "EROFS", "EEXIST", "ENOENT", "ENOTDIR", "EISDIR", "EBUSY", "ELOOP"),
        *("ENAMETOOLONG", "EMLINK"),
    )
}
"""What a system answers if one file cannot be moved; anything else stops all."""


def list_duplicates(duplicates: Duplicates, file: Path) -> int:
    """Write the images beside those to keep as a list file; returns how many they are.

    Raises DataError for a path that a line cannot hold.
    """
    rest = (
        image for _, *others in duplicates.groups for image in others if image.kind != "similar"
    )
    paths = [image.path if image.file is None else absolute(image.file) for image in rest]
    write_list(file, paths, None)
    return len(paths)


def move_duplicates(
    duplicates: Duplicates,
    code_set: CodeSet | Path | str,
    folder: Path,
    link: LinkKind | None = None,
    yes: bool = False,
) -> Moves:
    """Move the images beside those to keep into `folder`, under the paths that the set has.

    Without `yes`, only tell what would be moved. A name that is taken gets a number. With `link`, a
    link to the image to keep takes the place of each. What is to be moved is written into an undo
    file in `folder` before the first move; it stays there for `undo_moves`. Images in archives,
    links, and images that have changed since they were encoded are refused, and so are those whose
    image to keep is such a one.

    After a kill, the same call goes on. Raises ConfigError if `folder` lies in a folder that was
    encoded, BitcodesError if the disk is full: then, too, the same call goes on later.
    """
    code_set = open_codes(code_set)
    notes = duplicates.notes
    if code_set.path is not None:
        check_folder(folder, code_set.path, "--move-to")
    check_folder_of(folder)
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - keeps links
    if not yes:
        moves, refused = _plan(duplicates, code_set, place)
        return Moves(moves, refused, folder, is_done=False, notes=notes)
    place.mkdir(exist_ok=True)
    with _alone_in(place):
        left = unfinished(place)
        for journal in left:
            for entry in journal.moves:
                journal.settle(entry)
        moves, refused = _plan(duplicates, code_set, place)
        journal = _journal(left, new_undo_file(place, moves, link))
        made, problems = _each(moves, lambda move: _make(journal, move, code_set), journal)
        undo_file = None
        if made or journal in left:
            undo_file = folder / journal.finish().name
        elif moves:
            journal.remove()
    return Moves(
        made, (*refused, *problems), folder, is_done=True, undo_file=undo_file, notes=notes
    )


def undo_moves(file: Path, yes: bool = False) -> Moves:
    """Move the images of an undo file back to where they were; without `yes`, only tell which.

    Images that have changed since, or whose place is taken, stay where they are. If all are back,
    the undo file is removed, and so are the folders that are then empty. After a kill, the same
    call goes on. Raises DataError if it is no undo file, BitcodesError if the disk is full.
    """
    if yes and not os.path.lexists(file):
        remove_lock_left_in(file.parent)  # of a kill after the last step
    journal = read_undo_file(file)
    if not yes:
        moves, refused = _plan_back(journal)
        return Moves(moves, refused, file.parent, is_done=False, is_undo=True)
    with _alone_in(file.parent):
        for move in journal.moves:
            journal.settle(move)
        moves, refused = _plan_back(journal)
        made, problems = _each(moves, journal.move_back, journal)
        if not (refused or problems):
            journal.remove()
    return Moves(made, (*refused, *problems), file.parent, is_done=True, is_undo=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep others from moving images to and from a folder, and remove it if it is then empty."""
    try:
        with lock_folder(folder):
            yield
    finally:
        with suppress(OSError):
            remove_if_empty(folder)


def _plan(
    duplicates: Duplicates, code_set: CodeSet, folder: Path
) -> tuple[tuple[Move, ...], tuple[Refused, ...]]:
    """The moves that can be made, and the images that must stay."""
    moves: list[Move] = []
    refused: list[Refused] = []
    taken: set[str] = set()
    for kept, *others in duplicates.groups:
        problem = _problem(kept, code_set)
        for image in others:
            reason = problem and f"the image to keep is {kept.path}, and {problem}"
            if image.kind == "similar":
                reason = "it is similar to the image to keep, but no copy"
            reason = reason or _problem(image, code_set)
            if reason or image.file is None or kept.file is None:
                refused.append((image.file or Path(image.path), reason or ""))
                continue
            target = _free_name(folder, image.path, taken)
            size, time = _stat(code_set, image)
            source, stays = Path(os.path.abspath(image.file)), Path(os.path.abspath(kept.file))  # noqa: PTH100
            moves.append(Move(source, target, size, time, stays))
    return tuple(moves), tuple(refused)


def _plan_back(journal: UndoFile) -> tuple[tuple[Move, ...], tuple[Refused, ...]]:
    """The images that can be moved back, and those that must stay where they are."""
    moves: list[Move] = []
    refused: list[Refused] = []
    for move in journal.moves:
        if reason := journal.why_not_back(move):
            refused.append((move.source, reason))
        elif os.path.lexists(move.target):
            moves.append(move)
    return tuple(moves), tuple(refused)


def _free_name(folder: Path, path: str, taken: set[str]) -> Path:
    """Where an image goes: its path below `folder`, with a number if that is taken."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("..", "/")]
    for name in numbered_names(folder.joinpath(*parts)):
        # Some drives do not tell capital letters from small ones.
        if str(name).casefold() not in taken and not os.path.lexists(name):
            taken.add(str(name).casefold())
            return name
    raise AssertionError  # there is always another number


def _stat(code_set: CodeSet, image: Image) -> Stat:
    """Size and time of an image when it was encoded; -1 where unknown."""
    if code_set.stat is None:
        return -1, -1
    size, time = code_set.stat[image.row].tolist()
    return size, time


def _problem(image: Image, code_set: CodeSet) -> str | None:
    """Why an image cannot be moved, or be relied on; None if it can."""
    if image.file is None:
        return "it is not known where it is"
    recorded = _stat(code_set, image)
    if recorded[0] < 0:
        return "the code set does not tell its size and time; encode the images again"
    try:
        status = image.file.lstat()
    except OSError:
        return "it is in an archive, or gone; archives are not changed"
    if image.file.is_symlink():
        return "it is a link"
    if stat_of(status) != recorded:
        return "it has changed since it was encoded; run bitcodes encode first"
    return None


def _journal(left: Iterable[UndoFile], new: UndoFile) -> UndoFile:
    """The undo file for the moves of `new`: an interrupted one that has them all, or `new`.

    The others are finished: what they have moved can be undone with them.
    """
    journal = new
    for other in left:
        if journal is new and other.link == new.link and {*new.moves} <= {*other.moves}:
            journal = other
        else:
            other.finish()
    if journal is new and new.moves:
        new.write()
    return journal


def _make(journal: UndoFile, move: Move, code_set: CodeSet) -> str | None:
    """Make a move, if both images are still what they were; else why not."""
    for path in (move.source, move.kept):
        if not path.is_file():
            return f"{path} is no longer there"
    if stat_of(move.source.lstat()) != (move.bytes, move.time):
        return "it has changed since it was encoded"
    journal.make(move)
    return None


def _each(
    moves: Iterable[Move], do: Callable[[Move], str | None], journal: UndoFile
) -> tuple[tuple[Move, ...], tuple[Refused, ...]]:
    """Do something with each move: those done, and those that were not, and why."""
    done: list[Move] = []
    refused: list[Refused] = []
    for move in moves:
        try:
            reason = do(move)
        except FileInUseError as error:
            reason = str(error)
        except OSError as error:
            if error.errno not in _OF_ONE_FILE:
                raise BitcodesError(
                    f"{move.source}: cannot be moved: {error.strerror}. {len(done):,} before it "
                    "were: put that right and run this again, or undo it: "
                    f"{command('duplicates', '--undo', journal.path, '--yes')}"
                ) from error
            reason = error.strerror or type(error).__name__
        if reason is None:
            done.append(move)
        else:
            refused.append((move.source, reason))
    for folder in {path.parent for move in done for path in (move.source, move.target)}:
        with suppress(FileNotFoundError):
            fsync_dir(folder)
    return tuple(done), tuple(refused)
