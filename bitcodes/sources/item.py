"""Where the bytes of one image are: a file, a member of an archive, memory, or far away."""

import os
import stat
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ImageError

Stat = tuple[int, int]
"""Size in bytes and modification time in ns, as a code set keeps them; -1 where unknown."""
GONE: Stat = (-1, -1)
MAX_MEMBER = 2**30
"""Larger members of archives are refused: no image is that large, but a bomb may be."""

_CHANGED = "it changed while it was being read"


class Place(Protocol):
    """Where an image is. What goes wrong comes as an ImageError with the reason."""

    def stat(self) -> Stat:
        """What tells whether the image has changed since."""

    def load(self) -> str | bytes:
        """What bitcodes.images.open_image reads."""

    def check(self, before: Stat) -> None:
        """Raise ImageError unless it is still as `stat` said before it was loaded."""


class Item(NamedTuple):
    """One image of a source."""

    path: str  # in the code set
    place: Place
    labels: NDArray[np.uint8] | None = None  # (C,)


class File(NamedTuple):
    """A file on this machine."""

    path: str

    def stat(self) -> Stat:
        return file_stat(self.path)

    def load(self) -> str:
        return self.path

    def check(self, before: Stat) -> None:
        if file_stat(self.path) != before:
            raise ImageError(_CHANGED)


class Member(NamedTuple):
    """A stretch of an archive file on this machine: stored, or deflated within a zip."""

    archive: str
    archive_stat: Stat
    offset: int
    stored: int  # bytes in the archive
    size: int
    mtime: int
    kind: str  # "tar", or "stored" or "deflated" in a zip, where a local header comes first
    crc32: int = 0

    def stat(self) -> Stat:
        return self.size, self.mtime

    def load(self) -> bytes:
        self.check(self.stat())
        try:
            opened = _open_archive(self.archive, self.archive_stat)
            return extract(opened.read, self.offset, self.stored, self.size, self.kind, self.crc32)
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None

    def check(self, before: Stat) -> None:
        if file_stat(self.archive) != self.archive_stat:
            raise ImageError("its archive changed while it was being read")


class Loaded(NamedTuple):
    """The bytes themselves, of a member of a stream."""

    data: bytes
    mtime: int

    def stat(self) -> Stat:
        return len(self.data), self.mtime

    def load(self) -> bytes:
        return self.data

    def check(self, before: Stat) -> None:
        pass


class Remote(NamedTuple):
    """A file that fsspec reads."""

    url: str
    known: Stat

    def stat(self) -> Stat:
        return self.known

    def load(self) -> bytes:
        from bitcodes.sources.remote import read_remote

        return read_remote(self.url)

    def check(self, before: Stat) -> None:
        pass


class Refused(NamedTuple):
    """Something that is named like an image and is not read, and why."""

    reason: str

    def stat(self) -> Stat:
        return GONE

    def load(self) -> bytes:
        raise ImageError(self.reason)

    def check(self, before: Stat) -> None:
        pass


def extract(
    read: Callable[[int, int], bytes], offset: int, stored: int, size: int, kind: str, crc32: int
) -> bytes:
    """A member of an archive (see Member), `read(offset, size)` from it; raises ImageError."""
    if kind != "tar":
        head = _all(read, offset, 30)
        if head[:4] != b"PK\x03\x04":
            raise ImageError("the archive is damaged where it should begin")
        offset += 30 + int.from_bytes(head[26:28], "little")
        offset += int.from_bytes(head[28:30], "little")
    data = _all(read, offset, stored)
    if kind == "deflated":
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        except zlib.error as error:
            raise ImageError(f"damaged in its archive: {error}") from None
    if len(data) != size or (kind != "tar" and zlib.crc32(data) != crc32):
        raise ImageError("damaged in its archive: its size or checksum is another")
    return data


def _all(read: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    parts = []
    while size > 0:
        part = read(offset, size)
        if not part:
            raise ImageError("its archive is cut short")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def file_stat(path: str | os.PathLike[str]) -> Stat:
    """Size in bytes and modification time in ns; -1 where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast
    except (OSError, ValueError):
        return GONE
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _open_archive(path: str, as_of: Stat) -> "_Opened":
    return _Opened(path)


class _Opened:
    """A file open for reading, closed when it is forgotten."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise OSError(0, "not a regular file")

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, offset)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
