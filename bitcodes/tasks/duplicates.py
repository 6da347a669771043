"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

RADIUS_SHARE = 8
"""The default radius is the number of bits divided by this."""


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
        return (
            f"{counted(len(self.groups), 'group')} {within}: "
            f"{counted(self.extra, 'duplicate')} among {counted(self.count, 'image')} "
            f"({counted(self.distinct, 'distinct code')} of {counted(self.bits, 'bit')})"
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
    keep: Keep = "first",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`, directly or by a chain of others.

    `code_set` is a code set or its file. `radius` is an eighth of the bits by default, rounded
    down: with the built-in model, that finds 95 to 100 % of copies that were resized, recompressed
    or mirrored (benchmarks/results/2026-11-28-builtin.md). `keep`
    says which image of a group comes first: the first by path, or the largest (pixels, then path).
    Groups are of files: a file that two rows name counts once, and one that is gone not at all.
    Where sizes are unknown, the first is kept; `notes` of the result says so.
    Raises CodeSetError if the largest is requested of a set that does not say where its images are.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    if keep == "largest" and code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their "
            "sizes are unknown; keep the first"
        )
    radius = code_set.bits // RADIUS_SHARE if radius is None else radius
    index = open_groups(code_set, threads)
    chooser = _Chooser(code_set, keep)
    groups = map(chooser.group, near_duplicates(index, radius, progress))
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


class _Chooser:
    """Makes groups of files from groups of rows, and chooses the file of each that is kept.

    A file that two rows name is one file. One that is gone is in no group: a copy of it could be
    the only one. Both are known only where the images lie in a folder that is there.
    """

    def __init__(self, code_set: CodeSet, keep: Keep) -> None:
        self._set = code_set
        self._keep = keep
        root = code_set.root
        self._has_files = root is not None and root.is_dir()
        self._gone: list[str] = []
        self._doubled: list[tuple[str, str]] = []
        self._unmeasured: list[str] = []  # one for each group

    def group(self, rows: NDArray[np.int64]) -> tuple[Image, ...]:
        """The images of a group, that to keep first; fewer than two are no duplicates."""
        paths = {row: self._set.paths[row] for row in rows.tolist()}
        if self._has_files:
            paths = self._files(paths)
        if len(paths) < 2:
            return ()
        best = self._best(paths)
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

    def _files(self, paths: dict[int, str]) -> dict[int, str]:
        """The rows whose files are there, each file once: by a path that is no link, if it can."""
        files: dict[tuple[int, int], int] = {}
        order = sorted(paths, key=lambda row: (self._path(row).is_symlink(), paths[row], row))
        for row in order:
            try:
                status = self._path(row).stat()
            except OSError:
                self._gone.append(paths[row])
                continue
            same = files.setdefault((status.st_dev, status.st_ino), row)
            if same != row:
                self._doubled.append((paths[row], paths[same]))
        return {row: paths[row] for row in sorted(files.values())}

    def _best(self, paths: dict[int, str]) -> int:
        if self._keep == "largest":
            sizes = {row: _pixels(self._path(row)) for row in paths}
            if None not in sizes.values():
                return min(paths, key=lambda row: (-(sizes[row] or 0), paths[row], row))
            self._unmeasured.append(next(paths[row] for row, size in sizes.items() if size is None))
        return min(paths, key=lambda row: (is_system_path(paths[row]), paths[row], row))

    def _path(self, row: int) -> Path:
        return self._set.absolute_path(row)


def _pixels(file: Path) -> int | None:
    """The pixels of an image; None if it cannot be read."""
    from bitcodes.images.decode import image_size  # keeping the first needs no Pillow

    try:
        width, height = image_size(file)
    except ImageError:
        return None
    return width * height


def _some(names: Sequence[str]) -> str:
    return quote_path(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _image_dict(image: Image) -> dict[str, Any]:
    file = None if image.file is None else escape(str(image.file))
    return {**vars(image), "path": escape(image.path), "file": file}
