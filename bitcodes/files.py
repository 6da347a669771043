"""Writing files whole or not at all, and keeping two writers off one output."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from bitcodes.errors import BitcodesError


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

    Raises BitcodesError at once when another process holds it; `what` names what it protects.
    """
    held = FileLock(path)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise BitcodesError(
            f"{what} is being written by another process (it holds {path}); "
            "wait for it to finish, or stop it, and run this again"
        ) from None
    try:
        yield
    finally:
        held.release()
