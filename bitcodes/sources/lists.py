"""List files: a line per image, its path and its labels."""

import os
import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bitcodes.codes.paths import with_slashes
from bitcodes.errors import DataError
from bitcodes.files import atomic_write, open_regular
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE, recorded_names
from bitcodes.sources.item import GONE, File, Item, regular_stat
from bitcodes.sources.paths import quote_path
from bitcodes.wording import counted

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
    content = b"".join(file_lines(file)())
    images = parse_list(content, str(file), base, recorded_names(file.parent))
    missing = _missing(images) if check_exists else []
    if missing:
        lines = [row.line for row in _rows(content.split(b"\n"), str(file))]
        examples = [(lines[i], images.paths[i]) for i in missing[:_EXAMPLES]]
        raise _not_there(str(file), examples, len(missing), len(images), base)
    return images


def parse_list(
    content: bytes, name: str, root: Path, class_names: tuple[str, ...] = ()
) -> ImageList:
    """Parse the bytes of a list file; `name` stands for it in errors. See read_list."""
    rows = list(_rows(content.split(b"\n"), name))
    columns = _label_count(rows, name, class_names)
    paths = [row.path(columns, name) for row in rows]
    if not columns:
        return ImageList(paths, None, root)
    digits = [row.label_digits(columns) for row in rows]
    classes = _Classes(columns)
    deque(map(classes.add, paths, digits), maxlen=0)
    labels = np.frombuffer("".join(digits).encode(), np.uint8).reshape(-1, columns) - ord("0")
    return ImageList(paths, labels, root, class_names or classes.names())


def file_lines(file: Path) -> Callable[[], Iterator[bytes]]:
    """The lines of a file, opened for each round; raises DataError if it cannot be read."""

    def lines() -> Iterator[bytes]:
        try:
            with open_regular(file) as content:
                yield from content
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DataError(f"cannot read the list file {file}: {reason}") from None

    return lines


class ListStream:
    """A list file read line by line, each time it is gone through; `lines` opens it anew.

    It is read twice at first, for the attributes: `columns`, the number of labels per line;
    `single`, whether each line has exactly one 1; `class_names`, as read_list gives them. Each
    image is looked up then. Raises DataError as read_list does.
    """

    def __init__(
        self,
        lines: Callable[[], Iterable[bytes]],
        name: str,
        root: Path,
        class_names: tuple[str, ...] = (),
    ) -> None:
        self._lines, self._name, self.root = lines, name, root
        self.columns = _label_count(_rows(lines(), name), name, class_names)
        self._stats = array("q")  # size and time of each image in turn: 16 bytes per image
        classes = _Classes(self.columns)
        missing: list[tuple[int, str]] = []  # line and path of the first
        missing_count = 0
        for row in _rows(lines(), name):
            path = row.path(self.columns, name)
            classes.add(path, row.label_digits(self.columns))
            known = regular_stat(os.path.join(root, path))  # noqa: PTH118
            self._stats.extend(known or GONE)
            if known is None:
                missing_count += 1
                if missing_count <= _EXAMPLES:
                    missing.append((row.line, path))
        if missing:
            raise _not_there(name, missing, missing_count, len(self._stats) // 2, root)
        self.single = classes.single
        self.class_names = class_names or classes.names()

    def __iter__(self) -> Iterator[Item]:
        """The images, each a file that was looked up at first."""
        root = str(self.root)
        stats = iter(self._stats)
        for row in _rows(self._lines(), self._name):
            path = row.path(self.columns, self._name)
            known = next(zip(stats, stats, strict=True), None)  # None: the list has grown since
            labels = _to_labels(row.label_digits(self.columns)) if self.columns else None
            yield Item(path, File(os.path.join(root, path), known), labels)  # noqa: PTH118


@lru_cache
def _to_labels(digits: str) -> Labels:
    """The labels of an image, (C,)."""
    labels: Labels = np.frombuffer(digits.encode(), np.uint8) - ord("0")
    labels.flags.writeable = False
    return labels


class _Classes:
    """What labels say of classes, which have the names of their folders if these agree."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._folders: dict[str, str] = {}  # by the labels of a class
        self._agree = True
        self.single = True  # each image has exactly one label, or none has any

    def add(self, path: str, labels: str) -> None:
        if self._columns:
            self.single &= labels.count("1") == 1
            self._agree &= self.single
            if self._agree:
                folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120
                self._agree = self._folders.setdefault(labels, folder) == folder

    def names(self) -> tuple[str, ...]:
        """A name for each class, or none at all."""
        names = [self._folders[key] for key in sorted(self._folders, reverse=True)]  # 100, 010, 001
        if not self._agree or len(set(names)) != self._columns or "" in names:
            return ()
        return tuple(names)


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
        lines = (
            " ".join([line, *map(str, row)])
            for line, row in zip(lines, labels.tolist(), strict=True)
        )
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
        expected = f"{counted(count, 'label')}, each" if count else "no labels, or labels that are"
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
            f"{name}: expected {counted(len(class_names), 'label')} per line, for the classes that "
            f"{DATASET_FILE} beside it names, found {count}"
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


def _missing(images: ImageList) -> list[int]:
    """Positions of the images that are not there. Folders are listed: that is fast."""
    root = str(images.root)
    names = [os.path.split(os.path.join(root, path)) for path in images.paths]  # noqa: PTH118
    # A folder may hold millions of other files: so a few images are looked up one by one.
    counts = Counter(folder for folder, _ in names)
    files = {folder: _file_names(folder) if count > 20 else () for folder, count in counts.items()}
    return [
        i
        for i, (folder, name) in enumerate(names)
        if name not in files[folder] and not os.path.isfile(os.path.join(folder, name))  # noqa: PTH113, PTH118
    ]


def _file_names(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _not_there(
    name: str, examples: list[tuple[int, str]], missing: int, total: int, root: Path
) -> DataError:
    """The error about images that are not there; `examples` are the first: line and path."""
    first = "; ".join(f"line {line}: {quote_path(path)}" for line, path in examples)
    more = ", ..." if missing > len(examples) else ""
    return DataError(
        f"{name}: not there: {missing:,} of {counted(total, 'image')} ({first}{more}). "
        f"Relative paths are taken from {root}{_other_root(examples[0][1], root)}"
    )


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
