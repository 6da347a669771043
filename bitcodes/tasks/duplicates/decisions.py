"""Decisions of people on near-duplicates: a small text file beside a code set, codes.decisions.tsv.

A line is a word and two paths or more, parted by tabs; paths as in codes.paths.txt, tabs as `\\t`.
`duplicate A B C`: keep A; B and C are duplicates of it. `different A B C`: none is a duplicate of
another. `undecided A B C`: what earlier lines say about two of these no longer counts. Where lines
contradict each other, the later one counts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import Literal, get_args

from bitcodes.codes.paths import escape, unescape
from bitcodes.documents import read_bytes
from bitcodes.errors import DataError
from bitcodes.files import atomic_write, lock
from bitcodes.tasks.duplicates.groups import Group, Image

Word = Literal["duplicate", "different", "undecided"]

_HEAD = "# bitcodes: decisions on near-duplicates\n"
_WRITING = Lock()
"""Threads of a process write one after the other; the lock file keeps other processes out."""


def decisions_file(codes: Path) -> Path:
    """The file with the decisions on the images of the code set `codes`."""
    return codes.with_suffix(".decisions.tsv")


def as_field(path: str) -> str:
    """A path as the file has it."""
    return escape(path).replace("\t", "\\t")


def decision_line(word: Word, paths: Iterable[str]) -> str:
    """A line of the file, from paths as the code set has them; the image to keep first."""
    return "\t".join([word, *map(as_field, paths)])


def add_decisions(codes: Path | str, lines: Iterable[str]) -> "Decisions":
    """Add lines to the file beside the code set `codes`, all or none; returns all decisions.

    What the file has stays as it is, also comments. Raises DataError for a line that is no
    decision, in `lines` or in the file, and BitcodesError if another process is writing it.
    """
    added = list(_without_comments("\n".join(lines)))
    try:
        Decisions(added)
    except ValueError as error:
        raise DataError(f"a decision that cannot be saved: {error}") from None
    file = decisions_file(Path(codes))
    with _WRITING, lock(file.with_name(f".{file.name}.lock"), str(file)):
        text = _text_of(file)
        decisions = Decisions([*_checked(file, text), *added])
        if added:
            end = "\n" * (not text.endswith("\n"))
            with atomic_write(file, "w") as written:
                written.write(f"{text}{end}" if text else _HEAD)
                written.writelines(f"{line}\n" for line in added)
    return decisions


def _text_of(file: Path) -> str:
    """What the file holds; nothing if it is not there."""
    try:
        return read_bytes(file, DataError).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: cannot be read as text in UTF-8: {error}") from None


def _checked(file: Path, text: str) -> Iterator[str]:
    """The decisions in the text of a file, each checked."""
    for number, line in enumerate(text.split("\n"), 1):
        for decision in _without_comments(line):
            try:
                Decisions([decision])
            except ValueError as error:
                raise DataError(f"{file}, line {number}: {error}") from None
            yield decision


def _without_comments(text: str) -> Iterator[str]:
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return (line for line in lines if line and not line.startswith("#"))


class Decisions:
    """What was decided; `lines` are those of the file, without comments."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self.lines = tuple(lines)
        self._kept_over: dict[tuple[str, str], None] = {}
        self._different: set[frozenset[str]] = set()
        for line in lines:
            word, *paths = line.split("\t")
            self._add(word, [unescape(path.encode()) for path in paths])

    @classmethod
    def read(cls, file: Path) -> "Decisions":
        """Read a file; none decides nothing. Raises DataError for a line that is no decision."""
        return cls([*_checked(file, _text_of(file))])

    def is_duplicate(self, kept: str, path: str) -> bool:
        """Whether it was decided to keep one image, and that the other is a duplicate of it."""
        return (kept, path) in self._kept_over

    def _add(self, word: str, paths: Sequence[str]) -> None:
        if word not in get_args(Word) or len({*paths}) < max(2, len(paths)):
            raise ValueError(
                f"expected one of {', '.join(get_args(Word))}, and two paths or more, after tabs"
            )
        for one, other in combinations(paths, 2):
            self._different.discard(frozenset((one, other)))
            if word == "different":
                self._different.add(frozenset((one, other)))
            if word != "duplicate" or one == paths[0]:
                for pair in ((one, other), (other, one)):
                    self._kept_over.pop(pair, None)
        if word == "duplicate":
            self._kept_over |= {(paths[0], other): None for other in paths[1:]}

    def groups(self) -> list[list[str]]:
        """What was decided to be duplicates: groups of paths, the one to keep first.

        A duplicate of a duplicate belongs to the image that is kept over both. Images that are
        kept over each other in a circle are in no group.
        """
        over = {other: kept for kept, other in self._kept_over}
        groups: dict[str, list[str]] = {}
        for path in over:
            best, passed = over[path], {path}
            while best in over and best not in passed:
                passed.add(best)
                best = over[best]
            if best not in over and frozenset((best, path)) not in self._different:
                groups.setdefault(best, [best]).append(path)
        return [*groups.values()]

    def applied(
        self, group: Group, near: Callable[[Group, Image, Image], bool]
    ) -> list[list[Image]]:
        """The groups that the decisions leave of one, the image to keep first in each.

        `near` tells of the group, a new image to keep and another whether they can be in a group.
        """
        paths = {image.path for image in group}
        if not any(paths >= {*pair} for pair in (*self._kept_over, *self._different)):
            return [[*group]]
        groups, left = [], [*group]
        while len(left) > 1:
            best = self._best_of(left)
            members = [best]
            for image in left:
                belongs = (best.path, image.path) in self._kept_over or near(group, best, image)
                if image is not best and belongs and self._fits(image, members):
                    members.append(image)
            left = [image for image in left if image not in members]
            groups.append(members)
        return [members for members in groups if len(members) > 1]

    def _best_of(self, images: Sequence[Image]) -> Image:
        """The first image, or the one that was to be kept in its place, and so on."""
        best, left = images[0], [*images[1:]]
        while over := [one for one in left if (one.path, best.path) in self._kept_over]:
            best = over[0]
            left.remove(best)  # decisions in a circle end, too
        return best

    def _fits(self, image: Image, members: Iterable[Image]) -> bool:
        return all(frozenset((image.path, one.path)) not in self._different for one in members)
