"""Which image of a group of near-duplicates to keep."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from bitcodes.choices import Keep
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import ConfigError, ImageError
from bitcodes.sources.paths import quote_path
from bitcodes.sources.system_names import is_system_path
from bitcodes.wording import counted

if TYPE_CHECKING:
    from bitcodes.sources.item import Place


_FOLDER = "folder:"


def keep_rules(text: str) -> tuple[str, ...]:
    """The rules in a text, in order, with commas between them. Raises ConfigError for another.

    `largest`: most pixels, of these most bytes. `oldest`: the file that was changed first.
    `shortest-path`: fewest characters. `folder:DIR`: in this folder, or below. `first`: by path,
    which always decides last. A later rule counts among images that are equal by the earlier ones.
    """
    rules = tuple(text.split(","))
    for rule in rules:
        if rule not in get_args(Keep) and (not rule.startswith(_FOLDER) or rule == _FOLDER):
            raise ConfigError(
                f"expected {', '.join(get_args(Keep))} or {_FOLDER}DIR, or several with commas; "
                f"found {rule!r}"
            )
    return rules


class _Measure(NamedTuple):
    """What is known of the file of an image that is there."""

    identity: object
    """Equal for two paths that lead to one file."""
    is_link: bool
    bytes: int
    time: int
    """When it was last changed, in ns."""
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
        yield file, _Measure(identity, is_link, *place.stat(), pixels)


def _pixels(place: "Place") -> int | None:
    """The pixels of an image; None if it cannot be read."""
    from bitcodes.images.decode import recorded_size

    try:
        (width, height), _ = place.read(recorded_size)
    except ImageError:
        return None
    return width * height


class Chooser:
    """Makes files of rows, and says which of them are better to keep.

    A file that two rows name is one file. One that is gone is in no group: a copy of it could be
    the only one. If the folder, or the archive, of the set is not there, and no image either, the
    images may be on another computer, so rows count as files.
    """

    def __init__(self, code_set: CodeSet, keep: str, rows: Sequence[Sequence[int]]) -> None:
        self._set = code_set
        self._rules = keep_rules(keep)
        root = code_set.root
        self._measured: dict[Path, _Measure] | None = None
        self._lost: Path | None = None  # the root, if nothing in it is there
        if rows and root is not None:
            files = (code_set.absolute_path(row) for some in rows for row in some)
            measured = dict(_measures(files, "largest" in self._rules))
            if measured or root.exists():
                self._measured = measured
            else:
                self._lost = root
        self._gone: list[str] = []
        self._doubled: list[tuple[str, str]] = []
        self._unmeasured: list[str] = []  # one for each group

    def best_first(self, rows: Sequence[int]) -> list[int]:
        """The rows of a group whose files are there, a row per file, the one to keep first."""
        paths = {row: self._set.paths[row] for row in rows}
        measures: dict[int, _Measure] = {}
        if self._measured is not None:
            measures = self._files(paths, self._measured)
            paths = {row: paths[row] for row in sorted(measures)}
        return [] if len(paths) < 2 else self._ordered(paths, measures)

    def notes(self) -> Iterator[str]:
        """What a reader should know of files that were left out or not compared."""
        if self._gone:
            yield (
                f"{counted(len(self._gone), 'image')} of groups left out: no longer there "
                f"({some(self._gone)}); `bitcodes encode` brings the set up to date"
            )
        if self._doubled:
            pairs = [f"{one} is {other}" for one, other in self._doubled]
            count = counted(len(pairs), "path leads", "paths lead")
            yield f"{count} to a file that another path leads to, and counted once ({some(pairs)})"
        if self._lost is not None:
            yield (
                f"{self._lost} is not there, so it is not known which of these images still are: "
                "look before you remove any"
            )
        elif self._unmeasured:
            yield (
                f"{counted(len(self._unmeasured), 'group')} with an image whose size is unknown "
                f"({some(self._unmeasured)}): there the first by path is kept, not the largest"
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

    def _ordered(self, paths: dict[int, str], measures: dict[int, _Measure]) -> list[int]:
        rules = self._rules
        if "largest" in rules:
            unknown = [row for row in paths if row not in measures or measures[row].pixels is None]
            if unknown:
                self._unmeasured.append(paths[unknown[0]])
                rules = tuple(rule for rule in rules if rule != "largest")

        def rank(row: int) -> tuple[object, ...]:
            places = (self._place(rule, row, paths[row], measures.get(row)) for rule in rules)
            return is_system_path(paths[row]), *places, paths[row], row

        return sorted(paths, key=rank)

    def _place(
        self, rule: str, row: int, path: str, measure: _Measure | None
    ) -> tuple[object, ...]:
        """What a rule orders an image by."""
        if rule == "first":
            return (path,)
        if rule == "shortest-path":
            return (len(path),)
        if rule.startswith(_FOLDER):
            folder = Path(os.path.abspath(rule.removeprefix(_FOLDER)))  # noqa: PTH100 - keeps links
            file = self._set.file(row)
            return (file is None or not file.is_relative_to(folder),)
        if measure is None:
            return ()
        return (measure.time,) if rule == "oldest" else (-(measure.pixels or 0), -measure.bytes)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return quote_path(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")
