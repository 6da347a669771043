"""The images in a .tar or a .zip as they come: no list of them is kept, nothing is unpacked."""

import os
import tarfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO

from bitcodes.errors import ImageError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.item import (
    MAX_MEMBER,
    Item,
    Loaded,
    Member,
    Place,
    Refused,
    extract,
    file_stat,
)

ARCHIVE_SUFFIXES = (*(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
"""Names of files that are taken for archives of images, in lower case."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zlib.error)


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive of images."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_images(path: str) -> Iterator[Item]:
    """The images in an archive on this machine, in its order, each where its bytes are.

    Hidden files, and those without an image's suffix, are left out. Members that lead out of the
    archive, links and devices are refused; where the archive is damaged it ends with a refusal.
    """
    as_of = file_stat(path)

    def place(offset: int, stored: int, size: int, mtime: int, kind: str, crc32: int) -> Place:
        return Member(path, as_of, offset, stored, size, mtime, kind, crc32)

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str
            yield from _images(file, path, place)
    except _DAMAGE as error:
        yield _end(path, error)


def stream_images(file: IO[bytes], name: str) -> Iterator[Item]:
    """The images in an archive that is read from `file`, with their bytes.

    Tars are read from the beginning to the end; a zip has its list at the end, so `file` must seek.
    """

    def read(offset: int, size: int) -> bytes:
        file.seek(offset)
        return file.read(size)

    def place(offset: int, stored: int, size: int, mtime: int, kind: str, crc32: int) -> Place:
        try:
            return Loaded(extract(read, offset, stored, size, kind, crc32), mtime)
        except ImageError as error:
            return Refused(str(error))

    try:
        if name.lower().endswith(".zip"):
            yield from _zip(file, place)
        else:
            yield from _tar_stream(file)
    except _DAMAGE as error:
        yield _end(name, error)


_MakePlace = Callable[[int, int, int, int, str, int], Place]


def _images(file: IO[bytes], name: str, place: _MakePlace) -> Iterator[Item]:
    head = file.read(6)
    file.seek(0)
    if name.lower().endswith(".zip"):
        yield from _zip(file, place)
    elif head.startswith(_COMPRESSED):
        yield from _tar_stream(file)
    else:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            yield from _tar(
                archive,
                lambda entry: place(
                    entry.offset_data, entry.size, entry.size, _mtime(entry), "tar", 0
                ),
            )


def _tar_stream(file: IO[bytes]) -> Iterator[Item]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:

        def place(entry: tarfile.TarInfo) -> Place:
            opened = archive.extractfile(entry)
            assert opened is not None  # a regular file
            return Loaded(opened.read(), _mtime(entry))

        yield from _tar(archive, place)


def _tar(archive: tarfile.TarFile, place: Callable[[tarfile.TarInfo], Place]) -> Iterator[Item]:
    for entry in _entries(archive):
        refusal = _wanted(entry.name)
        if refusal is None or entry.isdir():
            continue
        if not refusal and (not entry.isreg() or entry.issparse()):
            refusal = _LINK
        if not refusal and entry.size > MAX_MEMBER:
            refusal = f"larger than {MAX_MEMBER:,} bytes"
        yield Item(entry.name, Refused(refusal) if refusal else place(entry))


def _entries(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (entry := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # it would keep them all
        yield entry


_LINK = "a link or a special file in an archive, not an image file"


def _wanted(name: str) -> str | None:
    """None: left out; "": an image; else why it is refused."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    if path.is_absolute() or ".." in path.parts:
        return "its name leads out of the archive"
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return None
    return ""


def _mtime(entry: tarfile.TarInfo) -> int:
    """Modification time in ns."""
    seconds = float(entry.mtime)
    whole = int(seconds // 1)
    value = whole * 10**9 + round((seconds - whole) * 1e9)
    return value if -(2**63) <= value < 2**63 else -1


def _end(name: str, error: Exception) -> Item:
    reason = " ".join(str(error).split()) or type(error).__name__
    text = f"the archive cannot be read further: {reason} (damaged, or cut short?)"
    return Item(os.path.basename(name), Refused(text))  # noqa: PTH119 - also of a URL


# -- zip: its list is read as it comes, where zipfile would keep it whole --------------------------


def _zip(file: IO[bytes], place: _MakePlace) -> Iterator[Item]:
    """APPNOTE.TXT, 4.3.12 (central directory), 4.3.14 to 4.3.16 (how it is found)."""
    start, size = _directory(file)
    buffer = b""
    while size > 0 or buffer:
        while size > 0 and len(buffer) < 1 << 18:
            file.seek(start)
            more = file.read(min(size, 1 << 18))
            if not more:
                raise ValueError("its list of members is cut short")
            buffer, start, size = buffer + more, start + len(more), size - len(more)
        used = 0
        while (entry := _entry(buffer, used)) is not None:
            end, name, item = entry
            used = end
            refusal = _wanted(name)
            if refusal is None:
                continue
            flags, method, mtime, crc32, stored, length, offset, mode = item
            if not refusal and mode not in (0, 0o100000):
                refusal = _LINK
            if not refusal and flags & 1:
                refusal = "encrypted in its archive"
            if not refusal and method not in (0, 8):
                refusal = f"compressed in its archive by method {method}, which is not read here"
            if not refusal and length > MAX_MEMBER:
                refusal = f"larger than {MAX_MEMBER:,} bytes"
            if refusal:
                yield Item(name, Refused(refusal))
            else:
                kind = "deflated" if method else "stored"
                yield Item(name, place(offset, stored, length, mtime, kind, crc32))
        if not used:
            raise ValueError("its list of members is damaged")
        buffer = buffer[used:]


_Fields = tuple[int, int, int, int, int, int, int, int]


def _entry(buffer: bytes, at: int) -> tuple[int, str, _Fields] | None:
    """The member whose entry begins at a place: its end, name and fields; None if cut off there."""
    if len(buffer) < at + 46:
        return None
    if buffer[at : at + 4] != b"PK\x01\x02":
        raise ValueError("its list of members is damaged")

    def number(offset: int, size: int) -> int:
        return int.from_bytes(buffer[at + offset : at + offset + size], "little")

    name_end = at + 46 + number(28, 2)
    extra_end = name_end + number(30, 2)
    end = extra_end + number(32, 2)
    if len(buffer) < end:
        return None
    flags, raw = number(8, 2), buffer[at + 46 : name_end]
    name = _decoded(raw, flags)
    stored, size, offset = number(20, 4), number(24, 4), number(42, 4)
    extra = buffer[name_end:extra_end]
    if 0xFFFFFFFF in (stored, size, offset):
        size, stored, offset = _large(extra, size, stored, offset)
    mode = number(38, 4) >> 16 & 0o170000 if buffer[at + 5] == 3 else 0  # made on Unix
    if name.endswith("/"):
        mode = 0o040000
    fields = flags, number(10, 2), _dos_time(number(14, 2), number(12, 2)), number(16, 4)
    return end, name, (*fields, stored, size, offset, mode)


def _decoded(raw: bytes, flags: int) -> str:
    if not flags & 0x800:
        try:
            return raw.decode("utf-8")  # what many programs write without saying so
        except UnicodeDecodeError:
            return raw.decode("cp437")
    return raw.decode("utf-8", "surrogateescape")


def _large(extra: bytes, size: int, stored: int, offset: int) -> tuple[int, int, int]:
    """The numbers that have no room in an entry, from its zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind = int.from_bytes(extra[at : at + 2], "little")
        length = int.from_bytes(extra[at + 2 : at + 4], "little")
        field = extra[at + 4 : at + 4 + length]
        at += 4 + length
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
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise ValueError("it is no zip file, or its end is missing")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    offset = int.from_bytes(tail[at + 16 : at + 20], "little")
    locator = tail[at - 20 : at] if at >= 20 else b""
    if locator.startswith(b"PK\x06\x07"):
        file.seek(int.from_bytes(locator[8:16], "little"))
        record = file.read(56)
        if not record.startswith(b"PK\x06\x06"):
            raise ValueError("its end is damaged")
        size = int.from_bytes(record[40:48], "little")
        offset = int.from_bytes(record[48:56], "little")
    return offset, size
