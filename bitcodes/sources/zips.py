"""The list of members at the end of a zip file, read as it comes: zipfile would keep it whole."""

import os
import struct
import zlib
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import IO

from bitcodes.errors import ImageError

_STORED, _DEFLATED = 0, 8  # methods of compression
_ENCRYPTED, _IS_UTF8 = 1, 0x800  # flags
_CHUNK = 1 << 18
_UNIX = 3
_LARGE = 0xFFFFFFFF  # the number is in the zip64 field
# Signature, version, system, flags, method, time, date, CRC-32, sizes, the lengths of what follows
# (name, extra field, comment), attributes, and where the member's local header begins.
_ENTRY = struct.Struct("<4sBB2xHHHHIII3H4xII")


@dataclass(frozen=True)
class Extent:
    """A stretch of an archive, where a file's bytes lie: as they are, or deflated in a zip."""

    offset: int  # in a zip, of the local header that comes first
    stored: int  # bytes in the archive
    size: int
    mtime: int  # in ns
    method: int | None = None  # of compression, in a zip
    crc32: int = 0

    def extract(self, file: IO[bytes]) -> bytes:
        """The bytes of the file, from its archive; raises ImageError."""
        start = self.offset
        if self.method is not None:
            header = _read(file, start, 30)
            if not header.startswith(b"PK\x03\x04"):
                raise ImageError("the archive is damaged where it should begin")
            start += 30 + sum(struct.unpack_from("<HH", header, 26))  # name, extra field
        data = _read(file, start, self.stored)
        if self.method == _DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise ImageError(f"damaged in its archive: {error}") from None
        is_sound = self.method is None or zlib.crc32(data) == self.crc32
        if len(data) != self.size or not is_sound:
            raise ImageError("damaged in its archive: its size or checksum is another")
        return data


@dataclass(frozen=True)
class ZipEntry:
    """What the list says of a member; `refusal` is why its bytes cannot be read, if so."""

    name: str
    is_regular: bool  # neither a folder nor a link nor a device
    refusal: str | None
    extent: Extent


def zip_entries(file: IO[bytes]) -> Iterator[ZipEntry]:
    """The members of a zip file, in the order of its list; raises ValueError where it is damaged.

    APPNOTE.TXT, 4.3.12 (central directory), 4.3.14 to 4.3.16 (how it is found).
    """
    start, size = _directory(file)
    buffer = b""
    while size > 0 or buffer:
        while size > 0 and len(buffer) < _CHUNK:
            file.seek(start)
            more = file.read(min(size, _CHUNK))
            if not more:
                raise ValueError("its list of members is cut short")
            buffer, start, size = buffer + more, start + len(more), size - len(more)
        position = 0
        while (parsed := _entry(buffer, position)) is not None:
            entry, position = parsed
            yield entry
        if not position:
            raise ValueError("its list of members is damaged")
        buffer = buffer[position:]


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ImageError("its archive is cut short")
    return data


def _entry(buffer: bytes, start: int) -> tuple[ZipEntry, int] | None:
    """The member whose entry begins at `start`, and the entry's end; None if it is cut off."""
    if len(buffer) < start + _ENTRY.size:
        return None
    magic, _, system, flags, method, time, date, crc32, *sizes, attributes, offset = (
        _ENTRY.unpack_from(buffer, start)
    )
    stored, size, *lengths = sizes
    if magic != b"PK\x01\x02":
        raise ValueError("its list of members is damaged")
    begin, name_end, extra_end, end = accumulate(lengths, initial=start + _ENTRY.size)
    if len(buffer) < end:
        return None
    name = _decode_name(buffer[begin:name_end], flags)
    size, stored, offset = _large(buffer[name_end:extra_end], size, stored, offset)
    mode = attributes >> 16 & 0o170000 if system == _UNIX else 0
    is_regular = mode in (0, 0o100000) and not name.endswith("/")
    refusal = None
    if flags & _ENCRYPTED:
        refusal = "encrypted in its archive"
    elif method not in (_STORED, _DEFLATED):
        refusal = f"compressed in its archive by method {method}, which is not read here"
    extent = Extent(offset, stored, size, _dos_time(date, time), method, crc32)
    return ZipEntry(name, is_regular, refusal, extent), end


def _decode_name(name: bytes, flags: int) -> str:
    if not flags & _IS_UTF8:
        try:
            return name.decode("utf-8")  # what many programs write without saying so
        except UnicodeDecodeError:
            return name.decode("cp437")
    return name.decode("utf-8", "surrogateescape")


def _large(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Size, stored size and offset: those with no room in an entry are in its zip64 field."""
    while _LARGE in numbers and len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 1:
            values = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
            return tuple(next(values, each) if each == _LARGE else each for each in numbers)
    return numbers


def _dos_time(date: int, time: int) -> int:
    """Modification time in ns, as if the archive's clock had been on UTC."""
    day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    return timegm((*day, time >> 11, time >> 5 & 63, (time & 31) * 2)) * 10**9


def _directory(file: IO[bytes]) -> tuple[int, int]:
    """Where the list of members is, and its length in bytes."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - 65557)  # the longest comment there may be
    file.seek(start)
    tail = file.read(end - start)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        raise ValueError("it is no zip file, or its end is missing")
    size, offset = struct.unpack_from("<II", tail, place + 12)
    locator = tail[place - 20 : place] if place >= 20 else b""
    if locator.startswith(b"PK\x06\x07"):
        file.seek(*struct.unpack_from("<Q", locator, 8))
        record = file.read(56)
        if len(record) < 56 or not record.startswith(b"PK\x06\x06"):
            raise ValueError("its end is damaged")
        size, offset = struct.unpack_from("<QQ", record, 40)
    return offset, size
