"""List files: a line per image, its path and its labels."""

import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bitcodes.errors import DataError
from bitcodes.files import atomic_write
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE, recorded_names
from bitcodes.sources.item import File, Item, Stat, regular_stat
from bitcodes.sources.paths import quote_path, with_slashes

_EXAMPLES = 3  # missing images named in a message

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageList:
    """Images and what is known of them, in order.

    paths: as listed, absolute or relative to `root` (any bytes, by surrogateescape).
    labels: uint8 (N, C) of 0 and 1, or None. class_names: C names, or empty.
    """

    paths: Sequence[str]
    labels: Labels | None
    root: Path
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def absolute_path(self, i: int) -> Path:
        """Where image `i` lies on this machine."""
        return self.root / self.paths[i]


def single_labels(labels: Labels) -> npt.NDArray[np.int32] | None:
    """Class numbers int32 (N,) of one-hot labels (N, C), or None if a row has not exactly one 1."""
    if not (labels.sum(axis=1, dtype=np.int64) == 1).all():
        return None
    classes: npt.NDArray[np.int32] = labels.argmax(axis=1).astype(np.int32)
    return classes


def read_list(file: Path, root: Path | None = None, check_exists: bool = True) -> ImageList:
    """Read a list file: a line per image, its path, then its labels as 0s and 1s (or none at all).

    Paths are absolute or relative to `root` (default: the folder of the list). Class names come
    from dataset.json beside the list, else from class folders that agree with the labels.
    Raises DataError naming file and line for a malformed line and, with `check_exists`, for
    images that are not there.
    """
    base = Path(file.parent if root is None else root).absolute()
    names = recorded_names(file.parent)
    return _collect(ListStream(file_lines(file), str(file), base, names, check_exists))


def parse_list(content: bytes, name: str, root: Path) -> ImageList:
    """Parse the bytes of a list file; `name` stands for it in errors. See read_list."""
    return _collect(ListStream(lambda: content.split(b"\n"), name, root, check_exists=False))


def file_lines(file: Path) -> Callable[[], Iterator[bytes]]:
    """The lines of a file, opened for each round; raises DataError if it cannot be read."""

    def lines() -> Iterator[bytes]:
        try:
            with file.open("rb") as content:
                yield from content
        except OSError as error:
            raise DataError(f"cannot read the list file {file}: {error.strerror}") from None

    return lines


class ListStream:
    """A list file read line by line, each time it is gone through; `lines` opens it anew.

    Attributes, for which it is read twice at first: `columns`, the number of labels per line;
    `single`, whether each line has exactly one 1; `class_names`, as read_list gives them; `count`,
    the number of lines. Raises DataError as read_list does.
    """

    def __init__(
        self,
        lines: Callable[[], Iterable[bytes]],
        name: str,
        root: Path,
        class_names: tuple[str, ...] = (),
        check_exists: bool = True,
    ) -> None:
        self._lines, self._name, self.root = lines, name, root
        self.columns = _label_count(_rows(lines(), name), name, class_names)
        self.count = 0
        self.single = True
        folders = _ClassFolders(self.columns)
        stats = _Stats(root) if check_exists else None
        for row in _rows(lines(), name):
            path = row.path(self.columns, name)
            self.count += 1
            if self.columns:
                labels = row.label_digits(self.columns)
                self.single &= labels.count("1") == 1
                folders.add(path, labels)
            if stats is not None:
                stats.add(row.line, path)
        if stats is not None and stats.missing:
            raise stats.error(name, self.count)
        self._stats = stats
        self.class_names = class_names or folders.names()

    def __iter__(self) -> Iterator[Item]:
        """The images, each a file that was looked up at first, if it was to be there."""
        root = str(self.root)
        for number, row in enumerate(_rows(self._lines(), self._name)):
            path = row.path(self.columns, self._name)
            known = None if self._stats is None else self._stats[number]
            labels = _to_labels(row.label_digits(self.columns)) if self.columns else None
            yield Item(path, File(os.path.join(root, path), known), labels)  # noqa: PTH118


@lru_cache
def _to_labels(digits: str) -> Labels:
    """The labels of an image, (C,)."""
    labels: Labels = np.frombuffer(digits.encode(), np.uint8) - ord("0")
    labels.flags.writeable = False
    return labels


def _collect(stream: ListStream) -> ImageList:
    paths: list[str] = []
    rows: list[Labels] = []
    for item in stream:
        paths.append(item.path)
        if item.labels is not None:
            rows.append(item.labels)
    if not rows:
        return ImageList(paths, None, stream.root)
    return ImageList(paths, np.stack(rows), stream.root, stream.class_names)


