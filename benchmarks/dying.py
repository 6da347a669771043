"""A process that ends itself, or whose disk is full, at the n-th operation on files of a folder.

Operations are: to open a file for writing, to write (once before, once when half is written), to
bring to the disk, to cut, to rename, to link, to remove, and to make or remove a folder.
"""

# ruff: noqa: PTH100, PTH109, PTH115, PTH118, PTH119 (os, as a function of pathlib may be at work)

import builtins
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Events of sys.addaudithook -> where the paths and the descriptors of their folders stand.
_EVENTS: dict[str, tuple[tuple[int, int], ...]] = {
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.chmod": ((0, 2),),
    "os.utime": ((0, 3),),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CALLS = "write", "pwrite", "ftruncate", "fsync"  # of which no event tells
_HERE = -1


class Operations:
    """Notes the operations on files below `folder`; ends the process at number `end_at`, from 1.

    With 0 it never does. With -n, operation n alone fails, as on a full disk. Only the process that
    called `watch` is ended, and so none of its workers.
    """

    def __init__(self, folder: Path, end_at: int = 0) -> None:
        self.names: list[str] = []
        """What was done so far."""
        self._folder = os.path.join(os.path.realpath(folder), "")
        self._end_at = end_at
        self._process = os.getpid()
        self._descriptors: set[int] = set()  # of the files below the folder
        self._real_open = io.open

    def watch(self) -> None:
        """Begin, for the rest of the life of this process."""
        sys.addaudithook(self._on_event)
        for name in filter(lambda name: hasattr(os, name), _CALLS):
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        open_descriptor = os.open

        def os_open(path: Any, *arguments: Any, dir_fd: int | None = None, **more: Any) -> int:
            descriptor = open_descriptor(path, *arguments, dir_fd=dir_fd, **more)
            self._remember(descriptor, self.is_inside(path, _HERE if dir_fd is None else dir_fd))
            return descriptor

        os.open = os_open
        io.open = builtins.open = self._open  # type: ignore[assignment]

    def is_inside(self, path: Any, folder: int = _HERE) -> bool:
        """Whether a path, relative to an open folder, or a descriptor is of a file watched."""
        if isinstance(path, int):
            return path in self._descriptors
        start = os.getcwd()
        if folder != _HERE:
            try:
                start = os.readlink(f"/proc/self/fd/{folder}")
            except OSError:
                return True  # who knows
        whole = os.path.abspath(os.path.join(start, os.fsdecode(path)))
        return whole.startswith(self._folder)

    def note(self, name: str, path: object, at_end: Callable[[], object] | None = None) -> None:
        """Count an operation that comes now; if it is the one, do `at_end` and end."""
        if os.getpid() != self._process:
            return
        if isinstance(path, str | bytes | os.PathLike):
            path = os.path.basename(os.fsdecode(path))
        self.names.append(f"{name} {path}")
        if len(self.names) == abs(self._end_at):
            if at_end is not None:
                at_end()
            if self._end_at < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def _remember(self, descriptor: int, is_inside: bool) -> None:
        (self._descriptors.add if is_inside else self._descriptors.discard)(descriptor)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITES and not isinstance(path, int) and self.is_inside(path):
                self.note(event, path)
        elif event in _EVENTS:
            for path, folder in _EVENTS[event]:
                if self.is_inside(arguments[path], arguments[folder]):
                    self.note(event, arguments[path])
                    return

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            if descriptor in self._descriptors:
                self.note(name, descriptor)
                if "write" in name:
                    half = memoryview(arguments[0])[: len(arguments[0]) // 2]
                    self.note(
                        f"half {name}", descriptor, lambda: real(descriptor, half, *arguments[1:])
                    )
            return real(descriptor, *arguments)

        return call

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """As the built-in open, but writing to a file below the folder is noted."""
        arguments = (file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not set(mode) & set("wax+") or not self.is_inside(file):
            opened = self._real_open(*arguments)
            self._remember(opened.fileno(), is_inside=False)
            return opened
        raw = _File(self, file, mode.replace("b", "").replace("t", ""), opener)
        self._remember(raw.fileno(), is_inside=True)
        if buffering == 0:
            return raw
        buffer: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)


class _File(io.FileIO):
    """A file that notes when its buffer is written."""

    def __init__(self, operations: Operations, file: Any, mode: str, opener: Any) -> None:
        super().__init__(file, mode, opener=opener)
        self._operations = operations

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        write = super().write
        self._operations.note("write", self.name)
        self._operations.note("half write", self.name, lambda: write(view[: len(view) // 2]))
        return write(view)
