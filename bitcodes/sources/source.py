"""What a user names to be encoded or searched for: images, folders, lists, archives, URLs."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import IO

import numpy as np

from bitcodes.choices import ListLabels
from bitcodes.errors import DataError
from bitcodes.sources.archives import archive_images, archive_version, is_archive
from bitcodes.sources.description import recorded_names
from bitcodes.sources.folders import folder_images
from bitcodes.sources.item import Damage, File, Item, regular_stat
from bitcodes.sources.left_out import LeftOut
from bitcodes.sources.lists import ImageList, ListStream, file_lines, single_labels
from bitcodes.sources.paths import absolute, below, folder_of, is_remote, joined, quote_path
from bitcodes.sources.ranges import expand
from bitcodes.sources.remote import (
    Remote,
    remote_archive,
    remote_files,
    remote_stat,
    remote_version,
)
from bitcodes.sources.spool import Spool
from bitcodes.wording import counted, shortened

LIST_SUFFIXES = frozenset({".list", ".lst", ".txt"})


@dataclass(frozen=True, eq=False)
class Source:
    """Images in a fixed order, to be gone through any number of times.

    `root` is the folder, archive or URL that their paths are relative to. `columns` is the number
    of labels per image, or 0; `single` says whether exactly one of them is 1. `versions` are those
    of archives, which need not be read then to see whether they have changed. `is_archive`: it is
    one archive, its root. `known` are count and digest where going through the images does not tell
    them. `is_joined`: the user named several, so that the root was not named. `left_out` counts
    what lies beside the images in folders, once these have been gone through.
    """

    root: str
    images: Callable[[], Iterator[Item]]
    class_names: tuple[str, ...] = ()
    columns: int = 0
    single: bool = True
    versions: tuple[str, ...] = ()
    is_archive: bool = False
    is_joined: bool = False
    known: tuple[int, str] | None = None
    left_out: tuple[LeftOut, ...] = ()

    def __iter__(self) -> Iterator[Item]:
        return self.images()

    @property
    def count(self) -> int | None:
        """How many images there are; None for archives, which would have to be read."""
        return self._survey[0]

    @property
    def total(self) -> int:
        """How many images there are; archives are read for it, to count their images."""
        return sum(1 for _ in self) if self.count is None else self.count

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that decides the rows of a code set, except the model."""
        return self._survey[1]

    @property
    def old_digest(self) -> str | None:
        """What `digest` was of one archive before its version had a checksum; None for others."""
        if not self.is_archive or self.known is not None:
            return None
        versions = tuple(version.rpartition(" ")[0] for version in self.versions)
        return replace(self, versions=versions).digest

    @cached_property
    def _survey(self) -> tuple[int | None, str]:
        if self.known is not None:
            return self.known
        digest = hashlib.sha256()

        def update(text: str) -> None:
            digest.update(text.encode("utf-8", "surrogateescape"))

        for name in self.class_names:
            update(f"{name}\0")
        if self.versions:
            update("\0".join(self.versions))
            return None, digest.hexdigest()
        count = 0
        for count, item in enumerate(self, 1):  # noqa: B007
            size, time = item.place.stat()
            update(f"{item.path}\0{size} {time}\0")
            if item.labels is not None:
                digest.update(item.labels.tobytes())
        return count, digest.hexdigest()

    def part(self, number: int, of: int) -> "Source":
        """Part `number`, from 1, of `of` parts that are equal to within one image, in order.

        Archives are read once more for it, to count their images.
        """
        count = self.total
        start, stop = count * (number - 1) // of, count * number // of
        if start == stop:
            raise DataError(f"part {number} of {of} is empty, of {counted(count, 'image')}")
        known = stop - start, f"{self.digest} part {number}/{of}"
        return replace(self, images=lambda: islice(self, start, stop), known=known)

    def rebase(self, base: str | None) -> "Source":
        """The same images with paths relative to the folder `base`, where they lie in it, or
        absolute. An image in an archive lies in the archive: shard.tar/0.jpg.
        """
        if base == self.root:
            return self

        def images() -> Iterator[Item]:
            for item in self:
                if isinstance(item.place, Damage) and self.is_archive:
                    path = self.root
                elif self.is_archive:  # whatever the name is: /0.jpg and ../0.jpg too
                    path = f"{self.root}/{item.path}"
                else:
                    path = joined(self.root, item.path)
                yield item._replace(path=path if base is None else below(path, base))

        return replace(self, root=self.root if base is None else base, images=images)


def to_source(images: ImageList) -> Source:
    """A list in memory as a source."""
    labels, root = images.labels, str(images.root)

    def items() -> Iterator[Item]:
        rows = repeat(None) if labels is None else labels
        for path, row in zip(images.paths, rows, strict=False):
            yield Item(path, File(os.path.join(root, path)), row)  # noqa: PTH118

    if labels is None:
        return Source(absolute(root), items, images.class_names)
    single = single_labels(labels) is not None
    return Source(absolute(root), items, images.class_names, labels.shape[1], single)


