"""The files in a folder, a .tar (.gz, .bz2, .xz) or a .zip, read one by one and never unpacked.

Nothing is written under a name from an archive: the caller decides what to do with each file.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from bitcodes.errors import DataError
from bitcodes.sources.folders import walk_files

_MAX_BYTES = 64 * 2**20
_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, NotImplementedError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


class Member(NamedTuple):
    """A file of an archive or a folder: its path in it, and its bytes on demand."""

    path: PurePosixPath
    read: Callable[[], bytes]


class _Entry(NamedTuple):
    """What an archive says of a member."""

    name: str
    is_folder: bool
    is_regular: bool
    size: int
    open: Callable[[], IO[bytes] | None]


def members(source: Path) -> Iterator[Member]:
    """The files of a folder or an archive, except hidden ones.

    Read a member before you ask for the next. Raises DataError if the source is missing, damaged or
    no archive, and for an archive with hostile members: absolute paths, "..", links, devices.
    """
    if source.is_dir():
        files = ((PurePosixPath(name), source / name) for name, _ in walk_files(str(source)))
        # A pipe is no file.
        yield from (Member(path, file.read_bytes) for path, file in files if file.is_file())
        return
    if not source.is_file():
        raise DataError(f"no such file or folder: {source}")
    with _damage_reported(source):
        for entry in _entries(source):
            path = PurePosixPath(entry.name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise DataError(f"{source}: refused, {entry.name!r} leads out of the archive")
            if entry.is_folder:
                continue
            if not entry.is_regular:
                raise DataError(f"{source}: refused, {entry.name!r} is a link or a device")
            if not any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
                yield Member(path, partial(_read, source, entry))


@contextmanager
def _damage_reported(source: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{source} cannot be read: {error} (damaged, or cut short?)") from error


def _entries(source: Path) -> Iterator[_Entry]:
    if tarfile.is_tarfile(source):
        with tarfile.open(source) as tar:
            for item in tar:
                member = item.name, item.isdir(), item.isreg(), item.size
                yield _Entry(*member, partial(tar.extractfile, item))
            while tar.fileobj is not None and tar.fileobj.read(2**20):
                pass  # to the end, where the checksum is
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                is_regular = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                member = info.filename, info.is_dir(), is_regular, info.file_size
                yield _Entry(*member, partial(archive.open, info))
    else:
        raise DataError(
            f"{source}: expected a folder, a .tar, .tar.gz, .tar.xz or .zip, found another file"
        )


def _read(source: Path, entry: _Entry) -> bytes:
    if entry.size > _MAX_BYTES:  # neither format gives more than it announced
        raise DataError(f"{source}: refused, {entry.name!r} is larger than {_MAX_BYTES:,} bytes")
    with _damage_reported(source):
        file = entry.open()
        assert file is not None  # a regular file
        with file:
            return file.read()
