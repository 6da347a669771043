"""Paths as lines of text: any path a file system allows, and a file of them read lazily."""

import mmap
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from bitcodes.errors import CodeSetError
from bitcodes.wording import CONTROLS, counted

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
        text = _file_name(text).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise CodeSetError(
            f"{text!r} cannot be stored: it holds a character that no file name can have"
        ) from None
    return _SPECIAL.sub(
        lambda match: _ESCAPES.get(match[0]) or f"\\x{ord(match[0]) - 0xDC00:02x}", text
    )


def escape_controls(text: str) -> str:
    r"""Write control characters in what `escape` wrote byte by byte: escape as `\x1b`, tab as `\t`.

    `unescape` reads it. This is for text that a terminal may show, or that tabs part.
    """
    return CONTROLS.sub(_in_bytes, text)


def _in_bytes(match: re.Match[str]) -> str:
    if match[0] == "\t":
        return "\\t"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode())


def with_slashes(path: str, separator: str | None = None) -> str:
    """A path as lists and sets keep it: `separator`, by default this system's, becomes a slash."""
    return path.replace(separator or os.sep, "/")


def unescape(line: bytes) -> str:
    r"""Read what `escape` wrote (and `\t`, which skip lists use), as Python names files.

    Raises ValueError, with what is wrong, on anything that `escape` does not write.
    """
    line.decode("utf-8")  # a UnicodeDecodeError is a ValueError
    if b"\\" in line:
        line = _ESCAPED.sub(_plain, line)
    return line.decode(sys.getfilesystemencoding(), "surrogateescape")


def _file_name(text: str) -> bytes:
    """The bytes of a name in the file system; in UTF-8, where its encoding lacks a character."""
    try:
        return text.encode(sys.getfilesystemencoding(), "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _plain(match: re.Match[bytes]) -> bytes:
    sequence = match[0]
    if sequence[1:2] == b"x" and len(sequence) == 4:
        return bytes([int(sequence[2:], 16)])
    if sequence not in _PLAIN:
        raise ValueError(f"unknown escape {sequence.decode(errors='replace')!r}")
    return _PLAIN[sequence]


class _Lines(Sequence[str], ABC):
    """Text by row, made when it is used."""

    def __init__(self, count: int):
        self._count = count

    @abstractmethod
    def _lines(self, start: int, stop: int) -> Iterable[str]: ...

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for start in range(0, self._count, _BLOCK):
            yield from self._lines(start, min(start + _BLOCK, self._count))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if not isinstance(index, slice):
            row = range(self._count)[index]
            return next(iter(self._lines(row, row + 1)))
        rows = range(self._count)[index]
        if rows.step == 1:
            return list(self._lines(rows.start, rows.stop))
        return [self[row] for row in rows]


class RowNumbers(_Lines):
    """Row numbers as text, "0", "1", ...: they stand in for the paths that a bare file lacks."""

    def _lines(self, start: int, stop: int) -> Iterable[str]:
        return map(str, range(start, stop))


class PathList(_Lines):
    """The lines of a mapped paths file, decoded when they are used.

    Keeps the offset of every 64th line, found at first use, so a list of a million paths costs
    125 kB. Once more than every 64th line was looked up, one at a time, it keeps all offsets: 8 MB.
    `file` is named in errors; CodeSetError where the file has not `count` lines.
    """

    def __init__(self, data: mmap.mmap | bytes, count: int, file: Path):
        super().__init__(count)
        self._data = data
        self._file = file
        self._single = 0  # lines looked up one at a time

    def check(self) -> None:
        """Raise CodeSetError unless the file has `count` lines, each ending in a newline."""
        _ = self._offsets

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        """Where each block of lines begins, and where the last ends."""
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
            raise CodeSetError.damaged(
                self._file, f"the last line, {lines + 1}, does not end: expected a newline"
            )
        if lines != self._count:
            raise CodeSetError.damaged(
                self._file,
                f"expected {counted(self._count, 'line')}, a path for each code, found {lines}",
            )
        return np.append(np.concatenate(offsets), size)

    def lines(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[bytes]:
        """The lines of some rows as they are in the file, for rows anywhere: keeps 8 bytes per row.

        `raw` is for rows that follow one another.
        """
        rows = np.asarray(rows, np.int64)
        ends = self._ends
        starts = np.where(rows > 0, ends[rows - 1] + 1, 0).tolist()
        return [
            self._data[start:end] for start, end in zip(starts, ends[rows].tolist(), strict=True)
        ]

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Where each line ends."""
        self.check()
        return np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))

    def raw(self, start: int, stop: int) -> list[bytes]:
        """The lines of some rows as they are in the file, without their ends."""
        first, last = start // _BLOCK, -(-stop // _BLOCK)
        lines = self._data[self._offsets[first] : self._offsets[last]].split(b"\n")
        return lines[start - first * _BLOCK : stop - first * _BLOCK]

    def _lines(self, start: int, stop: int) -> Iterator[str]:
        lines: Iterable[bytes]
        if stop - start == 1 and self._single > self._count // _BLOCK:
            before = int(self._ends[start - 1]) + 1 if start else 0
            lines = [self._data[before : int(self._ends[start])]]
        else:
            self._single += stop - start == 1
            lines = self.raw(start, stop)
        for row, line in enumerate(lines, start):
            try:
                yield unescape(line)
            except ValueError as error:
                raise CodeSetError.damaged(
                    self._file, f"line {row + 1}: not a path as this format escapes it ({error})"
                ) from None


def escaped(paths: Sequence[str], start: int, stop: int) -> list[bytes]:
    """Some paths as they stand in a paths file, without line ends."""
    if isinstance(paths, PathList):
        return paths.raw(start, stop)
    return [escape(with_slashes(path)).encode() for path in paths[start:stop]]
