"""The images in a .tar or a .zip as they come: no list of them is kept, nothing is unpacked."""

import os
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from bitcodes.errors import ImageError
from bitcodes.images.decode import IMAGE_SUFFIXES, open_file
from bitcodes.sources.item import (
    Bytes,
    Decode,
    Item,
    Place,
    Refused,
    Result,
    Stat,
    file_stat,
    stat_of,
)
from bitcodes.sources.zips import DEFLATED, STORED, ZipEntry, data_start, zip_entries

ARCHIVE_SUFFIXES = (*(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
"""Names of files that are taken for archives of images, in lower case."""
MAX_BYTES = 2**30
"""Larger files in archives are refused: no image is that large, but a bomb may be."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zlib.error)
_LINK = "a link or a special file in an archive, not an image file"
_TOO_LARGE = f"larger than {MAX_BYTES:,} bytes"

_Read = Callable[[int, int], bytes]  # offset and size to bytes


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive of images."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_images(path: str) -> Iterator[Item]:
    """The images in an archive on this machine, in its order, each where its bytes are.

    Hidden files, and those without an image's suffix, are left out. Files whose names lead out of
    the archive, links and devices are refused. Where the archive is damaged it ends with a refusal.
    """
    version = file_stat(path)

    def place(extent: "_Extent") -> Place:
        return ArchivedFile(path, version, extent)

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str
            head = file.read(6)
            file.seek(0)
            if path.lower().endswith(".zip"):
                yield from _zip(file, place)
            elif head.startswith(_COMPRESSED):
                yield from _tar_stream(file)
            else:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    yield from _tar(archive, lambda entry: place(_tar_extent(entry)))
    except _DAMAGE as error:
        yield _damage(path, error)


def stream_images(file: IO[bytes], name: str) -> Iterator[Item]:
    """The images in an archive that is read from `file`, with their bytes.

    Tars are read from the beginning to the end; a zip has its list at the end, so `file` must seek.
    """

    def read(offset: int, size: int) -> bytes:
        file.seek(offset)
        return file.read(size)

    def place(extent: "_Extent") -> Place:
        try:
            return Bytes(extent.extract(read), extent.mtime)
        except ImageError as error:
            return Refused(str(error))

    try:
        if name.lower().endswith(".zip"):
            yield from _zip(file, place)
        else:
            yield from _tar_stream(file)
    except _DAMAGE as error:
        yield _damage(name, error)


class ArchivedFile(NamedTuple):
    """A file within an archive on this machine, which was as `version` says when it was listed."""

    archive: str
    version: Stat
    extent: "_Extent"

    def stat(self) -> Stat:
        return self.extent.size, self.extent.mtime

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        try:
            archive = _open_archive(self.archive, self.version)
            try:
                data = self.extent.extract(archive.read)
            finally:
                if archive.stat() != self.version:
                    raise ImageError("its archive changed while it was being read")
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None
        return decode(data), self.stat()


@dataclass(frozen=True)
class _Extent:
    """A stretch of an archive, where a file's bytes lie: as they are, or deflated in a zip."""

    offset: int  # in a zip, of the local header that comes first
    stored: int  # bytes in the archive
    size: int
    mtime: int
    method: int | None = None  # of compression, in a zip
    crc32: int = 0

    def extract(self, read: _Read) -> bytes:
        """The bytes of the file; raises ImageError."""
        start = self.offset
        if self.method is not None:
            start = data_start(_read_all(read, self.offset, 30), self.offset)
        data = _read_all(read, start, self.stored)
        if self.method == DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise ImageError(f"damaged in its archive: {error}") from None
        is_sound = self.method is None or zlib.crc32(data) == self.crc32
        if len(data) != self.size or not is_sound:
            raise ImageError("damaged in its archive: its size or checksum is another")
        return data


def _read_all(read: _Read, offset: int, size: int) -> bytes:
    parts = []
    while size > 0:
        part = read(offset, size)
        if not part:
            raise ImageError("its archive is cut short")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


@lru_cache(maxsize=4)
def _open_archive(path: str, version: Stat) -> "_Archive":
    return _Archive(path)


class _Archive:
    """An archive file open for reading, closed when it is forgotten."""

    def __init__(self, path: str) -> None:
        try:
            self._file = open_file(path)
        except ImageError as error:
            raise ImageError(f"its archive cannot be read: {error}") from None
        self._lock = threading.Lock()

    def stat(self) -> Stat:
        return stat_of(os.fstat(self._file.fileno()))

    def read(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):  # forked processes share one position in the file
            return os.pread(self._file.fileno(), size, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def _tar_stream(file: IO[bytes]) -> Iterator[Item]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:

        def place(entry: tarfile.TarInfo) -> Place:
            content = archive.extractfile(entry)
            assert content is not None  # a regular file
            return Bytes(content.read(), _mtime(entry))

        yield from _tar(archive, place)


def _tar(archive: tarfile.TarFile, place: Callable[[tarfile.TarInfo], Place]) -> Iterator[Item]:
    for entry in _tar_entries(archive):
        if not _is_image(entry.name) or entry.isdir():
            continue
        refusal = _refusal(entry.name, entry.isreg() and not entry.issparse(), entry.size)
        yield Item(entry.name, Refused(refusal) if refusal else place(entry))


def _tar_entries(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (entry := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # it would keep them all
        yield entry


def _tar_extent(entry: tarfile.TarInfo) -> _Extent:
    return _Extent(entry.offset_data, entry.size, entry.size, _mtime(entry))


def _zip(file: IO[bytes], place: Callable[[_Extent], Place]) -> Iterator[Item]:
    for entry in zip_entries(file):
        if _is_image(entry.name):
            refusal = _refusal(entry.name, entry.is_regular, entry.size) or _zip_refusal(entry)
            yield Item(entry.name, Refused(refusal) if refusal else place(_zip_extent(entry)))


def _zip_extent(entry: ZipEntry) -> _Extent:
    return _Extent(
        *(entry.header, entry.stored, entry.size, entry.mtime, entry.method, entry.crc32)
    )


def _zip_refusal(entry: ZipEntry) -> str | None:
    if entry.is_encrypted:
        return "encrypted in its archive"
    if entry.method not in (STORED, DEFLATED):
        return f"compressed in its archive by method {entry.method}, which is not read here"
    return None


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
    return Item(os.path.basename(name), Refused(text))  # noqa: PTH119 - also of a URL
