"""The members of a zip file as they come: from its list, and where that is damaged without it.

zipfile would keep the whole list. Source: APPNOTE.TXT, 4.3.7 (local headers), 4.3.9 (what follows
the bytes), 4.3.12 (the list), 4.3.14 to 4.3.16 (where it is).
"""

import os
import struct
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import IO, NamedTuple

from bitcodes.sources.extent import DEFLATED, STORED, Extent
from bitcodes.wording import counted

_ENCRYPTED, _IS_BEHIND, _IS_UTF8 = 1, 8, 0x800  # flags; behind: its sizes come after its bytes
_CHUNK = 1 << 18
_UNIX = 3
_WITH_BACKSLASHES = (0, 10, 11, 14)  # systems: DOS, NTFS, MVS, VFAT
_LARGE = 0xFFFFFFFF  # the number is in the zip64 field
_MAX_SEARCHES = 10  # to the end of the file, for what follows the bytes of a member
_RATIO = 1032  # no deflated byte stands for more
# Signature, system, flags, method, time, date, CRC-32, sizes, the lengths of what follows (name,
# extra field, comment), attributes, and where the member's local header begins.
_ENTRY = struct.Struct("<4sxB2xHHHHIII3H4xII")
# Signature, flags, method, time, date, CRC-32, sizes, the lengths of name and extra field.
_LOCAL = struct.Struct("<4s2xHHHHIIIHH")
_LOCAL_MAGIC, _ENTRY_MAGIC, _BEHIND_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"


@dataclass(frozen=True)
class ZipEntry:
    """What is said of a member; `refusal` is why its bytes cannot be read, if so."""

    name: str
    is_folder: bool
    is_regular: bool  # neither a folder nor a link nor a device
    refusal: str | None
    extent: Extent


class _List(NamedTuple):
    """Where the list of members is."""

    start: int
    size: int
    length: int  # how many members it has
    shift: int  # bytes before the archive, such as a program that unpacks it


def zip_entries(file: IO[bytes]) -> Iterator[ZipEntry | str]:
    """The members of a zip file, and sentences that say where it is damaged or ends early.

    They come in the order of its list. Those that it does not give come in the order of the file.
    """
    end = file.seek(0, os.SEEK_END)
    position = claimed = count = 0
    try:
        members = _find_list(file, end)
        position = members.shift
        for entry in _listed(file, members):
            entry = _checked(entry, end)
            position = max(position, entry.extent.offset + 1)
            count += 1
            claimed += 0 if entry.refusal else entry.extent.stored
            if claimed > end:
                yield "its members overlap, as in an archive that is made to fill a disk"
                return
            yield entry
        if (count - members.length) % 2**16:
            yield f"its list has {counted(count, 'member')}, not {members.length:,}"
    except ValueError as error:
        yield str(error)
        yield from _unlisted(file, position, end)


def _listed(file: IO[bytes], members: _List) -> Iterator[ZipEntry]:
    """The members in the list; raises ValueError where it is damaged."""
    start, size = members.start, members.size
    buffer = b""
    while size > 0 or buffer:
        while size > 0 and len(buffer) < _CHUNK:
            file.seek(start)
            more = file.read(min(size, _CHUNK))
            if not more:
                raise ValueError("its list of members is cut short")
            buffer, start, size = buffer + more, start + len(more), size - len(more)
        position = 0
        while (parsed := _entry(buffer, position, members.shift)) is not None:
            entry, position = parsed
            yield entry
        if not position:
            raise ValueError("its list of members is damaged")
        buffer = buffer[position:]


def _entry(buffer: bytes, start: int, shift: int) -> tuple[ZipEntry, int] | None:
    """The member whose entry begins at `start`, and the entry's end; None if it is cut off."""
    if len(buffer) < start + _ENTRY.size:
        return None
    magic, system, flags, method, time, date, crc32, *sizes, attributes, offset = (
        _ENTRY.unpack_from(buffer, start)
    )
    stored, size, *lengths = sizes
    if magic != _ENTRY_MAGIC:
        raise ValueError("its list of members is damaged")
    begin, name_end, extra_end, end = accumulate(lengths, initial=start + _ENTRY.size)
    if len(buffer) < end:
        return None
    name = _decode_name(buffer[begin:name_end], flags)
    if system in _WITH_BACKSLASHES:
        name = name.replace("\\", "/")
    size, stored, offset = _large(buffer[name_end:extra_end], size, stored, offset)
    extent = Extent(offset + shift, stored, size, _dos_time(date, time), method, crc32)
    mode = attributes >> 16 & 0o170000 if system == _UNIX else 0
    is_regular = mode in (0, 0o100000) and not name.endswith("/")
    return ZipEntry(name, name.endswith("/"), is_regular, _refusal(flags, method), extent), end


def _refusal(flags: int, method: int) -> str | None:
    if flags & _ENCRYPTED:
        return "encrypted in its archive"
    if method not in (STORED, DEFLATED):
        return f"compressed in its archive by method {method}, which is not read here"
    return None


