"""List files and the folders that hold them: a line an image, its path and its labels."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitcodes.errors import DataError
from bitcodes.files import atomic_write
from bitcodes.images.decode import IMAGE_SUFFIXES

DATASET_FILE = "dataset.json"
_NAMED = 3  # missing images named in a message
LIST_NAMES = {"train": "train.txt", "test": "test.txt", "database": "database.txt"}

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


@dataclass(frozen=True)
class Dataset:
    """A prepared folder: what to train on, the queries (test) and the database searched."""

    train: ImageList
    test: ImageList
    database: ImageList
    class_names: tuple[str, ...]
    protocol: str | None


def single_labels(labels: Labels) -> npt.NDArray[np.int32] | None:
    """Class numbers int32 (N,) of one-hot labels (N, C), or None if a row has not exactly one 1."""
    if not (labels.sum(axis=1, dtype=np.int64) == 1).all():
        return None
    classes: npt.NDArray[np.int32] = labels.argmax(axis=1).astype(np.int32)
    return classes


def read_list(file: Path, root: Path | None = None, check_exists: bool = True) -> ImageList:
    """Read a list file: a line an image, its path, then its labels as 0s and 1s (or none at all).

    Paths are absolute or relative to `root` (default: the folder of the list). Class names come
    from dataset.json beside the list, else from class folders that agree with the labels.
    Raises DataError naming file and line for a malformed line and, with `check_exists`, for
    images that are not there.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the list file {file}: {error.strerror}") from None
    base = Path(file.parent if root is None else root).absolute()
    return parse_list(content, str(file), base, recorded_names(file.parent), check_exists)


def parse_list(
    content: bytes,
    name: str,
    root: Path,
    class_names: tuple[str, ...] = (),
    check_exists: bool = True,
) -> ImageList:
    """Parse the bytes of a list file; `name` stands for it in errors. See read_list."""
    rows = list(_rows(content.split(b"\n"), name))
    count = _label_count(rows, name, class_names)
    paths = [row.path(count, name) for row in rows]
    if check_exists:
        _check_exist(paths, [row.line for row in rows], name, root)
    if count == 0:
        return ImageList(paths, None, root)
    digits = "".join(row.labels[len(row.labels) - count :] for row in rows).encode()
    labels = (np.frombuffer(digits, np.uint8) - ord("0")).reshape(-1, count)  # (N, C)
    return ImageList(paths, labels, root, class_names or _folder_names(paths, labels))


