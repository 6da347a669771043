"""Writing files whole or not at all, and keeping two writers off one output."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bitcodes.errors import BitcodesError

# Descriptors of the locks that this process holds. A forked child (a worker) shares the lock of the
# descriptor it inherits, and an orphan would go on holding it: so children close theirs.
_held: set[int] = set()


def _close_inherited() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


def fsync_dir(path: Path) -> None:
    """Make the names in a directory durable, where the system can (POSIX)."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on success it replaces `path`, on failure it vanishes.

    `mode` is "wb" or "w" (UTF-8, line ends as given). Readers see the old file or the new one.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # noqa: PTH101 - mkstemp makes files private
        with open(descriptor, mode, **text) as file:  # noqa: PTH123 - takes over the descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the system frees it if the process dies.

    Raises BitcodesError at once when someone else holds it; `what` names what it protects. The file
    is removed at the end. Children that this process forks do not share the lock.
    """
    descriptor = _acquire(path, what)
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # else this is a forked child, and the lock is its parent's
            _held.discard(descriptor)
            _release(path, descriptor)


def _acquire(path: Path, what: str) -> int:
    import fcntl  # POSIX only, unlike the rest of this file

    while True:
        descriptor = -1
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have removed the file between our opening and locking it; then a
            # third process could lock a new file of this name. Only a lock with a name counts.
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise BitcodesError(
                f"{what} is being written by another process (it holds {path}); "
                "wait for it to finish, or stop it, and run this again"
            ) from None
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            raise BitcodesError(f"cannot lock {what} with {path}: {error.strerror}") from error
        os.close(descriptor)


def _release(path: Path, descriptor: int) -> None:
    if os.fstat(descriptor).st_nlink:  # else someone removed our file, and this is another's
        with suppress(OSError):  # a file left over locks nothing
            path.unlink()
    os.close(descriptor)