def open_stream(
    arguments: Sequence[str],
    root: Path | None = None,
    stdin: IO[bytes] | None = None,
    folder: Path | None = None,
    all_files: bool = False,
    labels: ListLabels = "auto",
) -> Source:
    """The images that `arguments` name, in their order.

    Images, folders, list files (.txt), "-" for paths on `stdin`, archives (.zip, .tar and others;
    shards-{0000..0099}.tar stands for a hundred), and URLs of images, folders and archives. A
    single folder, list or archive is its own root. The images of a single range of names, such as
    shards-{0000..0099}.tar, are relative to its folder. Otherwise paths are relative to `root`
    (default: `folder`, by default the working folder) where they lie below it. An image in an
    archive counts as lying in it, as if the archive were a folder. `all_files` takes hidden files
    and those of systems in folders too (is_system_name). `labels` says what the numbers in lists
    are, where that is open (find_layout).
    Raises DataError for what is not there, for a folder without images, for a malformed list and
    for labelled and unlabelled sources together.
    """
    if not arguments:
        raise DataError("no images named: expected images, folders, list files, archives or -")
    base = absolute((folder or Path.cwd()) if root is None else root)
    names, parts = [], []
    for name in chain.from_iterable(map(expand, arguments)):
        # Here, so that the first that is not there ends this.
        parts.append(_open_one(name, root, base, stdin, all_files, labels))
        names.append(name)
    if len(parts) == 1:
        return parts[0]
    if len(arguments) > 1:
        return _join(names, parts, base)
    shards = arguments[0][: arguments[0].index("{")]  # a range that has been expanded
    return _join(names, parts, folder_of(shards if is_remote(shards) else absolute(shards + "_")))


def open_images(
    arguments: Sequence[str], root: Path | None = None, stdin: IO[bytes] | None = None
) -> ImageList:
    """What open_stream gives, as a list in memory, where it is files: images, folders and lists.

    Raises DataError as open_stream does, and for archives and URLs.
    """
    source = open_stream(arguments, root, stdin)
    paths, labels = [], []
    for item in source:
        if not isinstance(item.place, File):
            raise DataError(
                "expected images, folders or lists, found an archive or a URL: "
                f"{quote_path(item.path)} is no file of its own; encode it, and name the code set "
                "(.npy)"
            )
        paths.append(item.path)
        if item.labels is not None:
            labels.append(item.labels)
    return ImageList(
        paths, np.stack(labels) if labels else None, Path(source.root), source.class_names
    )


def _join(names: Sequence[str], parts: Sequence[Source], root: str) -> Source:
    """Several sources one after the other; `names` stand for them in errors."""
    widths = {part.columns for part in parts}
    if len(widths) > 1:
        numbers = ", ".join(
            f"{quote_path(name)} has {part.columns or 'none'}"
            for name, part in zip(names, parts, strict=True)
        )
        raise DataError(f"expected the same number of labels in all sources, found: {numbers}")
    class_names = {part.class_names for part in parts}
    versions: list[str] = []
    if any(part.versions for part in parts):
        versions = [version for part in parts for version in (part.versions or (part.digest,))]
        versions.insert(0, "paths in their archives")  # sets made otherwise are not up to date
    return Source(
        root,
        lambda: chain.from_iterable(part.rebase(root) for part in parts),
        class_names.pop() if len(class_names) == 1 else (),
        widths.pop(),
        all(part.single for part in parts),
        tuple(versions),
        is_joined=True,
        left_out=tuple(chain.from_iterable(part.left_out for part in parts)),
    )


def _open_one(
    argument: str,
    root: Path | None,
    base: str,
    stdin: IO[bytes] | None,
    all_files: bool,
    labels: ListLabels,
) -> Source:
    if not argument:
        raise DataError("expected the name of an image, a folder, a list or an archive, found none")
    if argument == "-":
        lines = Spool(() if stdin is None else stdin)
        return _list(ListStream(lambda: lines, "standard input", Path(base), (), labels))
    if is_remote(argument):
        return _open_remote(argument)
    path = Path(argument)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        is_folder = False
        if not os.path.lexists(argument):
            where = "" if path.is_absolute() else f" in {shortened(str(Path.cwd()))}"
            name = quote_path(shortened(argument))
            raise DataError(f"no such file or folder: {name}{where}") from None
    full_path = absolute(path)
    if is_folder:
        return _open_folder(argument, full_path, all_files)
    if path.suffix.lower() in LIST_SUFFIXES:
        list_root = (path.parent if root is None else root).absolute()
        names = recorded_names(path)
        return _list(ListStream(file_lines(path), str(path), list_root, names, labels))
    if is_archive(path.name):
        version = archive_version(full_path)
        items = partial(archive_images, full_path)
        return Source(full_path, items, versions=(version,), is_archive=True)
    image = Item(below(full_path, base), File(full_path, regular_stat(full_path)))
    return Source(base, lambda: iter([image]))


def _open_folder(argument: str, root: str, all_files: bool) -> Source:
    left_out = LeftOut()
    source = Source(root, folder_images(root, all_files, left_out), left_out=(left_out,))
    if next(iter(source), None) is None:
        why = left_out.describe() or "looked for names such as .jpg, .png and .heic"
        raise DataError(f"no images in the folder {quote_path(argument)} ({why})")
    return source


def _open_remote(url: str) -> Source:
    if is_archive(url.split("?")[0]):
        version = f"{url} {remote_version(url)}"
        return Source(url, partial(remote_archive, url), versions=(version,), is_archive=True)
    if url.endswith("/"):
        source = Source(url, lambda: remote_files(url))
        if next(iter(source), None) is None:
            raise DataError(f"no images below {url}; expected files such as {url}photo.jpg")
        return source
    folder, _, name = url.rpartition("/")
    image = Item(name, Remote(url, remote_stat(url)))
    return Source(folder, lambda: iter([image]))


def _list(stream: ListStream) -> Source:
    root, names = absolute(stream.root), stream.class_names
    return Source(root, stream.__iter__, names, stream.columns, stream.single)
