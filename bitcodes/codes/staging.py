"""The staging folder of a code set: files that grow batch by batch, and a journal of what is good.

After each batch the journal tells how far every file goes and the CRC-32 of all of it. Whoever goes
on later keeps the batches that are there whole: a torn tail is cut off, and so is what a power
failure kept from the disk. No batch waits for the disk; the commit does.
"""

import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Self

from bitcodes.codes.columns import DTYPES, NPY_HEADER, npy_header, stored_type
from bitcodes.codes.header import FileEntry
from bitcodes.codes.layout import Layout
from bitcodes.codes.pack import code_bytes
from bitcodes.errors import CodeSetError
from bitcodes.files import atomic_write, open_regular

_TEXTS = ("paths", "skipped")
_ROLES = (*DTYPES, *_TEXTS)
_PLAN, _JOURNAL = "plan", "journal"
_CHUNK = 1 << 20

# Rows, skips, classes, width, then the size and the CRC-32 of each file, then the record's own.
_RECORD = struct.Struct("<4Q" + "QI" * len(_ROLES) + "I")


@dataclass(frozen=True)
class Record:
    """How far the staged files are good."""

    rows: int = 0
    skips: int = 0
    classes: int = 0  # columns of multi-hot labels; 0 for class numbers
    width: int = 0  # of features
    files: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: dict.fromkeys(_ROLES, (0, 0))
    )
    """Size and CRC-32 of each, without the .npy headers."""

    def pack(self, plan: bytes) -> bytes:
        """The bytes of the record; its checksum includes the plan: no other plan accepts it."""
        files = chain.from_iterable(self.files[role] for role in _ROLES)
        record = _RECORD.pack(self.rows, self.skips, self.classes, self.width, *files, 0)[:-4]
        return record + struct.pack("<I", zlib.crc32(record, zlib.crc32(plan)))

    @classmethod
    def unpack(cls, record: bytes, plan: bytes) -> Self | None:
        """Read a record of the journal; None where it is torn or of another plan."""
        if len(record) < _RECORD.size:
            return None
        rows, skips, classes, width, *files, _ = _RECORD.unpack(record)
        pairs = zip(files[::2], files[1::2], strict=True)
        result = cls(rows, skips, classes, width, dict(zip(_ROLES, pairs, strict=True)))
        return result if result.pack(plan) == record else None


class Staging:
    """The staged files of one plan, open for appending, while the caller holds the lock."""

    def __init__(self, layout: Layout, plan: bytes, columns: Sequence[str], resume: bool):
        """Open the folder and cut every file to the last good batch.

        The folder is made anew if it is not there or of another plan, or if `resume` is False.
        OSErrors pass through, here and in all methods.
        """
        self._layout = layout
        self._plan = plan
        self._torn = False
        self._files: dict[str, int] = {}
        self._journal = -1
        self.record = Record()
        self.dropped = 0
        """Rows that were there of another plan, or were not to be used."""
        self.resumed = resume and _content(layout.staging / _PLAN) == plan
        """Whether an interrupted writer of this plan has left the folder, with rows or without."""
        if not self.resumed:
            self.dropped = staged_rows(layout)
            layout.discard()
            layout.staging.mkdir()
            with atomic_write(layout.staging / _PLAN) as file:
                file.write(plan)
        try:
            for role in ("codes", *columns, *_TEXTS):
                self._files[role] = _open(layout.staged(role))
            self._journal = _open(layout.staging / _JOURNAL)
            self._recover()
        except BaseException:
            self.close()
            raise

    def _recover(self) -> None:
        end = 0
        for record in _records(b"".join(_read(self._journal, 0, sys.maxsize)), self._plan):
            if not self._holds(record):
                break
            self.record = record
            end += _RECORD.size
        for role, descriptor in self._files.items():
            _cut(descriptor, _start(role) + self.record.files[role][0])
        _cut(self._journal, end)

    def _holds(self, later: Record) -> bool:
        """Whether the files hold what a later record says, beyond what is known to be good."""
        for role, descriptor in self._files.items():
            size, crc = self.record.files[role]
            for data in _read(descriptor, _start(role) + size, later.files[role][0] - size):
                size, crc = size + len(data), zlib.crc32(data, crc)
            if (size, crc) != later.files[role]:
                return False
        return True

    def append(
        self, parts: Mapping[str, bytes], *, rows: int, skips: int, classes: int, width: int
    ) -> None:
        """Add a batch: bytes for each file, then the record that makes them count.

        If it fails, nothing of the batch counts, and this object accepts no more batches.
        """
        self._whole()
        self._torn = True
        now = self.record
        files = dict(now.files)
        for role, data in parts.items():
            _write(self._files[role], data)
            size, crc = files[role]
            files[role] = size + len(data), zlib.crc32(data, crc)
        later = Record(now.rows + rows, now.skips + skips, classes, width, files)
        _write(self._journal, later.pack(self._plan))
        self.record = later
        self._torn = False

    def _whole(self) -> None:
        if self._torn:
            raise CodeSetError(
                f"{self._layout.staging}: the previous batch was not written whole; "
                "open the writer again to go on from the last complete batch"
            )

    def finalise(self, bits: int) -> dict[str, FileEntry]:
        """Write the .npy headers, bring all to the disk, and tell what each file is by role."""
        self._whole()
        now = self.record
        widths = {"labels": now.classes, "features": now.width}
        widths |= {"codes": code_bytes(bits), "stat": 2}
        entries = {}
        for role, descriptor in self._files.items():
            if role == "skipped" and not now.skips:
                continue
            is_array = role in widths
            head = npy_header(*stored_type(role, now.rows, widths[role])) if is_array else b""
            os.lseek(descriptor, 0, os.SEEK_SET)
            _write(descriptor, head)
            os.fsync(descriptor)
            size, good_crc = now.files[role]
            crc, data_crc = zlib.crc32(head), 0
            for data in _read(descriptor, len(head), size):
                crc, data_crc = zlib.crc32(data, crc), zlib.crc32(data, data_crc)
            if data_crc != good_crc:
                raise CodeSetError(
                    f"{self._layout.staged(role)}: another program changed this file; "
                    "remove its folder and encode again"
                )
            entries[role] = FileEntry(size=len(head) + size, crc32=crc)
        return entries

    def close(self) -> None:
        """Close the files; complete batches stay."""
        for descriptor in (*self._files.values(), self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._files, self._journal = {}, -1


def staged_rows(layout: Layout) -> int:
    """How many rows an interrupted writer of any plan had staged, going by its journal."""
    plan, journal = _content(layout.staging / _PLAN), _content(layout.staging / _JOURNAL)
    return max((record.rows for record in _records(journal, plan)), default=0)


def _records(journal: bytes, plan: bytes) -> Iterator[Record]:
    """The good records of a journal, up to the first that is torn or of another plan."""
    for place in range(0, len(journal), _RECORD.size):
        if not (record := Record.unpack(journal[place : place + _RECORD.size], plan)):
            return
        yield record


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError:
        return b""


def _start(role: str) -> int:
    return NPY_HEADER if role in DTYPES else 0


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def _cut(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, 0, os.SEEK_END)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int, start: int, size: int) -> Iterator[bytes]:
    """Up to `size` bytes from `start` on; moves the position of the file."""
    os.lseek(descriptor, start, os.SEEK_SET)
    while size > 0 and (data := os.read(descriptor, min(size, _CHUNK))):
        yield data
        size -= len(data)
