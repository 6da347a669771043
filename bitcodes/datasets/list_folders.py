"""Lists of other hashing projects as a data folder; the images stay where they are."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.datasets.prepared import (
    DATA,
    Prepared,
    check_settings,
    listed_path,
    write_around,
    write_lists,
)
from bitcodes.datasets.published import recognise
from bitcodes.errors import DataError
from bitcodes.files import check_folder_of
from bitcodes.sources.description import recorded_names
from bitcodes.sources.list_rows import find_layout, rows
from bitcodes.sources.lists import ImageList, Labels, file_lines, parse_list
from bitcodes.sources.paths import quote_path
from bitcodes.wording import as_utf8, counted, either

_EXAMPLES = 3  # images named in a message

_Lists = dict[str, ImageList]
"""By the keys of LIST_NAMES."""


def prepare_lists(
    source: Path | str,
    out: Path | str,
    root: Path | str | None = None,
    drop_queries: bool = False,
) -> Prepared:
    """Write train.txt, test.txt (queries) and database.txt for the lists in `source` into `out`.

    These are lists in the layout of HashNet, DeepHash-pytorch and CSQ: per line a path, then a 0 or
    1 per class, or a class number. Lists in parts, as HashNet has for Caffe (test/test0.txt, ...,
    test/database0.txt, ...), are joined. Numbers of images and classes that are those of a
    published division give the data folder its protocol and, as "metric" in dataset.json, the
    figure that papers report. Others are kept as a data set of their own.

    Paths are taken from `root`, by default from `source` and from the working folder. If the image
    is not there, folders at the beginning of its path are left out, one after another: so lists
    work that name folders of another computer. `drop_queries` leaves queries out of the other
    lists. Running it again reads the lists again.

    Raises DataError for a list that is missing or malformed, lists of different numbers of classes,
    images that are not there, images named twice in a list, queries that are also in another list,
    and images with different labels in two lists.
    """
    folder, source, out = Path(out), Path(source).absolute(), Path(out).absolute()
    if source.resolve() == out.resolve():
        raise DataError(f"{source} has the lists to read: name another folder to write")
    settings: dict[str, Any] = {
        "name": as_utf8(source.name),
        "source": as_utf8(source.as_posix()),
        "root": None if root is None else as_utf8(Path(root).absolute().as_posix()),
        "drop_queries": drop_queries,
    }
    before = check_settings(out, settings)
    check_folder_of(folder, made=DATA)
    names, lists = _read(source)
    lists = _locate(lists, (source, Path.cwd()) if root is None else (Path(root).absolute(),))
    _check_twice(source, lists)
    published, note = recognise(len(names), {key: len(lists[key]) for key in lists})
    notes = [] if note is None else [note]
    lists, note = _without_queries(source, lists, drop_queries)
    notes += [] if note is None else [note]
    _check_labels(source, lists)
    notes += _unlabelled(lists)
    settings["protocol"] = "own lists" if published is None else published.protocol
    if published is not None:
        settings["metric"] = published.metric
    listed = {
        key: ([listed_path(Path(path), out) for path in images.paths], images.labels)
        for key, images in lists.items()
    }
    return write_around(
        folder, before, lambda: write_lists(out, listed, names, settings), tuple(notes)
    )


@dataclass(frozen=True)
class _ListText:
    """The bytes of one list, from one file or from several parts, and a name for errors."""

    name: str
    content: bytes


def _read(source: Path) -> tuple[list[str], _Lists]:
    """Class names and the lists of a folder, with labels for the same classes."""
    texts = {key: _text(source, key) for key in LIST_NAMES}
    own_names = recorded_names(source)
    layouts = {}
    for key, text in texts.items():
        lines = rows(text.content.split(b"\n"), text.name)
        layouts[key] = find_layout(lines, text.name, own_names, "auto")
    columns = {key: layout.columns for key, layout in layouts.items()}
    if not all(columns.values()):
        first = next(texts[key].name for key, number in columns.items() if number == 0)
        raise DataError(
            f"{first}: expected labels after each path, a 0 or 1 for each class or a class number; "
            "found none"
        )
    # A list of class numbers may lack the last classes.
    if len(set(columns.values())) > 1 and not all(each.is_index for each in layouts.values()):
        numbers = ", ".join(f"{LIST_NAMES[key]} has {columns[key]}" for key in columns)
        raise DataError(f"{source}: expected as many classes in all lists; found: {numbers}")
    names = list(own_names) or [str(number) for number in range(max(columns.values()))]
    return names, {
        key: parse_list(text.content, text.name, source, tuple(names))
        for key, text in texts.items()
    }


def _text(source: Path, key: str) -> _ListText:
    """A list, or its parts joined in the order of their numbers."""
    file = source / LIST_NAMES[key]
    if file.is_file():
        return _ListText(str(file), b"".join(file_lines(file)()))
    numbers = {}
    for part in (source / "test").glob(f"{key}*.txt"):
        if match := re.fullmatch(rf"{key}(\d+)\.txt", part.name):
            numbers[int(match[1])] = part
    if not numbers:
        raise DataError(
            f"{source}: expected {', '.join(LIST_NAMES.values())}, with a line per image: its "
            f"path, then its labels; found no {LIST_NAMES[key]}. Some projects offer large lists "
            "as a download of their own"
        )
    if missing := sorted(set(range(max(numbers) + 1)) - set(numbers)):
        raise DataError(f"{source / 'test'}: expected all parts; found no {key}{missing[0]}.txt")
    parts = [b"".join(file_lines(numbers[number])()) for number in sorted(numbers)]
    return _ListText(str(source / "test" / f"{key}*.txt"), b"\n".join(parts))


class _Images:
    """Finds images by paths that may begin with folders of another computer."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self._bases = bases
        self._places: dict[str, str] = {}  # of folders, as lists name them
        self._files: dict[str, set[str]] = {}  # in a place

    def find(self, path: str) -> str | None:
        """The absolute path of an image, or None if it is not there."""
        listed, _, name = path.replace("\\", "/").rpartition("/")
        if path.startswith(("/", "\\")) and not listed:
            listed = "/"
        place = self._places.get(listed)
        if place is None or name not in self._files[place]:
            place = self._search(listed, name)
            if place is None:
                return None
            self._places[listed] = place
        return os.path.join(place, name)  # noqa: PTH118

    def _search(self, listed: str, name: str) -> str | None:
        parts = PurePosixPath(listed).parts
        for base in self._bases:
            for start in range(len(parts) + 1):
                rest = listed if start == 0 else "/".join(parts[start:])
                place = os.path.abspath(base / rest)  # noqa: PTH100
                if os.path.isfile(os.path.join(place, name)):  # noqa: PTH113, PTH118 - never raises
                    if place not in self._files:
                        with os.scandir(place) as entries:
                            self._files[place] = {each.name for each in entries if each.is_file()}
                    return place
        return None


