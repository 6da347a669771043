"""The files in a folder, a .tar (.gz, .bz2, .xz) or a .zip, read one by one and never unpacked.

Nothing is written under a name from an archive: the caller decides what to do with each file.
"""

from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bitcodes.errors import DataError, ImageError
from bitcodes.files import open_regular
from bitcodes.sources import archives
from bitcodes.sources.folders import walk_files
from bitcodes.sources.system_names import is_system_path
from bitcodes.sources.tars import NO_END

_MAX_BYTES = 64 * 2**20
_TOO_LARGE = f"larger than {_MAX_BYTES:,} bytes"


class Member(NamedTuple):
    """A file of an archive or a folder: its path in it, and its bytes on demand."""

    path: PurePosixPath
    read: Callable[[], bytes]


def members(source: Path) -> Iterator[Member]:
    """The files of a folder or an archive, except hidden ones and those of systems.

    Read a member before you ask for the next. Raises DataError if the source is missing, damaged,
    cut short or no archive, and for an archive with hostile members: absolute paths, "..", links,
    devices. The zeros that end a tar may be missing: the caller knows what has to be there.
    """
    if source.is_dir():
        files = ((PurePosixPath(name), source / name) for name, _ in walk_files(str(source)))
        # A pipe is no file.
        yield from (Member(path, partial(_file, file)) for path, file in files if file.is_file())
        return
    if not source.is_file():
        raise DataError(f"no such file or folder: {source}")
    found = False
    for member in archives.archive_members(str(source)):
        if isinstance(member, str):
            if member == NO_END and found:
                continue
            expected = "" if found else "; expected a folder, a .tar, .tar.gz, .tar.xz or .zip"
            raise DataError(f"{source} cannot be read: {member}{expected}")
        found = True
        path = PurePosixPath(member.name.replace("\\", "/"))
        if archives.leads_out(path):
            raise DataError(f"{source}: refused, {member.name!r} leads out of the archive")
        if member.is_folder:
            continue
        if member.refusal is not None:
            raise DataError(f"{source}: refused, {member.name!r}: {member.refusal}")
        if not is_system_path(str(path)):
            yield Member(path, partial(_read, source, member))


def _file(file: Path) -> bytes:
    with open_regular(file) as opened:
        return opened.read()


def _read(source: Path, member: archives.Member) -> bytes:
    try:
        return member.place().read(_content)[0]
    except ImageError as error:
        raise DataError(f"{source} cannot be read: {member.name!r}: {error}") from None


def _content(image: bytes | BufferedReader) -> bytes:
    data = image if isinstance(image, bytes) else image.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ImageError(_TOO_LARGE)
    return data
