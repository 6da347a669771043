"""List files: a line per image, its path and its labels."""

import io
import os
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitcodes.choices import ListLabels
from bitcodes.codes.paths import with_slashes
from bitcodes.errors import DataError
from bitcodes.files import atomic_write, open_regular
from bitcodes.sources.description import newest, recorded_names
from bitcodes.sources.item import GONE, File, Item, regular_stat
from bitcodes.sources.list_rows import IMAGE_ENDS, find_layout, quoted, rows
from bitcodes.sources.paths import quote_path
from bitcodes.wording import counted, shortened

MAX_LABELS = 1 << 30
"""Images times classes in a list that is read into memory: a byte each."""
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
    """Read a list file: a line per image, its path, then its labels (or none at all).

    Labels are a 0 or 1 for each class, or the number of the one class: see find_layout. Paths are
    absolute or relative to `root` (default: the folder of the list). Class names come from
    dataset.json beside the list, else from class folders that agree with the labels. Raises
    DataError naming file and line for a malformed line and, with `check_exists`, for images that
    are not there.
    """
    base = Path(file.parent if root is None else root).absolute()
    content = b"".join(file_lines(file)())
    images = parse_list(content, str(file), base, recorded_names(file))
    missing = _missing(images) if check_exists else []
    if missing:
        images = replace(images, paths=[_there(str(base), path) for path in images.paths])
        missing = _missing(images)
    if missing:
        lines = [row.line for row in rows(content.split(b"\n"), str(file))]
        examples = [(lines[i], images.paths[i]) for i in missing[:_EXAMPLES]]
        raise _not_there(str(file), examples, len(missing), len(images), base)
    return images


def parse_list(
    content: bytes,
    name: str,
    root: Path,
    class_names: tuple[str, ...] = (),
    labels: ListLabels = "auto",
) -> ImageList:
    """Parse the bytes of a list file; `name` stands for it in errors. See read_list."""
    lines = list(rows(content.split(b"\n"), name))
    layout = find_layout(lines, name, class_names, labels)
    columns = layout.columns
    paths = [row.path(layout, name) for row in lines]
    if not columns:
        return ImageList(paths, None, root)
    if len(paths) * columns > MAX_LABELS:
        raise DataError(
            f"{name}: {counted(len(paths), 'image')} with a label for each of {columns:,} classes "
            f"are too many for memory: expected at most {MAX_LABELS:,} labels"
        )
    digits = [row.digits(layout) for row in lines]
    classes = _Classes(columns)
    deque(map(classes.add, paths, digits), maxlen=0)
    array = np.frombuffer("".join(digits).encode(), np.uint8).reshape(-1, columns) - ord("0")
    return ImageList(paths, array, root, class_names or classes.names())


def file_lines(file: Path) -> Callable[[], Iterator[bytes]]:
    """The lines of a file, opened for each round; raises DataError if it cannot be read."""

    def lines() -> Iterator[bytes]:
        try:
            with open_regular(newest(file)) as content:
                if content.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    for line in io.TextIOWrapper(content, "utf-16", newline="\n"):
                        yield line.encode()
                else:
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
        labels: ListLabels = "auto",
    ) -> None:
        self._lines, self._name, self.root = lines, name, root
        self._layout = find_layout(rows(lines(), name), name, class_names, labels)
        self.columns = self._layout.columns
        self._stats = array("q")  # size and time of each image in turn: 16 bytes per image
        classes = _Classes(self.columns)
        missing: list[tuple[int, str]] = []  # line and path of the first
        missing_count = 0
        for row in rows(lines(), name):
            path = _there(str(root), row.path(self._layout, name))
            classes.add(path, row.digits(self._layout))
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
        for row in rows(self._lines(), self._name):
            path = _there(root, row.path(self._layout, self._name))
            known = next(zip(stats, stats, strict=True), None)  # None: the list has grown since
            labels = _to_labels(row.digits(self._layout)) if self.columns else None
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
        self._folders: dict[int, str] = {}  # by the number of a class
        self._agree = True
        self.single = True  # each image has exactly one label, or none has any

    def add(self, path: str, labels: str) -> None:
        if self._columns:
            self.single &= labels.count("1") == 1
            self._agree &= self.single
            if self._agree:
                folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120
                self._agree = self._folders.setdefault(labels.index("1"), folder) == folder

    def names(self) -> tuple[str, ...]:
        """A name for each class, or none at all."""
        names = [self._folders[key] for key in sorted(self._folders)]
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
    lines: Iterable[str] = (quoted(with_slashes(path)) for path in paths)
    if labels is not None:
        lines = (
            " ".join([line, *map(str, row)])
            for line, row in zip(lines, labels.tolist(), strict=True)
        )
    with atomic_write(file) as out:
        out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def _there(root: str, path: str) -> str:
    """A path as this system takes it, if only so the image is there.

    Programs on Windows write backslashes, others file:// URLs, and people ~/ for their home.
    """
    is_other = "\\" in path or path.startswith(("file://", "~/"))
    if not is_other or regular_stat(os.path.join(root, path)):  # noqa: PTH118
        return path
    if path.startswith("file://"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname  # which takes a while to load

        other = with_slashes(url2pathname(urlsplit(path).path))
    else:
        other = os.path.expanduser(path).replace("\\", "/")  # noqa: PTH111
    return other if regular_stat(os.path.join(root, other)) else path  # noqa: PTH118


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
    if missing == total and not any(path.lower().endswith(IMAGE_ENDS) for _, path in examples):
        line, path = examples[0]
        return DataError(
            f"{name}: expected a list file, with a line per image: its path, then its labels; "
            f"found other text (line {line}: {quote_path(shortened(path, 40))})"
        )
    first = "; ".join(f"line {line}: {quote_path(path)}" for line, path in examples)
    more = ", ..." if missing > len(examples) else ""
    return DataError(
        f"{name}: not there: {missing:,} of {counted(total, 'image')} ({first}{more}). "
        f"Relative paths are taken from {root}{_other_root(examples[0][1], root)}"
    )


def _other_root(path: str, root: Path) -> str:
    """The end of the sentence on missing images: a root under which the image is there."""
    for other in (Path.cwd(), *root.parents):
        if other != root and not Path(path).is_absolute() and os.path.isfile(other / path):  # noqa: PTH113 - never raises
            return f"; this one lies under {other}: move the list there or name that root"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "; the line is not UTF-8: is the list in another encoding?"
    return ""