def _locate(lists: _Lists, bases: Sequence[Path]) -> _Lists:
    """The lists with absolute paths; raises DataError if images are not there."""
    images = _Images(bases)
    located = {}
    missing = []
    for key, each in lists.items():
        paths = [images.find(path) for path in each.paths]
        missing += [
            f"{quote_path(old)} of {LIST_NAMES[key]}"
            for old, new in zip(each.paths, paths, strict=True)
            if new is None
        ]
        located[key] = replace(each, paths=[path for path in paths if path is not None])
    if missing:
        total = sum(map(len, lists.values()))
        more = ", ..." if len(missing) > _EXAMPLES else ""
        raise DataError(
            f"{lists['train'].root}: not there: {len(missing):,} of {counted(total, 'line')} "
            f"({'; '.join(missing[:_EXAMPLES])}{more}). Looked for in "
            f"{' and '.join(map(str, dict.fromkeys(bases)))}, also without the first folders of a "
            "path; name the folder with the images by --root"
        )
    return located


def _check_twice(source: Path, lists: _Lists) -> None:
    """Raise DataError if a list names an image more than once."""
    for key, images in lists.items():
        if twice := [path for path, number in Counter(images.paths).items() if number > 1]:
            raise DataError(
                f"{source}: {LIST_NAMES[key]} names {counted(len(twice), 'image')} more than once "
                f"(such as {quote_path(twice[0])}); remove the other lines"
            )


def _without_queries(source: Path, lists: _Lists, drop: bool) -> tuple[_Lists, str | None]:
    """The lists without queries in train and database, and a note on how many were dropped.

    Raises DataError if there are some and `drop` is false, or if nothing else is in a list.
    """
    queries = set(lists["test"].paths)
    rest = dict(lists)
    shared = {}
    for key in ("train", "database"):
        keep = np.array([path not in queries for path in lists[key].paths])
        if keep.all():
            continue
        shared[key] = int((~keep).sum())
        paths = [path for path, is_kept in zip(lists[key].paths, keep, strict=True) if is_kept]
        rest[key] = replace(lists[key], paths=paths, labels=_labels(lists[key])[keep])
    if not shared:
        return lists, None
    numbers = " and ".join(f"{number:,} in {LIST_NAMES[key]}" for key, number in shared.items())
    if not drop:
        first = next(path for key in shared for path in lists[key].paths if path in queries)
        raise DataError(
            f"{source}: of {counted(len(queries), 'query', 'queries')}, {numbers} too (such as "
            f"{quote_path(first)}): scores would be too good to be true. To leave them out there: "
            "--drop-queries"
        )
    if empty := [LIST_NAMES[key] for key in shared if not rest[key].paths]:
        raise DataError(
            f"{source}: every image of {' and of '.join(empty)} is a query too, so --drop-queries "
            "would leave none: expected images that are no queries. Put other images in "
            f"{either(empty)}, or leave some out of test.txt"
        )
    return rest, (
        f"queries dropped from other lists: {numbers}. Figures that others published for lists "
        "with queries in the database are too high to compare with"
    )


def _labels(images: ImageList) -> Labels:
    assert images.labels is not None  # _read refuses lists without labels
    return images.labels


def _check_labels(source: Path, lists: _Lists) -> None:
    """Raise DataError if training and database give an image different labels."""
    train, database = lists["train"], lists["database"]
    known: Mapping[str, int] = {path: row for row, path in enumerate(train.paths)}
    pairs = [(known[path], row) for row, path in enumerate(database.paths) if path in known]
    if not pairs:
        return
    ours, theirs = np.array(pairs).T
    differ = (_labels(train)[ours] != _labels(database)[theirs]).any(axis=1)
    if differ.any():
        first = quote_path(train.paths[ours[differ.argmax()]])
        raise DataError(
            f"{source}: train.txt and database.txt give {counted(int(differ.sum()), 'image')} "
            f"different labels (such as {first}): are the lists of one data set?"
        )


def _unlabelled(lists: _Lists) -> list[str]:
    """A note for each list with images of no class."""
    numbers = {key: int((~_labels(images).any(axis=1)).sum()) for key, images in lists.items()}
    return [
        f"{LIST_NAMES[key]} has {counted(number, 'image')} of no class; nothing is relevant to them"
        for key, number in numbers.items()
        if number
    ]
