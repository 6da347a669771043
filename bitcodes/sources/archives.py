"""The images in a .tar or a .zip as they come: no list of them is kept, nothing is unpacked."""

import io
import lzma
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import PurePosixPath
from threading import get_ident
from typing import IO, NamedTuple

from bitcodes.errors import DataError, ImageError
from bitcodes.files import open_regular
from bitcodes.images.decode import IMAGE_SUFFIXES, open_file
from bitcodes.sources.extent import (
    DEFLATED,
    MAX_BYTES,
    TOO_LARGE,
    Deflated,
    Extent,
    checked_time,
    checksum,
    sample_of,
)
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
from bitcodes.sources.system_names import is_system_path
from bitcodes.sources.tape import Tape, decompressed
from bitcodes.sources.tars import TarEntry, tar_entries
from bitcodes.sources.zips import zip_entries

_ZIP_SUFFIXES = (".zip", ".cbz", ".exe")
_TAR_SUFFIXES = (*(".tar", ".cbt", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
ARCHIVE_SUFFIXES = (*_ZIP_SUFFIXES, *_TAR_SUFFIXES)
"""Names of files that are taken for archives of images, in lower case: comics and programs that
unpack themselves too."""

_DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError)
_LINK = "a link or a special file in an archive, not an image file"
_MAX_DAMAGES = 10
"""Places where an archive is damaged that are said: all of a file may look like that."""
_SAMPLE, _SAMPLES = 1 << 16, 16  # bytes, and places, by which an archive is known again
_LARGE = 1 << 24
"""Members of streams beyond this size, in bytes, are held deflated until they are read."""
_CHUNK = 1 << 20
_MAX_SUFFIXES, _SUFFIXES_NAMED = 1000, 5


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive of images."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_images(path: str) -> Iterator[Item]:
    """The images in an archive on this machine, in its order, each where its bytes are.

    Folders, hidden files, and files without an image's suffix are left out. Files whose names lead
    out of the archive, links and devices are refused. Where the archive is damaged, ends early or
    has no images, an item with a Damage says so.
    """
    yield from _images(archive_members(path), path)


def archive_members(path: str) -> "Iterator[Member | str]":
    """All members of an archive on this machine, and sentences that say where it is damaged."""
    version = file_stat(path)
    try:
        with open_file(path) as file:
            yield from _members(file, version[0], path, partial(ArchivedFile, path, version))
    except ImageError as error:
        yield str(error)
    except _DAMAGE as error:
        yield _cut(error)


def archive_version(path: str) -> str:
    """What tells whether an archive on this machine has changed: its size, its time, its bytes.

    All bytes of a small one; of a larger one those at the end, where a zip has the checksums of its
    members, and some between. Raises DataError if it cannot be read.
    """
    try:
        with open_regular(path) as file:
            size, time = stat_of(os.fstat(file.fileno()))
            step = max(_SAMPLE, size // _SAMPLES)
            crc32 = 0
            for place in [*range(0, size, step), max(0, size - _SAMPLE)]:
                file.seek(place)
                crc32 = zlib.crc32(file.read(_SAMPLE), crc32)
    except OSError as error:
        raise DataError(f"cannot read the archive {path}: {error.strerror}") from None
    return f"{path} {size} {time} {crc32:08x}"


def stream_images(file: IO[bytes], name: str) -> Iterator[Item]:
    """The images in an archive that is read from `file`, with their bytes.

    Tars are read from the beginning to the end; a zip has its list at the end, so `file` must seek.
    """

    def place(extent: Extent) -> Place:
        try:
            if extent.size > _LARGE and extent.method == DEFLATED:
                stored, crc32 = extent.stored_bytes(file), extent.crc32 or 0
                return Deflated(stored, extent.size, crc32, extent.time(file))
            return Bytes(extent.read(file, _whole), extent.time(file))
        except ImageError as error:
            return Refused(str(error))

    def members() -> Iterator[Member | str]:
        try:
            yield from _members(file, None, name, place)
        except _DAMAGE as error:
            yield _cut(error)

    yield from _images(members(), name)


class ArchivedFile(NamedTuple):
    """A file within an archive on this machine, which was as `version` says when it was listed."""

    archive: str
    version: Stat
    extent: Extent

    def stat(self) -> Stat:
        try:
            return self.extent.size, self.extent.time(self._open())
        except (ImageError, OSError):
            return self.extent.size, -1

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        file = self._open()
        try:
            result = self.extent.read(file, decode)
            stat = self.extent.size, self.extent.time(file)
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None
        finally:
            if stat_of(os.fstat(file.fileno())) != self.version:
                raise ImageError("its archive changed while it was being read")
        return result, stat

    def memory(self) -> int:
        return self.extent.stored + 2 * self.extent.size

    def _open(self) -> IO[bytes]:
        try:
            return _open_archive(self.archive, self.version, (os.getpid(), get_ident())).file
        except ImageError as error:
            raise ImageError(f"its archive cannot be read: {error}") from None


def _whole(image: "bytes | io.BufferedReader") -> bytes:
    return image if isinstance(image, bytes) else image.read()


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


def _images(members: "Iterator[Member | str]", name: str) -> Iterator[Item]:
    """The members of an archive that are taken for images, and what is to be said of it."""
    contents = _Contents()
    for member in members:
        if isinstance(member, str):
            contents.damages += 1
            if contents.damages <= _MAX_DAMAGES:
                yield _damage(name, member)
        elif contents.add(member):
            yield Item(member.name, Refused(member.refusal) if member.refusal else member.place())
    if not contents.images and not contents.damages:
        yield _damage(name, f"no images in it: {contents.describe()}")


def _members(
    file: IO[bytes], size: int | None, name: str, place: Callable[[Extent], Place]
) -> "Iterator[Member | str]":
    """The members of an archive, of `size` bytes where it is no stream."""
    read = _zip_members if _is_zip(file, size, name) else _tar_members
    return read(file, size, place)


def _is_zip(file: IO[bytes], size: int | None, name: str) -> bool:
    """Whether to read a zip: a file on this machine is looked at, as names may be wrong."""
    is_named_zip = name.split("?")[0].lower().endswith(_ZIP_SUFFIXES)
    if size is None:
        return is_named_zip
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK"):
        return True
    tape = Tape(file, size)
    is_tar = head[257:262] == b"ustar" or decompressed(tape) is not None
    return is_named_zip and not is_tar


class Member(NamedTuple):
    """A member of an archive; call `place` before you ask for the next, if you read it.

    `refusal` says why it is not read, if so.
    """

    name: str
    is_folder: bool
    refusal: str | None
    place: Callable[[], Place]


def _zip_members(
    file: IO[bytes], size: int | None, place: Callable[[Extent], Place]
) -> Iterator[Member | str]:
    for entry in zip_entries(file):
        if isinstance(entry, str):
            yield entry
            continue
        refusal = _refusal(entry.name, entry.is_regular, entry.extent.size)
        refusal = (
            refusal or entry.refusal or (TOO_LARGE if entry.extent.stored > MAX_BYTES else None)
        )
        yield Member(entry.name, entry.is_folder, refusal, partial(place, entry.extent))


def _tar_members(
    file: IO[bytes], size: int | None, place: Callable[[Extent], Place]
) -> Iterator[Member | str]:
    tape = Tape(file, size)
    tape = decompressed(tape) or tape
    for entry in tar_entries(tape):
        if isinstance(entry, str):
            yield entry
            continue
        refusal = _refusal(entry.name, entry.is_regular, entry.size)
        if tape.size is None:
            read = partial(_stream_place, tape, entry)
        else:
            extent = Extent(entry.offset, entry.size, entry.size, entry.seconds)
            read = partial(place, extent)
            if entry.offset + entry.size > tape.size:
                refusal = refusal or "its archive ends before it does"
        yield Member(entry.name, entry.is_folder, refusal, read)


def _stream_place(tape: Tape, entry: TarEntry) -> Place:
    try:
        if entry.size > _LARGE:
            return _deflated(tape, entry)
        data = tape.read(entry.size)
    except _DAMAGE:  # the tape raises it again
        data = b""
    if len(data) < entry.size:
        return Refused("its archive ends or is damaged before it does")
    return Bytes(data, checked_time(entry.seconds, checksum(data)))


def _deflated(tape: Tape, entry: TarEntry) -> Place:
    """A large member of a stream, held deflated."""
    deflate = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    parts, left, crc32, sample = [], entry.size, 0, b""
    while left and (data := tape.read(min(left, _CHUNK))):
        left -= len(data)
        crc32 = zlib.crc32(data, crc32)
        sample = sample_of(sample + data)
        parts.append(deflate.compress(data))
    if left:
        return Refused("its archive ends or is damaged before it does")
    parts.append(deflate.flush())
    time = checked_time(entry.seconds, zlib.crc32(sample))
    return Deflated(b"".join(parts), entry.size, crc32, time)


@dataclass
class _Contents:
    """What is in an archive, in numbers."""

    images: int = 0
    damages: int = 0
    folders: int = 0
    hidden: int = 0
    others: int = 0
    suffixes: Counter[str] = field(default_factory=Counter)  # of others, as far as they are counted

    def add(self, member: Member) -> bool:
        """Count a member; whether it is taken for an image."""
        if member.is_folder:
            self.folders += 1
            return False
        path = PurePosixPath(member.name)
        if not leads_out(path) and is_system_path(member.name):
            self.hidden += 1
            return False
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            self.images += 1
            return True
        self.others += 1
        if len(self.suffixes) < _MAX_SUFFIXES or suffix in self.suffixes:
            self.suffixes[suffix] += 1
        return False

    def describe(self) -> str:
        """What it holds, in words."""
        most = self.suffixes.most_common(_SUFFIXES_NAMED)
        rest = self.others - sum(count for _, count in most)
        words = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in most]
        words += [f"{rest:,} others"] if rest else []
        words += [f"{self.hidden:,} hidden"] if self.hidden else []
        words += [f"{self.folders:,} folders"] if self.folders else []
        return f"it holds {', '.join(words)}" if words else "it is empty"


def leads_out(path: PurePosixPath) -> bool:
    """Whether the name of a member would lie elsewhere than in its archive."""
    return path.is_absolute() or ".." in path.parts


def _refusal(name: str, is_regular: bool, size: int) -> str | None:
    """Why a file in an archive is not read, if so."""
    if leads_out(PurePosixPath(name)):
        return "its name leads out of the archive"
    if not is_regular:
        return _LINK
    return TOO_LARGE if size > MAX_BYTES else None


def _cut(error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the archive cannot be read further: {reason} (damaged, or cut short?)"


def _damage(name: str, reason: str) -> Item:
    """What stands where an archive cannot be read further."""
    return Item(os.path.basename(name), Damage(reason))  # noqa: PTH119 - also of a URL
