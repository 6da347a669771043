"""Writing files whole or not at all, and keeping two writers off one output."""

import errno
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from bitcodes.errors import BitcodesError, ConfigError, FileInUseError

try:
    import fcntl
except ImportError:  # Windows
    _CAN_LOCK = False
else:
    _CAN_LOCK = True

_POSIX = os.name == "posix"

_PAUSES = 0.01, 0.05, 0.1, 0.2
"""Seconds to wait after each try to change the name of an open file."""

_LEFT_SECONDS = 3600.0
"""Age from which a temporary file counts as left behind, where files cannot be locked."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """A path names no regular file but something of this `kind`, such as "a named pipe"."""

    def __init__(self, kind: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.EINVAL, f"it is {kind}, not a file", str(path))
        self.kind = kind


def open_regular(path: str | os.PathLike[str], is_regular: bool = False) -> io.BufferedReader:
    """Open a file for reading; never wait for a named pipe, and never read a device.

    `is_regular`: the caller has looked it up already. Raises OSError as open does, and
    NotAFileError for what is no regular file.
    """
    if not is_regular:
        _check_regular(os.stat(path), path)  # noqa: PTH116 - any str
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    except OSError:
        _check_regular(os.stat(path), path)  # noqa: PTH116 - it is no longer one
        raise
    try:
        _check_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open a pipe that nobody writes to without waiting, as `opener` of open."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotAFileError(_KINDS.get(stat.S_IFMT(status.st_mode), "a special file"), path)


def check_kind(path: Path, error: type[BitcodesError]) -> None:
    """Raise `error` if there is something at `path` that is no file; what is missing is none."""
    try:
        _check_regular(path.stat(), path)
    except NotAFileError as refusal:
        raise error(f"{path}: expected a file; found {refusal.kind}") from None
    except (OSError, ValueError):
        return


_LACKS = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EACCES", "ENOLCK", "EBADF")
    if hasattr(errno, name)
}
"""What drives without POSIX habits (exFAT, CIFS, NFS) answer to what they cannot do."""

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
"""What a system answers if a folder may not be written to."""

_told: set[str] = set()
_listeners: list[Callable[[str], None]] = []


def on_missing_protection(listener: Callable[[str], None]) -> None:
    """Call `listener`, and no other, with a sentence once for each thing a drive cannot protect."""
    _listeners[:] = [listener]


def _tell(protection: str, what: str, path: Path, error: OSError) -> None:
    if protection not in _told:
        _told.add(protection)
        for listener in _listeners:
            listener(f"{what} (the drive with {path} answers: {error.strerror})")


def check_folder_of(path: Path, made: str = "") -> None:
    """Raise BitcodesError unless the folder is there that `path` is to be written into.

    No output makes folders for itself, where a slip of the hand would go unseen. `made` is the one
    exception: a folder in the working folder, such as runs, that is made when it is needed.
    """
    folder = path.parent
    if folder.is_dir() or (made and path.absolute().is_relative_to(Path(made).absolute())):
        return
    if os.path.lexists(folder):
        raise BitcodesError(f"cannot write {path}: {folder} is not a folder; name another place")
    raise BitcodesError(
        f"cannot write {path}: there is no folder {folder}; create it, or name another place"
    )


def check_replaceable(file: Path, what: str, mark: bytes, within: int = -1) -> None:
    """Raise ConfigError if `file` holds something without `mark` in its first `within` bytes.

    `what` names the file's kind in the error, such as "page". With -1, all of it is read.
    """
    try:
        with open_regular(file) as old:
            content = old.read(within)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"the {what} {file} cannot be written: {error.strerror}") from error
    if content and mark not in content:
        raise ConfigError(
            f"{file} is there already, and was not made by bitcodes: name another file, or remove "
            "this one"
        )


def fsync_dir(path: Path) -> None:
    """Make the names in a directory durable, on systems and drives that can."""
    if not _POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _LACKS:
            raise
        _tell("fsync", "new files may be lost if the power fails now", path, error)
    finally:
        os.close(descriptor)


def make_readable(path: Path) -> None:
    """Give a folder the usual permissions (rwxr-xr-x), on drives that have permissions."""
    try:
        path.chmod(0o755)
    except OSError as error:
        if error.errno not in _LACKS:
            raise


@contextmanager
def atomic_write(
    path: Path,
    mode: str = "wb",
    rename: Callable[[Path, Path], None] | None = None,
    durable: bool = True,
) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on success it replaces `path`, on failure it vanishes.

    `mode` is "wb" or "w" (UTF-8, line ends as given). Readers see the old file or the new one.
    `rename` gives the temporary file another name than `path`, if it is to replace nothing. With
    `durable`, the file is on the disk at the end.
    Removes the temporary file of a process that was killed while it wrote the same file. Raises
    BitcodesError if a program has `path` open and the system then keeps it (Windows).
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    temporary, descriptor = _temporary_beside(path)
    locked = os.dup(descriptor) if _POSIX and _CAN_LOCK else -1  # until the file has its name
    try:
        with os.fdopen(descriptor, mode, **text) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        (rename or replace)(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # the folder may be gone, or let nothing be changed
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        if locked >= 0:
            os.close(locked)
    if durable:
        fsync_dir(path.parent)


def _temporary_beside(path: Path) -> tuple[Path, int]:
    """Create a file to write `path` in, and lock it: so no other process takes it for left behind.

    The next free number is in its name. Of the files met, those of killed processes are removed.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
    for number in count():
        temporary = path.with_name(f".{path.name}.{number}.tmp")
        if os.path.lexists(temporary) and not _remove_left(temporary):
            continue
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:  # another process was faster
            continue
        except OSError as error:
            error.filename = str(path)  # the name that its reader knows
            raise
        if _lock(descriptor) is not False and _is_at(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)  # another process takes it for left behind, and removes it
    raise AssertionError  # it counts on for ever


