"""What a user names to be encoded or searched for: images, folders, lists, archives, URLs."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.archives import archive_images, is_archive
from bitcodes.sources.folders import below, walk_files
from bitcodes.sources.item import File, Item, Remote, file_stat
from bitcodes.sources.lists import ImageList, ListStream, recorded_names, shown, single_labels
from bitcodes.sources.remote import (
    is_remote,
    remote_archive,
    remote_files,
    remote_stat,
    remote_version,
)

LIST_SUFFIXES = frozenset({".list", ".lst", ".txt"})

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, eq=False)
class Source:
    """Images in a fixed order, found anew each time they are gone through.

    `root` is the folder, archive or URL that their paths are relative to. `columns` labels an image
    has, none where 0; `single` tells that exactly one of them is 1. `versions` tells of archives
    which they are, so that they need not be read to see whether they changed.
    """

    root: str
    images: Callable[[], Iterator[Item]]
    class_names: tuple[str, ...] = ()
    columns: int = 0
    single: bool = True
    versions: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Item]:
        return self.images()

    @property
    def count(self) -> int | None:
        """How many images there are; None for archives, which are not read for it."""
        return self._survey[0]

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that decides the rows of a set but the model."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[int | None, str]:
        digest = hashlib.sha256()
        for name in self.class_names:
            digest.update(_bytes(name) + b"\0")
        if self.versions:
            digest.update(_bytes("\0".join(self.versions)))
            return None, digest.hexdigest()
        count = 0
        for item in self.images():
            count += 1
            size, time = item.place.stat()
            digest.update(_bytes(f"{item.path}\0{size} {time}\0"))
            if item.labels is not None:
                digest.update(item.labels.tobytes())
        return count, digest.hexdigest()

    def part(self, number: int, of: int) -> "Source":
        """The number-th (from 1) of `of` parts, equal but for one image, in order.

        Counting the images of archives takes going through them.
        """
        count = self.count
        if count is None:
            count = sum(1 for _ in self)
        start, stop = count * (number - 1) // of, count * number // of
        if start == stop:
            raise DataError(f"part {number} of {of} is empty: there are {count:,} images")
        return _Part(
            self.root,
            lambda: islice(self.images(), start, stop),
            self.class_names,
            self.columns,
            self.single,
            self.versions,
            whole=self,
            length=stop - start,
            name=f"{number}/{of}",
        )


@dataclass(frozen=True, eq=False)
class _Part(Source):
    whole: Source = field(kw_only=True)
    length: int = field(kw_only=True)
    name: str = field(kw_only=True)

    @cached_property
    def _survey(self) -> tuple[int | None, str]:
        return self.length, f"{self.whole.digest} part {self.name}"


def listed(images: ImageList) -> Source:
    """A list in memory as a source."""

    def items() -> Iterator[Item]:
        for i, path in enumerate(images.paths):
            labels = None if images.labels is None else images.labels[i]
            yield Item(path, File(os.path.join(images.root, path)), labels)  # noqa: PTH118

    labels = images.labels
    return Source(
        str(Path(os.path.abspath(images.root))),  # noqa: PTH100 - resolve() would follow links
        items,
        images.class_names,
        0 if labels is None else labels.shape[1],
        labels is None or single_labels(labels) is not None,
    )


def open_stream(
    arguments: Sequence[str], root: Path | None = None, stdin: IO[bytes] | None = None
) -> Source:
    """The images that `arguments` name, in their order.

    Images, folders, list files (.txt), "-" for paths on `stdin`, archives (.zip, .tar and others;
    shards-{0000..0099}.tar stands for a hundred), and URLs of images, folders and archives. A
    single folder, list or archive is its own root; otherwise paths are relative to `root` (default:
    the working folder) where they lie below it. Images in archives go by their paths in there.
    Raises DataError for what is not there, for a folder without images, for a malformed list and
    for labelled and unlabelled sources together.
    """
    if not arguments:
        raise DataError("no images named: expected images, folders, list files, archives or -")
    base = _absolute(Path.cwd() if root is None else root)
    expanded = [_expand(argument) for argument in arguments]
    parts = [_open_one(name, root, base, stdin) for _, names in expanded for name in names]
    if len(parts) == 1:
        return parts[0]
    widths = {part.columns for part in parts}
    if len(widths) > 1:
        found = ", ".join(
            f"{shown(name)} has {part.columns or 'none'}"
            for name, part in zip((n for _, names in expanded for n in names), parts, strict=True)
        )
        raise DataError(f"expected the same number of labels in all sources, found: {found}")
    class_names = {part.class_names for part in parts}
    if len(expanded) == 1:  # shards
        root_name = expanded[0][0]
        root_name = root_name if is_remote(root_name) else str(_absolute(Path(root_name)))
    else:
        root_name = str(base)

    def items() -> Iterator[Item]:
        for part in parts:
            for item in part:
                if part.versions:  # of archives
                    yield item
                else:
                    path = below(os.path.join(part.root, item.path), root_name)  # noqa: PTH118
                    yield item._replace(path=path)

    versions: tuple[str, ...] = ()
    if any(part.versions for part in parts):
        versions = tuple(version for part in parts for version in (part.versions or (part.digest,)))
    return Source(
        root_name,
        items,
        class_names.pop() if len(class_names) == 1 else (),
        widths.pop(),
        all(part.single for part in parts),
        versions,
    )


def open_images(
    arguments: Sequence[str], root: Path | None = None, stdin: IO[bytes] | None = None
) -> ImageList:
    """What open_stream finds, as a list in memory, where it is files: images, folders and lists.

    Raises DataError as open_stream does, and for archives and URLs.
    """
    source = open_stream(arguments, root, stdin)
    paths, labels = [], []
    for item in source:
        if not isinstance(item.place, File):
            raise DataError(
                f"expected images, folders or lists, found an archive or a URL: {shown(item.path)} "
                "is no file of its own; encode it, and name the code set (.npy)"
            )
        paths.append(item.path)
        if item.labels is not None:
            labels.append(item.labels)
    return ImageList(
        paths, np.stack(labels) if labels else None, Path(source.root), source.class_names
    )


def _open_one(argument: str, root: Path | None, base: Path, stdin: IO[bytes] | None) -> Source:
    if argument == "-":
        return _list(_spooled(stdin), "standard input", base, ())
    if is_remote(argument):
        return _open_remote(argument)
    path = Path(argument)
    if path.is_dir():
        source = Source(str(_absolute(path)), lambda: _folder_items(str(_absolute(path))))
        if next(iter(source), None) is None:
            suffixes = " ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(f"no images in the folder {shown(argument)} (looked for {suffixes})")
        return source
    if not os.path.lexists(path):
        raise DataError(f"no such file or folder: {shown(argument)}")
    if path.suffix.lower() in LIST_SUFFIXES:
        names = recorded_names(path.parent)
        list_root = (path.parent if root is None else root).absolute()
        return _list(_file_lines(path), str(path), list_root, names)
    absolute = str(_absolute(path))
    if is_archive(path.name):
        size, time = file_stat(absolute)
        return Source(
            absolute,
            lambda: archive_images(absolute),
            versions=(f"{absolute} {size} {time}",),
        )
    return Source(str(base), lambda: iter([Item(below(absolute, str(base)), File(absolute))]))


def _folder_items(root: str) -> Iterator[Item]:
    for path, is_image in walk_files(root):
        if is_image:
            yield Item(path, File(os.path.join(root, path)))  # noqa: PTH118


def _open_remote(url: str) -> Source:
    if is_archive(url.split("?")[0]):
        return Source(url, lambda: remote_archive(url), versions=(f"{url} {remote_version(url)}",))
    if url.endswith("/"):
        source = Source(url, lambda: remote_files(url))
        if next(iter(source), None) is None:
            raise DataError(f"no images below {url}")
        return source
    folder, _, name = url.rpartition("/")
    known = remote_stat(url)
    return Source(folder, lambda: iter([Item(name, Remote(url, known))]))


def _list(
    lines: Callable[[], Iterable[bytes]], name: str, root: Path, class_names: tuple[str, ...]
) -> Source:
    stream = ListStream(lines, name, root, class_names)

    def items() -> Iterator[Item]:
        for path, labels in stream:
            yield Item(path, File(os.path.join(root, path)), labels)  # noqa: PTH118

    return Source(str(_absolute(root)), items, stream.class_names, stream.columns, stream.single)


def _file_lines(path: Path) -> Callable[[], Iterator[bytes]]:
    def lines() -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                yield from file
        except OSError as error:
            raise DataError(f"cannot read the list file {path}: {error.strerror}") from None

    return lines


def _spooled(stdin: IO[bytes] | None) -> Callable[[], Iterator[bytes]]:
    """Standard input on disk, for it is gone through more than once."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the source is
    while stdin is not None and (data := stdin.read(1 << 20)):
        spool.write(data)

    def lines() -> Iterator[bytes]:
        place = 0
        while True:
            spool.seek(place)  # others may be reading it too
            if not (line := spool.readline()):
                return
            place = spool.tell()
            yield line

    return lines


def _expand(argument: str) -> tuple[str, list[str]]:
    """shards-{0000..0099}.tar -> itself and its hundred names."""
    match = _RANGE.search(argument)
    if match is None or os.path.lexists(argument):
        return argument, [argument]
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise DataError(f"{shown(argument)}: expected a range that ascends, found {match[0]}")
    width = len(match[1])
    head, tail = argument[: match.start()], argument[match.end() :]
    names = [f"{head}{number:0{width}}{tail}" for number in range(first, last + 1)]
    return argument, [name for one in names for name in _expand(one)[1]]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
