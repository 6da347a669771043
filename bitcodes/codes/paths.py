"""Paths as lines of text: any path a file system allows, and a file of them read lazily."""

import mmap
import operator
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from bitcodes.errors import CodeSetError

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
_SPECIAL = re.compile(r"[\\\n\r\udc80-\udcff]")
_ESCAPED = re.compile(rb"\\(?:x[0-9a-f]{2}|.?)", re.DOTALL)

_BLOCK = 64  # lines for which one offset is kept
_CHUNK = 1 << 20  # bytes looked through at a time


def escape(text: str) -> str:
    r"""Write a path on one line of UTF-8: backslash, newline, carriage return as `\\`, `\n`, `\r`.

    Bytes that are not UTF-8 (in Python: lone surrogates, as os.fsdecode makes them) become `\xNN`.
    Raises CodeSetError for other lone surrogates, which no file name can have.
    """
    try:
        # Through bytes and back, so that one file name has one spelling.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise CodeSetError(
            f"{text!r} cannot be stored: it holds a character that no file name can have"
        ) from None
    return _SPECIAL.sub(
        lambda match: _ESCAPES.get(match[0]) or f"\\x{ord(match[0]) - 0xDC00:02x}", text
    )


def with_slashes(path: str) -> str:
    """A path as a set keeps it: with slashes where this system has another separator (Windows)."""
    return path if os.sep == "/" else path.replace(os.sep, "/")


def unescape(line: bytes) -> str:
    r"""Read what `escape` wrote (and `\t`, which skip lists use), as Python names files.

    Raises ValueError, with what is wrong, on anything that `escape` does not write.
    """
    line.decode("utf-8")  # a UnicodeDecodeError is a ValueError
    if b"\\" in line:
        line = _ESCAPED.sub(_plain, line)
    return line.decode("utf-8", "surrogateescape")


def _plain(match: re.Match[bytes]) -> bytes:
    sequence = match[0]
    if sequence[1:2] == b"x" and len(sequence) == 4:
        return bytes([int(sequence[2:], 16)])
    if sequence not in _PLAIN:
        raise ValueError(f"unknown escape {sequence.decode(errors='replace')!r}")
    return _PLAIN[sequence]


class PathList(Sequence[str]):
    """The lines of a mapped paths file, decoded one by one as they are asked for.

    Keeps the offset of every 64th line, found at first use, so a list of a million paths costs
    125 kB. `file` is named in errors; CodeSetError where the file has not `count` lines.
    """

    def __init__(self, data: mmap.mmap | bytes, count: int, file: Path):
        self._data = data
        self._count = count
        self._file = file
        self._offsets: npt.NDArray[np.int64] | None = None

    def check(self) -> None:
        """Raise CodeSetError unless the file has `count` lines, each ending in a newline."""
        if self._offsets is not None:
            return
        size = len(self._data)
        offsets = [np.zeros(1, dtype=np.int64)]
        lines = 0
        for start in range(0, size, _CHUNK):
            chunk = np.frombuffer(self._data[start : start + _CHUNK], dtype=np.uint8)
            ends = np.flatnonzero(chunk == ord("\n"))
            # A block begins behind each line end whose number, from 1, is a multiple of _BLOCK.
            offsets.append(ends[(-lines - 1) % _BLOCK :: _BLOCK] + start + 1)
            lines += len(ends)
        if size and self._data[size - 1 : size] != b"\n":
            raise CodeSetError(
                f"{self._file}: the last line, {lines + 1}, does not end: expected a newline; "
                "the file was cut off, copy or encode the set again"
            )
        if lines != self._count:
            raise CodeSetError(
                f"{self._file}: expected {self._count} lines, a path for each code, found {lines}; "
                "the file was changed, copy or encode the set again"
            )
        self._offsets = np.concatenate(offsets)

    def _decode(self, line: bytes, row: int) -> str:
        try:
            return unescape(line)
        except ValueError as error:
            raise CodeSetError(
                f"{self._file}, line {row + 1}: not a path as this format escapes it ({error}); "
                "the file was changed, copy or encode the set again"
            ) from None

    def _lines(self, start: int, stop: int) -> Iterator[str]:
        self.check()
        assert self._offsets is not None
        if start >= stop:
            return
        place = int(self._offsets[start // _BLOCK])
        for row in range(start - start % _BLOCK, stop):
            end = self._data.find(b"\n", place)
            if row >= start:
                yield self._decode(self._data[place:end], row)
            place = end + 1

    def raw(self, start: int, stop: int) -> bytes:
        """The lines of some rows as they are in the file."""
        self.check()
        return bytes(self._data[self._place(start) : self._place(stop)])

    def _place(self, row: int) -> int:
        """Where the line of a row begins."""
        assert self._offsets is not None
        place = int(self._offsets[row // _BLOCK])
        for _ in range(row % _BLOCK):
            place = self._data.find(b"\n", place) + 1
        return place

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return self._lines(0, self._count)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            rows = range(self._count)[index]
            if rows.step == 1:
                return list(self._lines(rows.start, rows.stop))
            return [self[row] for row in rows]
        row = _row(index, self._count)
        return next(self._lines(row, row + 1))


class RowNumbers(Sequence[str]):
    """Row numbers as text, "0", "1", ...: they stand in for the paths that a bare file lacks."""

    def __init__(self, count: int):
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [str(row) for row in range(self._count)[index]]
        return str(_row(index, self._count))


def _row(index: int, count: int) -> int:
    row = operator.index(index)
    if not -count <= row < count:
        raise IndexError(f"row {row} of a set of {count}")
    return row % count
