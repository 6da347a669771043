"""Decisions of people on near-duplicates: a small text file beside a code set, codes.decisions.tsv.

A line is a word and two paths or more, parted by tabs; paths as in codes.paths.txt, tabs as `\\t`.
`duplicate A B C`: keep A; B and C are duplicates of it. `different A B C`: none is a duplicate of
another. Where lines contradict each other, the later one counts.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path

from bitcodes.codes.paths import escape, unescape
from bitcodes.documents import read_bytes
from bitcodes.errors import DataError
from bitcodes.tasks.groups import Group, Image

_WORDS = "duplicate", "different"


def decisions_file(codes: Path) -> Path:
    """The file with the decisions on the images of the code set `codes`."""
    return codes.with_suffix(".decisions.tsv")


def as_field(path: str) -> str:
    """A path as the file has it."""
    return escape(path).replace("\t", "\\t")


class Decisions:
    """What was decided; `lines` are those of the file, without comments."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self.lines = tuple(lines)
        self._kept_over: set[tuple[str, str]] = set()
        self._different: set[frozenset[str]] = set()
        for line in lines:
            word, *paths = line.split("\t")
            self._add(word, [unescape(path.encode()) for path in paths])

    @classmethod
    def read(cls, file: Path) -> "Decisions":
        """Read a file; none decides nothing. Raises DataError for a line that is no decision."""
        try:
            lines = read_bytes(file, DataError).decode("utf-8-sig").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: cannot be read as text in UTF-8: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                if line and not line.startswith("#"):
                    cls([line])
            except ValueError as error:
                raise DataError(f"{file}, line {number}: {error}") from None
        return cls([line for line in lines if line and not line.startswith("#")])

    def _add(self, word: str, paths: Sequence[str]) -> None:
        if word not in _WORDS or len({*paths}) < max(2, len(paths)):
            raise ValueError("expected duplicate or different, and two paths or more, after tabs")
        kept = paths[0]
        for one, other in combinations(paths, 2):
            if word == "different":
                self._different.add(frozenset((one, other)))
                self._kept_over -= {(one, other), (other, one)}
            elif one == kept:
                self._different.discard(frozenset((one, other)))
                self._kept_over.discard((other, one))
                self._kept_over.add((one, other))

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
