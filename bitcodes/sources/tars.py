"""The members of a tar as they come, also where it is damaged.

tarfile ends without a word at a header that is damaged or cut, and at the end of the first of two
tars that are joined. It reads extended headers of any length into memory.
"""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bitcodes.sources.tape import Tape

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAGIC, _MAGIC_AT = b"ustar", 257
_MAX_EXTENDED = 1 << 20
"""Bytes in an extended header, which holds a long name: no path is that long."""
NO_END = "it ends without the zeros that end a tar: it may be cut short"
_MAX_TRIES = 10_000
"""Places that look like a header and are none, one after the other, before the rest is given up."""
_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


@dataclass(frozen=True)
class TarEntry:
    """What the headers of a member say of it. Its bytes begin at `offset`."""

    name: str
    is_folder: bool
    is_regular: bool  # neither a folder nor a link, a device or a file with holes
    size: int
    seconds: int  # when it was changed
    offset: int


@dataclass
class _State:
    """What has been read before the next header."""

    has_ended: bool = False  # the zeros that end an archive have come
    count: int = 0  # headers
    damage: int | None = None  # where it begins
    tries: int = 0  # to go on behind it
    fields: dict[str, str] = field(default_factory=dict)  # of extended headers, for the next member


def tar_entries(tape: Tape) -> Iterator[TarEntry | str]:
    """The members of a tar, and sentences that say where it is damaged or ends early.

    After damage it goes on at the next header that is sound. After the zeros that end an archive,
    another one may follow. A caller that wants a member's bytes reads them from a stream before it
    asks for the next. Source: POSIX.1-2024, pax interchange format, and the GNU tar manual.
    """
    state = _State()
    while block := tape.peek(_BLOCK):
        start = tape.position
        if not block.strip(b"\0"):
            tape.skip_to(start + len(block))
            state.has_ended = True
            continue
        header = _header(block)
        if header is None or not _read_extended(tape, header, block, state):
            state.damage = start if state.damage is None else state.damage
            state.tries += 1
            if state.tries > _MAX_TRIES:
                break
            tape.skip_to(max(start + 1, tape.position))
            tape.find(_MAGIC, _MAGIC_AT, _BLOCK)
            continue
        if state.damage is not None:
            yield f"it is damaged from byte {state.damage:,} to {start:,}: files may be lost there"
        state.damage, state.has_ended, state.tries = None, False, 0
        state.count += 1
        if header.type in _EXTENDED:
            continue
        entry = _entry(header, state.fields, tape.position)
        state.fields = {}
        yield entry
        stored = entry.size if _has_bytes(header) else 0
        end = entry.offset + -(-stored // _BLOCK) * _BLOCK
        cut = f"it ends within {entry.name!a}, or the size of that file is wrong"
        if tape.size is not None and entry.offset + stored > tape.size:
            yield cut
            state.has_ended = True  # what follows may be that file, but headers too
        elif not tape.skip_to(end):
            yield cut
            return
    yield from _ending(state, tape)


def _ending(state: _State, tape: Tape) -> Iterator[str]:
    if not tape.position:
        yield "it is empty (0 bytes)"
    elif not state.count and not state.has_ended:
        yield "it is no tar archive"
    elif state.damage is not None and not state.has_ended:
        yield f"it is damaged from byte {state.damage:,} to its end: files may be lost there"
    elif not state.has_ended:
        yield NO_END


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, IndexError):
        return None
    return header if header.size >= 0 else None


def _read_extended(tape: Tape, header: tarfile.TarInfo, block: bytes, state: _State) -> bool:
    """Read a header, and what extends it; False where that is damaged."""
    if header.type in _EXTENDED and header.size > _MAX_EXTENDED:
        return False
    tape.read(_BLOCK)
    if header.type == tarfile.GNUTYPE_SPARSE:  # the list of its parts goes on in more blocks
        place = 482
        while block[place]:
            block, place = tape.read(_BLOCK), 504
            if len(block) < _BLOCK:
                return False
    if header.type not in _EXTENDED:
        return True
    data = tape.read(-(-header.size // _BLOCK) * _BLOCK)[: header.size]
    if len(data) < header.size:
        return False
    if header.type == tarfile.GNUTYPE_LONGNAME:
        state.fields["path"] = data.decode("utf-8", "surrogateescape")
    elif header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        records = _records(data)
        state.fields.update(records or {})
        return records is not None
    return True


def _entry(header: tarfile.TarInfo, fields: Mapping[str, str], offset: int) -> TarEntry:
    name = fields.get("GNU.sparse.name") or fields.get("path") or header.name
    is_sparse = header.type == tarfile.GNUTYPE_SPARSE
    is_sparse = is_sparse or any(key.startswith("GNU.sparse.") for key in fields)
    try:
        seconds = int(float(fields.get("mtime", header.mtime)) // 1)
    except (ValueError, OverflowError):
        seconds = 0
    return TarEntry(
        name.split("\0")[0],
        header.isdir() or name.endswith("/"),
        header.isreg() and not is_sparse,
        int(fields.get("size", header.size)),
        seconds,
        offset,
    )


def _has_bytes(header: tarfile.TarInfo) -> bool:
    return header.isreg() or header.type not in tarfile.SUPPORTED_TYPES


def _records(data: bytes) -> dict[str, str] | None:
    """The records "length key=value" of an extended header; None where they are damaged."""
    records = {}
    start, end = 0, len(data.rstrip(b"\0"))
    while start < end:
        digits, _, _ = data[start : start + 20].partition(b" ")
        if not digits.isdigit() or not 5 <= int(digits) <= len(data) - start:
            return None
        stop = start + int(digits)
        record = data[start + len(digits) + 1 : stop - 1]
        key, separator, value = record.decode("utf-8", "surrogateescape").partition("=")
        if not separator:
            return None
        records[key] = value
        start = stop
    size = records.get("size", "0")
    return records if len(size) <= 20 and size.isascii() and size.isdecimal() else None