class _ClassFolders:
    """The folders that the images of the classes lie in: class names, if they agree with labels."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._folders: dict[str, str] = {}  # by the labels of a class
        self._agree = classes > 0

    def add(self, path: str, labels: str) -> None:
        if self._agree:
            folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120
            is_single = labels.count("1") == 1
            self._agree = is_single and self._folders.setdefault(labels, folder) == folder

    def names(self) -> tuple[str, ...]:
        """A name for each class, or none at all."""
        names = [self._folders[key] for key in sorted(self._folders, reverse=True)]  # 100, 010, 001
        if not self._agree or len(set(names)) != self._classes or "" in names:
            return ()
        return tuple(names)


class _Stats:
    """The stats of the images in a list, and which of them are missing; 16 bytes per image."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._numbers = array("q")  # size and time of each image in turn
        self._examples: list[tuple[int, str]] = []  # the first missing ones: line and path
        self.missing = 0

    def add(self, line: int, path: str) -> None:
        known = regular_stat(os.path.join(self._root, path))  # noqa: PTH118
        if known is not None:
            self._numbers.extend(known)
            return
        self.missing += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append((line, path))

    def __getitem__(self, number: int) -> Stat | None:
        position = 2 * number
        if position >= len(self._numbers):
            return None  # the list has grown since
        return self._numbers[position], self._numbers[position + 1]

    def error(self, name: str, total: int) -> DataError:
        first = "; ".join(f"line {line}: {quote_path(path)}" for line, path in self._examples)
        more = ", ..." if self.missing > len(self._examples) else ""
        other = _other_root(self._examples[0][1], Path(self._root))
        return DataError(
            f"{name}: {self.missing:,} of {total:,} images are not there ({first}{more}). "
            f"Relative paths are taken from {self._root}{other}"
        )


def write_list(file: Path, paths: Sequence[str], labels: Labels | None) -> None:
    """Write a list file that read_list reads back: `paths` with `labels` (N, C), or without.

    Raises DataError for a path that a line cannot hold.
    """
    for path in paths:
        if path != path.strip(" \t") or not path or "\n" in path or "\r" in path:
            raise DataError(
                f"a list file cannot hold the path {quote_path(path)}: it begins or ends with a "
                "space, or has a line break; rename it"
            )
    lines: Iterable[str] = map(with_slashes, paths)
    if labels is not None:
        suffixes = {
            row.tobytes(): " " + " ".join(map(str, row)) for row in np.unique(labels, axis=0)
        }
        lines = (path + suffixes[row.tobytes()] for path, row in zip(lines, labels, strict=True))
    with atomic_write(file) as out:
        out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


class _Row(NamedTuple):
    line: int
    text: str  # the line without its end
    labels: str  # the 0s and 1s that end it, as many as there are

    def path(self, count: int, name: str) -> str:
        """What stands before the last `count` labels."""
        number = min(count, len(self.labels))
        path = self.text.rsplit(None, number)[0] if number else self.text
        ending = str(number)
        if wrong := _BEYOND_SUFFIX.search(path):
            ending = repr(" ".join([wrong[1], *self.label_digits(number)]))
        elif number == count:
            return with_slashes(path)
        expected = f"{count} labels, each" if count else "no labels, or labels that are"
        raise DataError(
            f"{name}, line {self.line}: expected {expected} 0 or 1 (one-hot or multi-hot), "
            f"after the path, as on the other lines; found {ending}: {quote_path(self.text)}"
        )

    def label_digits(self, count: int) -> str:
        """The last `count` labels."""
        return self.labels[len(self.labels) - count :]


_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
# Something after an image's name that is neither the rest of a folder name nor another image name:
# a label like 7, or one label too many.
_BEYOND_SUFFIX = re.compile(rf"\.(?:{_SUFFIXES})[ \t]+((?!.*\.(?:{_SUFFIXES})$)[^/\\]+)$", re.I)


def _rows(lines: Iterable[bytes], name: str) -> Iterator[_Row]:
    for number, raw in enumerate(lines, 1):
        if number == 1:
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{name}: expected a list in UTF-8, found UTF-16; save it as UTF-8")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        text = raw.decode("utf-8", "surrogateescape").strip(" \t\r\n")
        if not text:
            continue
        if "\0" in text:
            raise DataError(f"{name}, line {number}: expected text, found a zero byte")
        yield _Row(number, text, _trailing_labels(text))


def _label_count(rows: Iterable[_Row], name: str, class_names: tuple[str, ...]) -> int:
    """How many labels most lines have, 0 for none."""
    widths = Counter(len(row.labels) for row in rows)
    if not widths:
        raise DataError(
            f"{name}: the list is empty; expected a line per image: its path, then its labels"
        )
    count = widths.most_common(1)[0][0]
    if class_names and count not in (0, len(class_names)):
        raise DataError(
            f"{name}: expected {len(class_names)} labels a line, as {DATASET_FILE} beside it names "
            f"{len(class_names)} classes, found {count}"
        )
    return count


def _trailing_labels(text: str) -> str:
    """The 0s and 1s at the end of a line, each a word of its own, without the first word."""
    start = len(text.rstrip("01 \t"))
    words = text[start:].split()
    if start == 0 or text[start : start + 1] not in (" ", "\t"):
        words = words[1:]  # the first one belongs to the path
    joined = "".join(words)
    if len(joined) == len(words):
        return joined
    last_long = max(i for i, word in enumerate(words) if len(word) > 1)
    return "".join(words[last_long + 1 :])


def _other_root(path: str, root: Path) -> str:
    """The end of the sentence on missing images: a root under which the image is there."""
    for other in (Path.cwd(), *root.parents):
        if other != root and not Path(path).is_absolute() and (other / path).is_file():
            return f"; this one lies under {other}: move the list there or name that root"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "; the line is not UTF-8: is the list in another encoding?"
    return ""