def _remove_left(temporary: Path) -> bool:
    """Remove a temporary file unless a process is still writing it; False if it may be."""
    try:
        descriptor = os.open(temporary, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        locked = _lock(descriptor)
        age = time.time() - os.fstat(descriptor).st_mtime
        is_left = age > _LEFT_SECONDS if locked is None else locked
        if is_left and _POSIX and _is_at(descriptor, temporary):
            with suppress(OSError):
                temporary.unlink()
    finally:
        os.close(descriptor)
    if is_left and not _POSIX:
        with suppress(OSError):  # as another process has it open
            temporary.unlink()
    return is_left


def remove_left_beside(path: Path) -> None:
    """Remove the temporary files that killed processes left as they wrote `path`."""
    name = f".{path.name}."
    with suppress(OSError):
        for file in path.parent.iterdir():
            middle = file.name.removeprefix(name).removesuffix(".tmp")
            if file.name == f"{name}{middle}.tmp" and middle.isdecimal():
                _remove_left(file)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file as long as it is open; False: another process has, None: nothing can."""
    if not (_POSIX and _CAN_LOCK):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the drive has no locks
        return None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def replace(new: Path, old: Path) -> None:
    """Give the file `new` the name `old`. Raises FileInUseError where `old` is open (Windows)."""
    change_names(lambda: os.replace(new, old), old)  # noqa: PTH105 - as tests make it fail


def give_name(file: Path, name: Path) -> bool:
    """Give a file a name that no file has; False if the name is taken."""
    try:
        if _POSIX:  # where a rename replaces
            os.link(file, name)
            file.unlink()
        else:
            file.rename(name)
    except FileExistsError:
        return False
    except (AttributeError, OSError):  # the drive has no links
        if os.path.lexists(name):
            return False
        file.rename(name)
    return True


def change_names(change: Callable[[], object], path: Path) -> None:
    """Rename or remove `path`, or files below it, by calling `change`.

    Windows does not do that to a file that is open or mapped. Often a virus scanner or a reader has
    it open that is done soon: so several tries, for a third of a second. Raises FileInUseError.
    """
    if _POSIX:  # where open files are renamed and removed, and an error is about the folder
        change()
        return
    for pause in _PAUSES:
        try:
            change()
            return
        except PermissionError as error:
            refusal = error
            time.sleep(pause)
    raise FileInUseError(
        f"{path} cannot be replaced ({refusal.strerror}): close the programs that have it open, "
        "Python sessions and notebooks too, and run this again"
    ) from refusal


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


@contextmanager
def lock(path: Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the system frees it if the process dies.

    Raises BitcodesError if someone else holds it, and `wait` seconds later still does; `what` names
    what it protects. The file is removed at the end. Children of this process do not share the
    lock.
    """
    from filelock import FileLock, Timeout  # readers of files need no locks

    held = FileLock(path, timeout=wait, thread_local=False)
    owner = os.getpid()
    try:
        path.parent.stat()  # else FileLock makes the folder
        held.acquire()
    except Timeout:
        raise BitcodesError(
            f"{what} is being written by another process (it holds {path}); "
            "wait for it to finish, or stop it, and run this again"
        ) from None
    except OSError as error:
        if error.errno not in _LACKS - {errno.EACCES, errno.EPERM}:
            if error.errno in UNWRITABLE and not os.path.lexists(path):
                raise BitcodesError(
                    f"cannot write {what}: {error.strerror} ({path.parent}); write to a folder "
                    "that you can change"
                ) from error
            raise BitcodesError(
                f"cannot lock {what} with {path}: {error.strerror}. If a command of another user "
                "holds this file, wait for it; else write to a folder that you can change"
            ) from error
        with suppress(OSError):
            path.unlink()
        _tell("lock", f"nothing keeps another process from writing {what} too", path.parent, error)
        yield
        return
    try:
        identity = path.stat()
        yield
    finally:
        if os.getpid() == owner:  # else this is a forked child, and the lock is its parent's
            # A file of this name may be another's, if someone has removed ours. Windows does not
            # remove open files: there the release does.
            try:
                with suppress(OSError):
                    if _POSIX and os.path.samestat(path.stat(), identity):
                        path.unlink()
            finally:
                held.release()


def remove_left_lock(path: Path) -> None:
    """Remove a lock file that a killed process left, if there is one and it can be removed."""
    if os.path.lexists(path):
        with suppress(BitcodesError), lock(path, "it"):
            pass
