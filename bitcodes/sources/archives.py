"""The images in a .tar or a .zip as they come: no list of them is kept, nothing is unpacked."""

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import PurePosixPath
from threading import get_ident
from typing import IO, NamedTuple

from bitcodes.errors import ImageError
from bitcodes.images.decode import IMAGE_SUFFIXES, open_file
from bitcodes.sources.item import (
    Bytes,
    Damage,
    Decode,
    Item,
    Place,
    Refused,
    Result,
    Stat,
    file_stat,
    stat_of,
)
from bitcodes.sources.zips import Extent, zip_entries

ARCHIVE_SUFFIXES = (*(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
"""Names of files that are taken for archives of images, in lower case."""
MAX_BYTES = 2**30
"""Larger files in archives are refused: no image is that large, but a bomb may be."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zlib.error)
_LINK = "a link or a special file in an archive, not an image file"
_TOO_LARGE = f"larger than {MAX_BYTES:,} bytes"


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive of images."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_images(path: str) -> Iterator[Item]:
    """The images in an archive on this machine, in its order, each where its bytes are.

    Hidden files, and those without an image's suffix, are left out. Files whose names lead out of
    the archive, links and devices are refused. Where the archive is damaged it ends with a refusal.
    """
    version = file_stat(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str
            is_stream = file.read(6).startswith(_COMPRESSED)
            file.seek(0)
            place = partial(ArchivedFile, path, version)
            yield from _images(file, path, place, is_stream)
    except _DAMAGE as error:
        yield _damage(path, error)


def stream_images(file: IO[bytes], name: str) -> Iterator[Item]:
    """The images in an archive that is read from `file`, with their bytes.

    Tars are read from the beginning to the end; a zip has its list at the end, so `file` must seek.
    """

    def place(extent: Extent) -> Place:
        try:
            return Bytes(extent.extract(file), extent.mtime)
        except ImageError as error:
            return Refused(str(error))

    try:
        yield from _images(file, name, place, is_stream=True)
    except _DAMAGE as error:
        yield _damage(name, error)


class ArchivedFile(NamedTuple):
    """A file within an archive on this machine, which was as `version` says when it was listed."""

    archive: str
    version: Stat
    extent: Extent

    def stat(self) -> Stat:
        return self.extent.size, self.extent.mtime

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        try:
            file = _open_archive(self.archive, self.version, (os.getpid(), get_ident())).file
        except ImageError as error:
            raise ImageError(f"its archive cannot be read: {error}") from None
        try:
            data = self.extent.extract(file)
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None
        finally:
            if stat_of(os.fstat(file.fileno())) != self.version:
                raise ImageError("its archive changed while it was being read")
        return decode(data), self.stat()


@lru_cache(maxsize=4)
def _open_archive(path: str, version: Stat, user: tuple[int, int]) -> "_Archive":
    """An archive, opened once by each user: a process and thread, with a position of its own."""
    return _Archive(open_file(path))


class _Archive:
    """An open file, closed when it is forgotten."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __del__(self) -> None:
        self.file.close()


def _images(
    file: IO[bytes], name: str, place: Callable[[Extent], Place], is_stream: bool
) -> Iterator[Item]:
    """The images of an archive; those of a tar that is read as a stream come with their bytes."""
    if name.lower().endswith(".zip"):
        for member in zip_entries(file):
            if _is_image(member.name):
                refusal = _refusal(member.name, member.is_regular, member.extent.size)
                refusal = refusal or member.refusal
                yield Item(member.name, Refused(refusal) if refusal else place(member.extent))
        return
    with tarfile.open(fileobj=file, mode="r|*" if is_stream else "r:") as archive:
        while (entry := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] # it would keep them all
            if not _is_image(entry.name) or entry.isdir():
                continue
            refusal = _refusal(entry.name, entry.isreg() and not entry.issparse(), entry.size)
            if refusal:
                yield Item(entry.name, Refused(refusal))
            elif is_stream:
                content = archive.extractfile(entry)
                assert content is not None  # a regular file
                yield Item(entry.name, Bytes(content.read(), _mtime(entry)))
            else:
                extent = Extent(entry.offset_data, entry.size, entry.size, _mtime(entry))
                yield Item(entry.name, place(extent))


def _is_image(name: str) -> bool:
    """Whether a file in an archive is taken for an image, by its name; hidden ones are not."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    return _leads_out(path) or not any(
        part.startswith(".") or part == "__MACOSX" for part in path.parts
    )


def _leads_out(path: PurePosixPath) -> bool:
    return path.is_absolute() or ".." in path.parts


def _refusal(name: str, is_regular: bool, size: int) -> str | None:
    """Why a file in an archive is not read, if so."""
    if _leads_out(PurePosixPath(name)):
        return "its name leads out of the archive"
    if not is_regular:
        return _LINK
    return _TOO_LARGE if size > MAX_BYTES else None


def _mtime(entry: tarfile.TarInfo) -> int:
    """Modification time in ns."""
    seconds = float(entry.mtime)
    whole = int(seconds // 1)
    value = whole * 10**9 + round((seconds - whole) * 1e9)
    return value if -(2**63) <= value < 2**63 else -1


def _damage(name: str, error: Exception) -> Item:
    """What stands where an archive cannot be read further."""
    reason = " ".join(str(error).split()) or type(error).__name__
    text = f"the archive cannot be read further: {reason} (damaged, or cut short?)"
    return Item(os.path.basename(name), Damage(text))  # noqa: PTH119 - also of a URL
