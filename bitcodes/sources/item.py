"""One image of a source: its path in the code set, and the place that its bytes come from."""

import os
import stat
from collections.abc import Callable
from io import BufferedReader
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_file

Stat = tuple[int, int]
"""Size in bytes and modification time in ns, as a code set keeps them; -1 where unknown."""
GONE: Stat = (-1, -1)

Result = TypeVar("Result")
Decode = Callable[[bytes | BufferedReader], Result]
"""What becomes of an image's bytes, or of its file, open for reading."""


class Place(Protocol):
    """Where the bytes of an image are. Errors are ImageErrors whose message is the reason."""

    def stat(self) -> Stat:
        """Size and time, which tell whether the image has changed since."""

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        """Decode the image: the result, and the stat of what was decoded.

        Raises ImageError if that fails, or if the image changes meanwhile.
        """

    def memory(self) -> int:
        """The most bytes of memory that reading takes, besides the pixels."""


class Item(NamedTuple):
    """One image of a source."""

    path: str  # in the code set, with forward slashes
    place: Place
    labels: NDArray[np.uint8] | None = None  # (C,)


class File(NamedTuple):
    """A file on this machine; `known` is its stat if it was looked up and is a regular file."""

    path: str
    known: Stat | None = None

    def stat(self) -> Stat:
        return self.known or file_stat(self.path)

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        with open_file(self.path, is_regular=self.known is not None) as file:
            before = stat_of(os.fstat(file.fileno()))
            result = decode(file)
            if stat_of(os.fstat(file.fileno())) != before:
                raise ImageError("it changed while it was being read")
        return result, before

    def memory(self) -> int:
        return 0  # it is read as it is decoded


class Bytes(NamedTuple):
    """The bytes themselves, of a member of a stream."""

    data: bytes
    mtime: int

    def stat(self) -> Stat:
        return len(self.data), self.mtime

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        return decode(self.data), self.stat()

    def memory(self) -> int:
        return 0  # beyond what it holds


class Refused(NamedTuple):
    """Something that is named like an image and is not read, and why."""

    reason: str

    def stat(self) -> Stat:
        return GONE

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        raise ImageError(self.reason)

    def memory(self) -> int:
        return 0


class Damage(Refused):
    """Stands for an archive itself, in place of what cannot be read in it, and says why."""


def stat_of(status: os.stat_result) -> Stat:
    """Size and modification time."""
    return status.st_size, status.st_mtime_ns


def file_stat(path: str | os.PathLike[str]) -> Stat:
    """Size in bytes and modification time in ns; -1 where there is no such file."""
    try:
        return stat_of(os.stat(path))  # noqa: PTH116 - twice as fast
    except (OSError, ValueError):
        return GONE


def regular_stat(path: str) -> Stat | None:
    """The stat of a regular file, or None for a folder, a pipe, or nothing at all."""
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast
    except (OSError, ValueError):
        return None
    return stat_of(status) if stat.S_ISREG(status.st_mode) else None
