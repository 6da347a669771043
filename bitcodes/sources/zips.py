"""The list of members at the end of a zip file, read as it comes: zipfile would keep it whole."""

import os
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from bitcodes.errors import ImageError

STORED, DEFLATED = 0, 8
"""Methods of compression."""
_ENCRYPTED, _IS_UTF8 = 1, 0x800  # flags
_CHUNK = 1 << 18


@dataclass(frozen=True)
class ZipEntry:
    """What the list says of a member; `header` is where its local header begins."""

    name: str
    is_regular: bool  # neither a folder nor a link nor a device
    is_encrypted: bool
    method: int
    mtime: int  # in ns, as if the archive's clock had been on UTC
    crc32: int
    stored: int  # bytes in the archive
    size: int
    header: int


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


def data_start(header: bytes, offset: int) -> int:
    """Where the bytes of a member begin, after the 30 bytes of its local header at `offset`."""
    if header[:4] != b"PK\x03\x04":
        raise ImageError("the archive is damaged where it should begin")
    lengths = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))  # name, extra field
    return offset + 30 + sum(lengths)


def _entry(buffer: bytes, start: int) -> tuple[ZipEntry, int] | None:
    """The member whose entry begins at `start`, and the entry's end; None if it is cut off."""
    if len(buffer) < start + 46:
        return None
    if buffer[start : start + 4] != b"PK\x01\x02":
        raise ValueError("its list of members is damaged")

    def number(offset: int, size: int) -> int:
        return int.from_bytes(buffer[start + offset : start + offset + size], "little")

    name_end = start + 46 + number(28, 2)
    extra_end = name_end + number(30, 2)
    end = extra_end + number(32, 2)
    if len(buffer) < end:
        return None
    flags = number(8, 2)
    name = _decode_name(buffer[start + 46 : name_end], flags)
    stored, size, offset = number(20, 4), number(24, 4), number(42, 4)
    if 0xFFFFFFFF in (stored, size, offset):
        size, stored, offset = _large(buffer[name_end:extra_end], size, stored, offset)
    is_unix = buffer[start + 5] == 3
    mode = number(38, 4) >> 16 & 0o170000 if is_unix else 0
    entry = ZipEntry(
        name,
        is_regular=mode in (0, 0o100000) and not name.endswith("/"),
        is_encrypted=bool(flags & _ENCRYPTED),
        method=number(10, 2),
        mtime=_dos_time(number(14, 2), number(12, 2)),
        crc32=number(16, 4),
        stored=stored,
        size=size,
        header=offset,
    )
    return entry, end


def _decode_name(name: bytes, flags: int) -> str:
    if not flags & _IS_UTF8:
        try:
            return name.decode("utf-8")  # what many programs write without saying so
        except UnicodeDecodeError:
            return name.decode("cp437")
    return name.decode("utf-8", "surrogateescape")


def _large(extra: bytes, size: int, stored: int, offset: int) -> tuple[int, int, int]:
    """The numbers that have no room in an entry, from its zip64 field."""
    start = 0
    while start + 4 <= len(extra):
        kind = int.from_bytes(extra[start : start + 2], "little")
        length = int.from_bytes(extra[start + 2 : start + 4], "little")
        field = extra[start + 4 : start + 4 + length]
        start += 4 + length
        if kind != 1:
            continue
        values = [int.from_bytes(field[i : i + 8], "little") for i in range(0, len(field) - 7, 8)]
        numbers = [size, stored, offset]
        for i, value in enumerate(numbers):
            if value == 0xFFFFFFFF and values:
                numbers[i] = values.pop(0)
        return numbers[0], numbers[1], numbers[2]
    return size, stored, offset


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
    size = int.from_bytes(tail[place + 12 : place + 16], "little")
    offset = int.from_bytes(tail[place + 16 : place + 20], "little")
    locator = tail[place - 20 : place] if place >= 20 else b""
    if locator.startswith(b"PK\x06\x07"):
        file.seek(int.from_bytes(locator[8:16], "little"))
        record = file.read(56)
        if not record.startswith(b"PK\x06\x06"):
            raise ValueError("its end is damaged")
        size = int.from_bytes(record[40:48], "little")
        offset = int.from_bytes(record[48:56], "little")
    return offset, size