def _checked(entry: ZipEntry, end: int) -> ZipEntry:
    """Refuse a member whose sizes cannot be true, in an archive of `end` bytes."""
    extent = entry.extent
    if entry.refusal is None and extent.offset + _LOCAL.size + extent.stored > end:
        return replace(entry, refusal="its archive ends before it does, or lies about its size")
    most = extent.stored * _RATIO if extent.method == DEFLATED else extent.stored
    if entry.refusal is None and extent.size > most:
        return replace(entry, refusal="its archive lies about its size")
    return entry


def _decode_name(name: bytes, flags: int) -> str:
    name = name.split(b"\0")[0]
    if not flags & _IS_UTF8:
        try:
            return name.decode("utf-8")  # what many programs write without saying so
        except UnicodeDecodeError:
            return name.decode("cp437")
    return name.decode("utf-8", "surrogateescape")


def _large(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Size, stored size and offset: those with no room in an entry are in its zip64 field."""
    start = 0
    while _LARGE in numbers and start + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, start)
        start += 4 + length
        if kind == 1:
            field = extra[start - length : start]
            values = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
            return tuple(next(values, each) if each == _LARGE else each for each in numbers)
    return numbers


def _dos_time(date: int, time: int) -> int:
    """Modification time in seconds, as if the archive's clock had been on UTC; 0 for no date."""
    day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    if not 1 <= day[1] <= 12:
        return 0
    return timegm((*day, time >> 11, time >> 5 & 63, (time & 31) * 2))


def _find_list(file: IO[bytes], end: int) -> _List:
    """Where the list of members is; raises ValueError if it is not found."""
    start = max(0, end - 65557)  # the longest comment there may be
    file.seek(start)
    tail = file.read(end - start)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        raise ValueError("it is no zip file, or its end is missing: it may be cut short")
    count, size, offset = struct.unpack_from("<HII", tail, place + 10)
    stop = start + place
    locator = tail[place - 20 : place] if place >= 20 else b""
    if locator.startswith(b"PK\x06\x07"):
        (record_place,) = struct.unpack_from("<Q", locator, 8)
        stop, record = _large_end(file, record_place, stop - 20)
        count, size, offset = struct.unpack_from("<QQQ", record, 32)
    shift = stop - size - offset
    if shift < 0:
        raise ValueError("its list of members is cut short, or is not where its end says")
    return _List(offset + shift, size, count, shift)


def _large_end(file: IO[bytes], said: int, locator: int) -> tuple[int, bytes]:
    """The end of a large archive, and where it is: as it is said, or right before what says so."""
    for place in (said, locator - 56):
        if 0 <= place <= locator - 56:
            file.seek(place)
            record = file.read(56)
            if record.startswith(b"PK\x06\x06"):
                return place, record
    raise ValueError("its end is damaged")


# -- without the list ------------------------------------------------------------------------------


def _unlisted(file: IO[bytes], position: int, end: int) -> Iterator[ZipEntry]:
    """The members from `position` on, by the headers before their bytes."""
    finder = _Finder(file, end)
    searches = _MAX_SEARCHES
    while (found := finder.find(_LOCAL_MAGIC, position)) is not None:
        position = found
        file.seek(position)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size:
            return
        _, flags, method, time, date, crc32, stored, size, *lengths = _LOCAL.unpack(head)
        name = _decode_name(file.read(lengths[0]), flags)
        size, stored = _large(file.read(lengths[1]), size, stored)
        start = position + _LOCAL.size + sum(lengths)
        if flags & _IS_BEHIND and not stored:
            numbers = _behind(finder, start) if searches else None
            searches -= numbers is None and searches > 0
            crc32, stored, size = numbers or (0, end - start + 1, 0)  # it is cut short
        extent = Extent(position, stored, size, _dos_time(date, time), method, crc32)
        is_folder = name.endswith("/")
        entry = ZipEntry(name, is_folder, not is_folder, _refusal(flags, method), extent)
        yield _checked(entry, end)
        position = start + stored if start + stored <= end else start


def _behind(finder: "_Finder", start: int) -> tuple[int, int, int] | None:
    """Checksum, stored size and size of the bytes that begin at `start`, from what follows them."""
    place = start
    while (found := finder.find(_BEHIND_MAGIC, place)) is not None:
        data = finder.read(found, 24).ljust(24, b"\0")
        for layout in ("<4xIII", "<4xIQQ"):
            crc32, stored, size = struct.unpack_from(layout, data)
            if stored == found - start:
                return crc32, stored, size
        place = found + 1
    return None


class _Finder:
    """Looks for bytes in a file of `end` bytes, of which it keeps the last that it has read."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end
        self._start, self._chunk = 0, b""

    def read(self, start: int, count: int) -> bytes:
        """Bytes of the file, fewer only at its end."""
        place = start - self._start
        if not 0 <= place <= len(self._chunk) - count:
            self._file.seek(start)
            self._start, self._chunk, place = start, self._file.read(max(count, _CHUNK)), 0
        return self._chunk[place : place + count]

    def find(self, pattern: bytes, start: int) -> int | None:
        """Where `pattern` comes next."""
        while start < self._end:
            if not self.read(start, len(pattern)):
                return None
            place = self._chunk.find(pattern, start - self._start)
            if place >= 0:
                return self._start + place
            following = self._start + len(self._chunk) - len(pattern) + 1
            if following <= start:
                return None
            start = following
        return None
