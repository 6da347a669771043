"""The files in a folder, a .tar (.gz, .bz2, .xz) or a .zip, read one by one and never unpacked.

Nothing is written under a name from an archive: the caller decides what to do with each file.
"""

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bitcodes.errors import DataError

_MAX_BYTES = 64 * 2**20
_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, NotImplementedError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class Member:
    """A file of an archive or a folder: its path in it, and its bytes on demand."""

    path: PurePosixPath
    read: Callable[[], bytes]


def members(source: Path) -> Iterator[Member]:
    """The files of a folder or an archive, except hidden ones.

    Read a member before you ask for the next. Raises DataError if the source is missing, damaged or
    no archive, and for an archive with hostile members: absolute paths, "..", links, devices.
    """
    if source.is_dir():
        yield from _folder(source)
        return
    if not source.is_file():
        raise DataError(f"no such file or folder: {source}")
    with _damage_reported(source):
        if tarfile.is_tarfile(source):
            yield from _tar(source)
        elif zipfile.is_zipfile(source):
            yield from _zip(source)
        else:
            raise DataError(
                f"{source}: expected a folder, a .tar, .tar.gz, .tar.xz or .zip, found another file"
            )


@contextmanager
def _damage_reported(source: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{source} cannot be read: {error} (damaged, or cut short?)") from error


def _folder(source: Path) -> Iterator[Member]:
    for parent, folders, files in os.walk(source, followlinks=True):
        folders.sort()
        base = PurePosixPath(Path(parent).relative_to(source).as_posix())
        for name in sorted(files):
            path = base / name
            if _visible(path) and (source / path).is_file():  # not a pipe
                yield Member(path, (source / path).read_bytes)


def _tar(source: Path) -> Iterator[Member]:
    with tarfile.open(source) as archive:
        for entry in archive:
            path = _safe(source, entry.name)
            if entry.isdir():
                continue
            if not entry.isreg():
                raise DataError(f"{source}: refused, {entry.name!r} is a link or a device")
            if _visible(path):
                file = archive.extractfile(entry)
                assert file is not None  # a regular file
                yield Member(path, _reader(source, path, file, entry.size))
        while archive.fileobj is not None and archive.fileobj.read(2**20):
            pass  # to the end, where the checksum is


def _zip(source: Path) -> Iterator[Member]:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            path = _safe(source, entry.filename)
            if entry.is_dir():
                continue
            mode = entry.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise DataError(f"{source}: refused, {entry.filename!r} is a link or a device")
            if _visible(path):
                with archive.open(entry) as file:
                    yield Member(path, _reader(source, path, file, entry.file_size))


def _reader(source: Path, path: PurePosixPath, file: IO[bytes], size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        if size > _MAX_BYTES:  # neither format gives more than it announced
            raise DataError(f"{source}: refused, {str(path)!r} is larger than {_MAX_BYTES:,} bytes")
        with _damage_reported(source):
            return file.read()

    return read


def _safe(source: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{source}: refused, {name!r} leads out of the archive")
    return path


def _visible(path: PurePosixPath) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
