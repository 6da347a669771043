"""Moving a file so that a kill, or a full disk, loses nothing at any moment.

`move` first makes an empty file of the new name, which no other program can then take, and then
renames the old one over it: that is one step of the system. Across file systems there is no such
step: the file is copied under another name, brought to the disk, renamed, and then removed at the
old place. A kill may leave the empty file or, across file systems, the copy: `settle` removes them.
"""

import errno
import filecmp
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from bitcodes.choices import LinkKind
from bitcodes.files import atomic_write, change_names, open_regular, remove_left_beside, replace
from bitcodes.sources.item import stat_of

_CHUNK = 1 << 20


def move(source: Path, target: Path, over: bool = False) -> None:
    """Give the file `source` the name `target`, on whatever file system; it keeps its times.

    `over`: replace what has this name. Else FileExistsError if there is something. OSErrors mean
    that the file is where it was, FileInUseError too.
    """
    if not over:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        try:
            replace(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_across(source, target)
    except BaseException:
        if not over and _is_file(target) and not target.stat().st_size:
            target.unlink()
        raise


def settle(source: Path, target: Path) -> None:
    """Remove what a killed `move`, to or fro, left beside the file: an empty file, or a copy.

    A copy at `source` is kept. Two files that differ both stay.
    """
    for path in (source, target):
        remove_left_beside(path)
    if not (_is_file(source) and _is_file(target)):
        return
    if not source.stat().st_size:
        source.unlink()
    elif not target.stat().st_size or filecmp.cmp(source, target, shallow=False):
        _remove(target)


def link(name: Path, file: Path, kind: LinkKind) -> None:
    """Make a link to `file`, of a name that is free."""
    if kind == "hard":
        os.link(file, name)
    else:
        name.symlink_to(file)


def is_link(name: Path, file: Path, kind: LinkKind) -> bool:
    """Whether `name` is such a link to `file`."""
    try:
        if kind == "symbolic":
            return name.readlink() == file
        return os.path.samestat(name.lstat(), file.lstat())
    except OSError:
        return False


def _move_across(source: Path, target: Path) -> None:
    """Copy a file to another file system, whole and on the disk, then remove it here."""

    def finish(temporary: Path, target: Path) -> None:
        shutil.copystat(source, temporary)
        replace(temporary, target)

    with open_regular(source) as file:
        before = stat_of(os.fstat(file.fileno()))
        with atomic_write(target, rename=finish) as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            if copy.tell() != before[0] or stat_of(os.fstat(file.fileno())) != before:
                raise OSError(errno.EBUSY, "it changed while it was copied", str(source))
    try:
        _remove(source)
    except BaseException:
        _remove(target)
        raise


def _remove(file: Path) -> None:
    """Remove a file, also one that may not be written to, which Windows would keep."""
    if os.name == "nt":
        with suppress(OSError):
            file.chmod(stat.S_IWRITE)
    change_names(file.unlink, file)


def _is_file(path: Path) -> bool:
    """Whether it is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
