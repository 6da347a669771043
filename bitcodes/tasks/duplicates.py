"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bitcodes.callbacks import Progress
from bitcodes.choices import Keep
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.errors import CodeSetError, ImageError
from bitcodes.hamming.duplicates import near_duplicates
from bitcodes.hamming.stored import open_groups
from bitcodes.sources.paths import quote_path
from bitcodes.sources.system_names import is_system_path
from bitcodes.wording import counted

if TYPE_CHECKING:
    from bitcodes.sources.item import Place

RADIUS_SHARE = 8
"""The default radius is the number of bits divided by this."""

_RULES: dict[Keep, str] = {
    "largest": "most pixels, then most bytes, then first by path",
    "first": "first by path",
}


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
    """Hamming distance to the image to keep; more than the radius through a chain."""


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

    def __repr__(self) -> str:
        return f"<Duplicates: {self.describe()}>"

    @property
    def extra(self) -> int:
        """Number of images beside those to keep."""
        return sum(len(images) - 1 for images in self.groups)

    def describe(self) -> str:
        """The number of groups and images, in one line."""
        within = "of equal codes" if self.radius == 0 else f"within distance {self.radius}"
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


def find_duplicates(
    code_set: CodeSet | Path | str = "codes.npy",
    radius: int | None = None,
    keep: Keep | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`, directly or by a chain of others.

    `code_set` is a code set or its file. `radius` is an eighth of the bits by default, rounded
    down: with the built-in model, that finds 95 to 100 % of copies that were resized, recompressed
    or mirrored (benchmarks/results/2026-11-28-builtin.md).

    `keep` says which image of a group comes first: "largest" is the one with the most pixels, of
    these the one with the most bytes, of these the first by path; "first" is the first by path. In
    a group with an image whose size is unknown, nothing is compared: the first by path is kept, and
    `notes` says so. None is "largest", or "first" where the set does not say where its images are.

    Groups are of files: a file that two rows name counts once, and one that is gone not at all.
    Raises CodeSetError if the largest is requested of a set that does not say where its images are.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    if keep == "largest" and code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their sizes are unknown; use "
            "--keep first"
        )
    if keep is None:
        keep = "first" if code_set.root is None else "largest"
    radius = code_set.bits // RADIUS_SHARE if radius is None else radius
    index = open_groups(code_set, threads)
    rows = [group.tolist() for group in near_duplicates(index, radius, progress)]
    chooser = _Chooser(code_set, keep, rows)
    groups = map(chooser.group, rows)
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(group for group in groups if len(group) > 1),
        notes=tuple(chooser.notes()),
    )


class _Measure(NamedTuple):
    """What is known of the file of an image that is there."""

    identity: object
    """Equal for two paths that lead to one file."""
    is_link: bool
    bytes: int
    pixels: int | None
    """None if it cannot be read, or was not asked for."""


def _measures(files: Iterable[Path], with_pixels: bool) -> Iterator[tuple[Path, _Measure]]:
    """What is known of each file, or member of an archive, that is there."""
    from bitcodes.sources.item import File, Refused  # which load Pillow
    from bitcodes.sources.members import find_places

    for file, place in find_places(files):
        if isinstance(place, Refused):
            continue  # it is no longer in its archive
        identity: object = file
        is_link = False
        if isinstance(place, File):
            try:
                status = file.stat()
            except OSError:
                continue
            identity, is_link = (status.st_dev, status.st_ino), file.is_symlink()
        pixels = _pixels(place) if with_pixels else None
        yield file, _Measure(identity, is_link, place.stat()[0], pixels)


def _pixels(place: "Place") -> int | None:
    """The pixels of an image; None if it cannot be read."""
    from bitcodes.images.decode import recorded_size

    try:
        (width, height), _ = place.read(recorded_size)
    except ImageError:
        return None
    return width * height


class _Chooser:
    """Makes groups of files from groups of rows, and chooses the file of each that is kept.

    A file that two rows name is one file. One that is gone is in no group: a copy of it could be
    the only one. Both are known only where the images lie in a folder, or an archive, that is
    there.
    """

    def __init__(self, code_set: CodeSet, keep: Keep, groups: Sequence[Sequence[int]]) -> None:
        self._set = code_set
        self._keep = keep
        root = code_set.root
        self._measured: dict[Path, _Measure] | None = None
        if groups and root is not None and root.exists():
            files = (code_set.absolute_path(row) for group in groups for row in group)
            self._measured = dict(_measures(files, keep == "largest"))
        self._gone: list[str] = []
        self._doubled: list[tuple[str, str]] = []
        self._unmeasured: list[str] = []  # one for each group

    def group(self, rows: Sequence[int]) -> tuple[Image, ...]:
        """The images of a group, that to keep first; fewer than two are no duplicates."""
        paths = {row: self._set.paths[row] for row in rows}
        measures: dict[int, _Measure] = {}
        if self._measured is not None:
            measures = self._files(paths, self._measured)
            paths = {row: paths[row] for row in sorted(measures)}
        if len(paths) < 2:
            return ()
        best = self._best(paths, measures)
        codes = self._set.codes[list(paths)] ^ self._set.codes[best]
        distances = np.bitwise_count(codes).sum(axis=1, dtype=int).tolist()
        images = [
            Image(row, path, self._set.file(row), distance)
            for (row, path), distance in zip(paths.items(), distances, strict=True)
        ]
        images.sort(key=lambda image: (image.row != best, image.distance, image.path, image.row))
        return tuple(images)

    def notes(self) -> Iterator[str]:
        """What a reader should know of files that were left out or not compared."""
        if self._gone:
            yield (
                f"{counted(len(self._gone), 'image')} of groups left out: no longer there "
                f"({_some(self._gone)}); `bitcodes encode` brings the set up to date"
            )
        if self._doubled:
            pairs = [f"{one} is {other}" for one, other in self._doubled]
            count = counted(len(pairs), "path leads", "paths lead")
            yield f"{count} to a file that another path leads to, and counted once ({_some(pairs)})"
        if self._unmeasured:
            yield (
                f"{counted(len(self._unmeasured), 'group')} with an image whose size is unknown "
                f"({_some(self._unmeasured)}): there the first by path is kept, not the largest"
            )

    def _files(self, paths: dict[int, str], measured: dict[Path, _Measure]) -> dict[int, _Measure]:
        """The rows whose files are there, each file once: by a path that is no link, if it can."""
        there: dict[int, _Measure] = {}
        for row in sorted(paths, key=lambda row: (paths[row], row)):
            if (measure := measured.get(self._set.absolute_path(row))) is None:
                self._gone.append(paths[row])
            else:
                there[row] = measure
        rows: dict[object, int] = {}
        for row in sorted(there, key=lambda row: (there[row].is_link, paths[row], row)):
            same = rows.setdefault(there[row].identity, row)
            if same != row:
                self._doubled.append((paths[row], paths[same]))
        return {row: there[row] for row in rows.values()}

    def _best(self, paths: dict[int, str], measures: dict[int, _Measure]) -> int:
        sizes: dict[int, tuple[int, ...]] = dict.fromkeys(paths, ())
        if self._keep == "largest":
            unknown = [row for row in paths if row not in measures or measures[row].pixels is None]
            if unknown:
                self._unmeasured.append(paths[unknown[0]])
            else:
                sizes = {row: (-(one.pixels or 0), -one.bytes) for row, one in measures.items()}
        return min(paths, key=lambda row: (is_system_path(paths[row]), sizes[row], paths[row], row))


def _some(names: Sequence[str]) -> str:
    return quote_path(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _image_dict(image: Image) -> dict[str, Any]:
    file = None if image.file is None else escape(str(image.file))
    return {**vars(image), "path": escape(image.path), "file": file}