class ListStream:
    """A list file read line by line, twice: once to see what it holds, then for its rows.

    `lines` opens it anew each time. `columns` labels a line, `single` whether each line has exactly
    one 1, `class_names` as read_list finds them, `count` lines. Raises DataError as read_list does.
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
        folders: dict[str, str] = {}  # labels of a class -> the folder that its images lie in
        agree = True
        examples: list[tuple[int, str]] = []
        missing = 0
        for row in _rows(lines(), name):
            path = row.path(self.columns, name)
            self.count += 1
            if self.columns:
                labels = row.labels[-self.columns :]
                self.single &= labels.count("1") == 1
                folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120
                agree = agree and self.single and folders.setdefault(labels, folder) == folder
            if check_exists and not os.path.isfile(os.path.join(root, path)):  # noqa: PTH113, PTH118
                missing += 1
                if len(examples) < _NAMED:
                    examples.append((row.line, path))
        if missing:
            raise _not_there(name, examples, missing, self.count, root)
        names = [folders[key] for key in sorted(folders, reverse=True)]  # 100, 010, 001
        if not agree or len(set(names)) != self.columns or "" in names:
            names = []
        self.class_names = class_names or tuple(names)

    def __iter__(self) -> Iterator[tuple[str, Labels | None]]:
        """Each path, and its labels (C,) if the list has labels."""
        for row in _rows(self._lines(), self._name):
            labels = None
            if self.columns:
                digits = row.labels[-self.columns :].encode()
                labels = np.frombuffer(digits, np.uint8) - ord("0")  # (C,)
            yield row.path(self.columns, self._name), labels


def write_list(file: Path, paths: Sequence[str], labels: Labels | None) -> None:
    """Write a list file that read_list reads back: `paths` with `labels` (N, C), or without.

    Raises DataError for a path that a line cannot hold.
    """
    for path in paths:
        if path != path.strip(" \t") or not path or "\n" in path or "\r" in path:
            raise DataError(
                f"a list file cannot hold the path {shown(path)}: it begins or ends with a space, "
                "or has a line break; rename it"
            )
    lines: Iterable[str] = paths
    if labels is not None:
        suffixes = {
            row.tobytes(): " " + " ".join(map(str, row)) for row in np.unique(labels, axis=0)
        }
        lines = (path + suffixes[row.tobytes()] for path, row in zip(paths, labels, strict=True))
    with atomic_write(file) as out:
        out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def read_dataset(folder: Path) -> Dataset:
    """Read train.txt, test.txt (the queries), database.txt and dataset.json of a prepared folder.

    Raises DataError for what is missing or malformed; for a folder of images that is not prepared
    yet, it names the `bitcodes prepare` command to run.
    """
    if not folder.is_dir():
        raise DataError(
            f"there is no data folder {folder}; make one with `bitcodes prepare` "
            "(cifar10, folder or demo), or name another one"
        )
    missing = [name for name in LIST_NAMES.values() if not (folder / name).is_file()]
    if missing:
        raise DataError(_unprepared(folder, missing))
    lists = {key: read_list(folder / name) for key, name in LIST_NAMES.items()}
    columns = {name: _columns(lists[key]) for key, name in LIST_NAMES.items()}
    if len(set(columns.values())) > 1 or 0 in columns.values():
        found = ", ".join(f"{name} has {number}" for name, number in columns.items())
        raise DataError(
            f"{folder}: expected the same number of labels in all lists, found: {found}"
        )
    return Dataset(**lists, class_names=_shared_names(lists), protocol=_protocol(folder))


def read_description(folder: Path) -> dict[str, Any] | None:
    """What dataset.json of a prepared folder says, or None where there is none."""
    file = folder / DATASET_FILE
    try:
        value = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from None
    names = value.get("class_names") if isinstance(value, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f'{file}: expected an object with "class_names", a list of names')
    return dict(value)


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder` that hold images or folders, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] != "."]
    return sorted(name for name in names if _holds_images(folder / name))


def shown(path: str) -> str:
    """A path for messages: quoted, and printable whatever bytes are in it."""
    return repr(path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class _Row:
    line: int
    text: str  # the line without its end
    labels: str  # the 0s and 1s that end it, as many as there are

    def path(self, count: int, name: str) -> str:
        """What stands before the last `count` labels."""
        number = min(count, len(self.labels))
        path = self.text.rsplit(None, number)[0] if number else self.text
        found = str(number)
        if wrong := _BEYOND_SUFFIX.search(path):
            found = repr(" ".join([wrong[1], *self.labels[len(self.labels) - number :]]))
        elif number == count:
            return path
        wanted = f"{count} labels, each" if count else "no labels, or labels that are"
        raise DataError(
            f"{name}, line {self.line}: expected {wanted} 0 or 1 (one-hot or multi-hot), "
            f"after the path, as on the other lines; found {found}: {shown(self.text)}"
        )


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
        raise DataError(f"{name}: the list is empty; expected a line an image: a path, then labels")
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
    if all(len(word) == 1 for word in words):
        return "".join(words)
    last_long = max(i for i, word in enumerate(words) if len(word) > 1)
    return "".join(words[last_long + 1 :])


def _check_exist(paths: list[str], lines: list[int], name: str, root: Path) -> None:
    """Raise DataError if images are missing; listing folders is faster than asking for each."""
    absolute = [os.path.join(root, path) for path in paths]  # noqa: PTH118 - 5 times as fast
    parents = Counter(map(os.path.dirname, absolute))
    there: dict[str, set[str]] = {}
    for parent, number in parents.items():
        # A folder may hold millions of other files, so few images are asked for one by one.
        there[parent] = _file_names(parent) if number > 20 else set()
    missing = [
        i
        for i, path in enumerate(absolute)
        if os.path.basename(path) not in there[os.path.dirname(path)]  # noqa: PTH119, PTH120
        and not os.path.isfile(path)  # noqa: PTH113
    ]
    if missing:
        examples = [(lines[i], paths[i]) for i in missing[:_NAMED]]
        raise _not_there(name, examples, len(missing), len(paths), root)


def _not_there(
    name: str, examples: list[tuple[int, str]], missing: int, total: int, root: Path
) -> DataError:
    """The error about images that a list names in vain: the first few as (line, path)."""
    first = "; ".join(f"line {line}: {shown(path)}" for line, path in examples)
    more = ", ..." if missing > len(examples) else ""
    return DataError(
        f"{name}: {missing:,} of {total:,} images are not there ({first}{more}). "
        f"Relative paths are taken from {root}{_other_root(examples[0][1], root)}"
    )


def _file_names(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _other_root(path: str, root: Path) -> str:
    """The end of the sentence on missing images: the root under which the first one is found."""
    for other in (Path.cwd(), *root.parents):
        if other != root and not Path(path).is_absolute() and (other / path).is_file():
            return f"; this one lies under {other}: move the list there or name that root"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "; the line is not UTF-8: is the list in another encoding?"
    return ""


def recorded_names(folder: Path) -> tuple[str, ...]:
    """The class names that dataset.json in a folder gives, or none."""
    description = read_description(folder)
    return () if description is None else tuple(description["class_names"])


def _folder_names(paths: Sequence[str], labels: Labels) -> tuple[str, ...]:
    """Class names from folders: if each class lies in a folder of its own name, else none."""
    classes = single_labels(labels)
    if classes is None:
        return ()
    names: dict[int, str] = {}
    for path, number in zip(paths, classes.tolist(), strict=True):
        folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120
        if names.setdefault(number, folder) != folder:
            return ()
    if (
        len(names) < labels.shape[1]
        or len(set(names.values())) < len(names)
        or "" in names.values()
    ):
        return ()
    return tuple(names[number] for number in range(len(names)))


def _shared_names(lists: dict[str, ImageList]) -> tuple[str, ...]:
    """The class names that the lists agree on (a list may miss a class and so have none)."""
    named = {images.class_names for images in lists.values()} - {()}
    return named.pop() if len(named) == 1 else ()


def _columns(images: ImageList) -> int:
    return 0 if images.labels is None else images.labels.shape[1]


def _protocol(folder: Path) -> str | None:
    description = read_description(folder)
    protocol = None if description is None else description.get("protocol")
    return protocol if isinstance(protocol, str) else None


def _holds_images(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(
            entry.is_dir() or Path(entry.name).suffix.lower() in IMAGE_SUFFIXES for entry in entries
        )


def _unprepared(folder: Path, missing: list[str]) -> str:
    text = f"{folder} has no {', '.join(missing)}"
    classes = class_folders(folder)
    if {"train", "test"} <= set(classes) and len(class_folders(folder / "train")) == 10:
        return (
            f"{text}. If it is CIFAR-10, run `bitcodes prepare cifar10 {folder} --source {folder}`,"
            f" else `bitcodes prepare folder {folder} {folder}`"
        )
    if len(classes) > 1:
        return (
            f"{text}. It holds class folders: "
            f"run `bitcodes prepare folder {folder} {folder}-lists` and use {folder}-lists"
        )
    return f"{text}; make a data folder with `bitcodes prepare` (cifar10, folder or demo)"
