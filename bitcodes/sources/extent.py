"""A stretch of an archive, where the bytes of a file lie: as they are, or deflated in a zip."""

import io
import os
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, cast

from bitcodes.errors import ImageError
from bitcodes.sources.item import Decode, Result, Stat

STORED, DEFLATED = 0, 8  # methods of compression in a zip
MAX_BYTES = 2**28
"""Larger files are not read from archives and URLs: few images are that large, but bombs are."""
TOO_LARGE = f"larger than {MAX_BYTES:,} bytes; if it is an image, store it as a file of its own"

_CHUNK = 1 << 16
_SAMPLE = 1 << 15  # bytes at each end of a file that its checksum is of


@dataclass(frozen=True)
class Extent:
    """Where a file's bytes are in an archive, and what it says of them."""

    offset: int  # in a zip, of the local header that comes first
    stored: int  # bytes in the archive
    size: int
    seconds: int  # when the file was changed
    method: int | None = None  # of compression, in a zip
    crc32: int | None = None  # of the file, in a zip

    def read(self, file: IO[bytes], decode: Decode[Result]) -> Result:
        """Decode the file, from its archive; raises ImageError."""
        data = self.stored_bytes(file)
        if self.method == DEFLATED:
            return inflate(data, self.size, self.crc32 or 0, decode)
        if self.method is not None and zlib.crc32(data) != self.crc32:
            raise ImageError(_DAMAGED)
        return decode(data)

    def stored_bytes(self, file: IO[bytes]) -> bytes:
        """What the archive holds of the file, deflated or not; raises ImageError."""
        start = self.offset
        if self.method is not None:
            header = _read(file, start, 30)
            if not header.startswith(b"PK\x03\x04"):
                raise ImageError("the archive is damaged where it should begin")
            start += 30 + sum(struct.unpack_from("<HH", header, 26))  # name, extra field
        return _read(file, start, self.stored)

    def time(self, file: IO[bytes]) -> int:
        """Modification time in ns, see checked_time; raises ImageError."""
        if self.crc32 is not None:
            return checked_time(self.seconds, self.crc32)
        if self.size <= 2 * _SAMPLE:
            return checked_time(self.seconds, checksum(_read(file, self.offset, self.size)))
        first = _read(file, self.offset, _SAMPLE)
        last = _read(file, self.offset + self.size - _SAMPLE, _SAMPLE)
        return checked_time(self.seconds, zlib.crc32(last, zlib.crc32(first)))


_DAMAGED = "damaged in its archive: its size or checksum is another"


class Deflated(NamedTuple):
    """The bytes of a large member of a stream, deflated as in a zip: much may stand for little."""

    data: bytes
    size: int
    crc32: int
    mtime: int

    def stat(self) -> Stat:
        return self.size, self.mtime

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        return inflate(self.data, self.size, self.crc32, decode), self.stat()

    def memory(self) -> int:
        return 2 * self.size


def inflate(data: bytes, size: int, crc32: int, decode: Decode[Result]) -> Result:
    """Decode a deflated file, which is inflated as far as it is read; raises ImageError."""
    inflated = _Inflated(data, size, crc32)
    with cast(io.BufferedReader, io.BufferedReader(inflated, _CHUNK)) as image:
        result = decode(image)
        inflated.check()
    return result


def checksum(data: bytes) -> int:
    """CRC-32 of a file's bytes, of the first and the last where there are many."""
    return zlib.crc32(sample_of(data))


def sample_of(data: bytes) -> bytes:
    """The first and the last bytes of a file, that its checksum is of."""
    return data if len(data) <= 2 * _SAMPLE else data[:_SAMPLE] + data[-_SAMPLE:]


def checked_time(seconds: int, crc32: int) -> int:
    """Modification time in ns of a file in an archive, the fraction of a second from its content.

    So files of equal names, sizes and times are not taken for one another: archives have no finer
    times that mean anything.
    """
    value = seconds * 10**9 + crc32 % 10**9
    return value if -(2**63) <= value < 2**63 else crc32 % 10**9


class _Inflated(io.RawIOBase):
    """A deflated file, inflated as far as it is read: what is no image is known from its beginning.

    Raises ImageError where it is damaged.
    """

    def __init__(self, data: bytes, size: int, crc32: int) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._data, self._taken = data, 0
        self._content = bytearray()
        self._position = 0
        self._size, self._crc32 = size, crc32

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        while len(self._content) < end and (data := self._more()):
            self._content += data
        end = max(self._position, min(end, len(self._content)))
        count = end - self._position
        buffer[:count] = self._content[self._position : end]
        self._position = end
        return count

    def check(self) -> None:
        """Inflate the rest, without keeping it, and raise ImageError unless all is as it was."""
        size, crc32 = len(self._content), zlib.crc32(self._content)
        while size <= self._size and (data := self._more()):
            size, crc32 = size + len(data), zlib.crc32(data, crc32)
        if size != self._size or crc32 != self._crc32:
            raise ImageError(_DAMAGED)

    def _more(self) -> bytes:
        """What comes next, nothing at the end."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._data[self._taken : self._taken + _CHUNK]
                self._taken += len(data)
            try:
                content = self._inflate.decompress(data, _CHUNK)
            except zlib.error as error:
                raise ImageError(f"damaged in its archive: {error}") from None
            if content or not data:
                return content
        return b""


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ImageError("its archive is cut short")
    return data
