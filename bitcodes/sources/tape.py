"""Bytes read from the beginning to the end, from a file or out of a compressed one."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

_CHUNK = 1 << 20
_MEMORY = 1 << 28  # bytes that a decompressor may take: one for xz -9 takes a quarter of that


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, count: int, /) -> bytes:
        """The next bytes: at most `count`, none at the end."""


class Tape:
    """A file that is read forward; what is skipped is not kept. `size` is that of the whole file.

    Without `size` the file is a stream: what is skipped is read.
    """

    def __init__(self, file: Readable, size: int | None = None) -> None:
        self._file = file
        self._buffer = b""
        self._start = 0  # in the buffer: what comes before has been read
        self.size = size
        self.position = 0
        self._error: Exception | None = None

    def read(self, count: int) -> bytes:
        """The next bytes, fewer only at the end."""
        data = self.peek(count)
        self._start += len(data)
        self.position += len(data)
        return data

    def peek(self, count: int) -> bytes:
        """The next bytes without going on, fewer only at the end."""
        known = len(self._buffer) - self._start
        if known < count:
            if self.size is not None:  # others read from the file meanwhile
                self._file.seek(self.position + known)  # type: ignore[attr-defined]
            self._buffer, self._start = self._buffer[self._start :] + self._take(count - known), 0
        return self._buffer[self._start : self._start + count]

    def _take(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count > 0:
            if self._error is not None:
                raise self._error
            try:
                data = self._file.read(min(count, _CHUNK))
            except Exception as error:
                self._error = error  # after this a decompressor may give anything
                if not parts:
                    raise
                break
            if not data:
                break
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def skip_to(self, position: int) -> bool:
        """Go on to a position; whether there are as many bytes."""
        if self.size is not None:
            target = min(position, self.size)
            self._start = min(self._start + target - self.position, len(self._buffer))
            self.position = target
            return target == position
        while self.position < position:
            if not self.read(min(_CHUNK, position - self.position)):
                return False
        return True

    def find(self, pattern: bytes, before: int, length: int) -> None:
        """Go on to the next `length` bytes that have `pattern` after `before` bytes, or the end."""
        while len(chunk := self.peek(_CHUNK)) >= length:
            place = chunk.find(pattern, before) - before
            if 0 <= place <= len(chunk) - length:
                self.skip_to(self.position + place)
                return
            self.skip_to(self.position + len(chunk) - length + 1)
        self.skip_to(self.position + len(chunk))


def decompressed(tape: Tape) -> Tape | None:
    """A compressed file as the bytes that are in it; None if it does not begin like one."""
    for magic, make in _KINDS.items():
        if tape.peek(len(magic)) == magic:
            return Tape(make(tape))
    return None


class _Decompressed(io.RawIOBase):
    """Compressed streams, one after the other, as the bytes that are in them."""

    def __init__(self, file: Readable, make: Callable[[], Any]) -> None:
        self._file, self._make = file, make
        self._decompressor = make()
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._decompressor.eof:
                self._input = self._decompressor.unused_data.lstrip(b"\0") or self._file.read(
                    _CHUNK
                )
                if not self._input.strip(b"\0"):
                    return 0
                self._decompressor = self._make()
            elif self._decompressor.needs_input and not self._input:
                self._input = self._file.read(_CHUNK)
                if not self._input:
                    raise EOFError("the compressed data ends early")
            data = self._decompressor.decompress(self._input, len(buffer))
            self._input = b""
            if data:
                buffer[: len(data)] = data
                return len(data)


def _gzip(file: Readable) -> Readable:
    return cast(Readable, gzip.GzipFile(fileobj=cast(Any, file)))


def _bzip2(file: Readable) -> Readable:
    return io.BufferedReader(_Decompressed(file, bz2.BZ2Decompressor))


def _xz(file: Readable) -> Readable:
    make = partial(lzma.LZMADecompressor, memlimit=_MEMORY)
    return io.BufferedReader(_Decompressed(file, make))


_KINDS: dict[bytes, Callable[[Readable], Readable]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\0": _xz,
}
