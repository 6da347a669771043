"""Trials of archives: hostile ones, and sound ones that were damaged."""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from mutated.bases import BITS, WORKERS, command, export
from mutated.reference import read_plain, wrong_hits
from mutated.trial import STREAMS, Output, Trial

NAMES = [f"{number:02}.png" for number in range(6)]


def build(base: Path) -> None:
    """Pictures, their codes, and the run that encodes them."""
    from tiny import make_pictures, make_run

    make_pictures(base / "photos", len(NAMES))
    run = make_run(base / "run", BITS)
    export(run)
    command("encode", base / "photos", "-o", base / "known.npy", "--run", run, *WORKERS)


def ready(base: Path) -> None:
    """Nothing more is needed."""


def _unpacked(suffix: str, content: bytes) -> bytes:
    """What is in a compressed file, as far as it can be read."""
    makers: dict[str, Callable[[], Any]] = {
        "tar.gz": lambda: zlib.decompressobj(31),
        "tar.bz2": bz2.BZ2Decompressor,
        "tar.xz": lzma.LZMADecompressor,
    }
    if suffix not in makers:
        return content
    decompressor, inside = makers[suffix](), bytearray()
    with suppress(OSError, EOFError, zlib.error, lzma.LZMAError):
        for start in range(0, len(content), 64):
            inside += decompressor.decompress(content[start : start + 64])
    return bytes(inside)


def play(base: Path, trial: Trial) -> None:
    """Encode an archive, and use the set that comes of it."""
    random = Random(f"archives {trial.report.number}")
    hostile = trial.report.number % 4 == 3
    suffix, content, what = _hostile(random) if hostile else _damaged(base, random)
    trial.report.what = f"{suffix}: {what}"
    file = trial.folder / f"a.{suffix}"
    file.write_bytes(content)
    known = read_plain(base / "known.npy")
    before = {*trial.folder.parent.iterdir(), *(Path(f"{trial.folder}.{one}") for one in STREAMS)}
    codes = {
        line.decode(): code.tobytes() for line, code in zip(known.lines, known.codes, strict=True)
    }

    inside = b"" if hostile else _unpacked(suffix, content)
    whole = {name for name in NAMES if (base / "photos" / name).read_bytes() in inside}

    def encoded(output: Output) -> str | None:
        mine = read_plain(trial.folder / "codes.npy")
        seen = []
        for row, code in enumerate(mine.codes):
            name = mine.path(row)
            seen.append(name)
            expected = {codes[name]} if name in codes else {*codes.values()}
            # A tar has no checksums: a picture that is damaged in it may be another one.
            if name not in whole and suffix != "zip":
                continue
            if not hostile and code.tobytes() not in expected:
                return f"another code for {name!r}"
        if not hostile and len(mine.codes) < len(NAMES):
            lost = sorted(set(NAMES) - set(seen))
            skipped = trial.folder / "codes.skipped.txt"
            # A name that has become that of no image is none of its business.
            renamed = {*seen} - {*NAMES} or what.startswith("extended header")
            if not skipped.exists() and not renamed:
                return f"{lost} lost without a word: {output.err[-300:]}"
        return None

    words = ["encode", file.name, "-o", "codes.npy", "--run", base / "run", *WORKERS]
    trial.command(*words, check=encoded)
    if trial.report.number % 5 == 0:
        trial.command(*words, "--strict", "--force")
    if not (trial.folder / "codes.npy").exists():
        return

    def searched(output: Output) -> str | None:
        mine = read_plain(trial.folder / "codes.npy")
        return wrong_hits(output.json(), known.bits[2], mine.bits, 3)

    query = base / "photos/02.png"
    trial.command("search", query, "-k", 3, "--json", *WORKERS, check=searched)
    trial.command("search", query, "--copy-to", "copies", "--html", "page.html", *WORKERS)
    trial.command("encode", check=lambda output: encoded(output))
    trial.command("duplicates", "--keep", "largest")
    for path in trial.folder.rglob("*"):
        if path.is_symlink():
            trial.report.problems.append(f"wrong: a link came out: {path}")
    if outside := {*trial.folder.parent.iterdir()} - before:
        trial.report.problems.append(f"wrong: files outside: {sorted(map(str, outside))}")


@cache
def _attacks() -> list[tuple[str, str, bytes]]:
    """Name, suffix and content of each of the hostile archives of the tests."""
    from attacks import archives

    every = sorted(archives.attacks().items())
    return [(name, one.role, one.content) for name, one in every if isinstance(one.content, bytes)]


def _hostile(random: Random) -> tuple[str, bytes, str]:
    name, suffix, content = random.choice(_attacks())
    if random.random() < 0.4 and len(content) < 1_000_000:
        from attacks.mutate import mutated

        return suffix, mutated(content, random), f"{name}, changed"
    return suffix, content, name


# -- sound ones, and what is done to them ----------------------------------------------------------


def _tar(base: Path, random: Random) -> bytes:
    form = random.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as packed:
        for name in NAMES:
            packed.add(base / "photos" / name, name)
    return file.getvalue()


def _zip(base: Path, random: Random) -> bytes:
    method = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    file = io.BytesIO()
    large = random.random() < 0.2
    with zipfile.ZipFile(file, "w", method) as packed:
        for name in NAMES:
            data = (base / "photos" / name).read_bytes()
            with packed.open(name, "w", force_zip64=large) as member:
                member.write(data)
    return file.getvalue()


_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": lambda data: data,
    "tar.gz": lambda data: gzip.compress(data, 6, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def _damaged(base: Path, random: Random) -> tuple[str, bytes, str]:
    suffix = random.choice(
        ["tar", "tar", "tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "zip", "zip"]
    )
    sound = _zip(base, random) if suffix == "zip" else _tar(base, random)
    changes = _ZIP_CHANGES if suffix == "zip" else _TAR_CHANGES
    pack = _PACKERS.get(suffix, bytes)
    if random.random() < 0.4:
        from attacks.mutate import mutated

        inside = random.random() < 0.3
        content = pack(mutated(sound, random)) if inside else mutated(pack(sound), random)
        return suffix, content, f"bytes changed{' inside' if inside else ''}"
    change = random.choice(changes)
    content, what = change(sound, random)
    return suffix, pack(content), what


def _tar_field(data: bytes, random: Random) -> tuple[bytes, str]:
    """A field of a header, with the header's checksum made to fit or not."""
    headers = [
        place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"
    ]
    start = random.choice(headers)
    block = bytearray(data[start : start + 512])
    name, at, size = random.choice(
        [
            ("name", 0, 100),
            ("mode", 100, 8),
            ("size", 124, 12),
            ("mtime", 136, 12),
            ("type", 156, 1),
            ("link", 157, 100),
            ("magic", 257, 8),
            ("prefix", 345, 155),
            ("size", 124, 12),
        ]
    )
    value = random.choice(
        [
            b"\x00",
            b"\xff" * size,
            b"7" * (size - 1) + b"\x00",
            b"\x80" + b"\x00" * (size - 2) + b"\x01",
            b"00000000000\x00"[:size],
            b"../../x.png",
            b"/tmp/x.png",
            b"\x1b[31m.png",
            random.randbytes(size),
            bytes([random.choice(b"0123456789LKxgSDVMN\x00")]),
            b"-1",
            b" " * size,
        ]
    )
    block[at : at + size] = value[:size].ljust(size, b"\0")
    if random.random() < 0.8:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return data[:start] + bytes(block) + data[start + 512 :], f"{name} = {value[:12]!r}"


def _cut(data: bytes, random: Random) -> tuple[bytes, str]:
    place = random.choice([random.randrange(len(data)), random.randrange(len(data)) // 512 * 512])
    return data[:place], f"cut at {place}"


def _join(data: bytes, random: Random) -> tuple[bytes, str]:
    return data + data, "two of them joined"


def _hole(data: bytes, random: Random) -> tuple[bytes, str]:
    start = random.randrange(len(data)) // 512 * 512
    count = random.choice([1, 2, 5]) * 512
    if random.random() < 0.5:
        return data[:start] + data[start + count :], f"{count} bytes missing at {start}"
    return data[:start] + bytes(count) + data[start + count :], f"{count} zeros at {start}"


def _before(data: bytes, random: Random) -> tuple[bytes, str]:
    more = random.choice([bytes(512), b"#!/bin/sh\n", random.randbytes(700), b"PK\x03\x04"])
    return more + data, f"{len(more)} bytes before"


def _pax(data: bytes, random: Random) -> tuple[bytes, str]:
    """An extended header before a member."""
    from attacks.archives import extended, record

    records = random.choice(
        [
            record("size", str(random.choice([0, -1, 2**63, 10**19, 7]))),
            record("path", "\x1b[2Jx.png"),
            record("path", "../" * 9 + "x.png"),
            record("mtime", "nan"),
            record("mtime", "1e400"),
            record("GNU.sparse.map", "0,1,2"),
            record("GNU.sparse.size", "9" * 18),
            b"9 a=b\n",
            b"\xff",
            record("GNU.sparse.major", "1") + record("GNU.sparse.realsize", "99999999999"),
        ]
    )
    headers = [
        place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"
    ]
    start = random.choice(headers)
    kind = random.choice([tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
    header = extended(records, kind)
    return data[:start] + header + data[start:], f"extended header {records[:30]!r}"


def _zip_field(data: bytes, random: Random) -> tuple[bytes, str]:
    """A field of a list entry, of a local header or of the end."""
    kinds = {
        b"PK\x01\x02": {
            **{
                "version": (4, 2),
                "flags": (8, 2),
                "method": (10, 2),
                "time": (12, 4),
                "crc": (16, 4),
            },
            **{"stored": (20, 4), "size": (24, 4), "name length": (28, 2), "extra length": (30, 2)},
            **{
                "comment length": (32, 2),
                "disk": (34, 2),
                "attributes": (38, 4),
                "offset": (42, 4),
            },
        },
        b"PK\x03\x04": {
            **{
                "flags": (6, 2),
                "method": (8, 2),
                "crc": (14, 4),
                "stored": (18, 4),
                "size": (22, 4),
            },
            **{"name length": (26, 2), "extra length": (28, 2), "name": (30, 6)},
        },
        b"PK\x05\x06": {
            **{"disk": (4, 2), "count": (10, 2), "list size": (12, 4), "list offset": (16, 4)},
            **{"comment length": (20, 2)},
        },
    }
    magic = random.choice([*kinds, b"PK\x01\x02"])
    places = [match.start() for match in re.finditer(re.escape(magic), data)]
    start = random.choice(places)
    name, (at, size) = random.choice([*kinds[magic].items()])
    old = int.from_bytes(data[start + at : start + at + size], "little")
    value = random.choice(
        [0, 1, old + 1, old ^ 8, 0x7F << 8 * (size - 1), (1 << 8 * size) - 1, old // 2]
    )
    value = random.choice([value, random.randrange(1 << 8 * size)]) % (1 << 8 * size)
    changed = value.to_bytes(size, "little")
    result = data[: start + at] + changed + data[start + at + size :]
    return result, f"{magic[2:]!r} {name}: {old} to {value}"


def _zip_swap(data: bytes, random: Random) -> tuple[bytes, str]:
    """Two members whose list entries name each other's bytes, or the same."""
    places = [match.start() for match in re.finditer(b"PK\x01\x02", data)]
    one, other = random.sample(places, 2)
    offsets = [data[place + 42 : place + 46] for place in (one, other)]
    content = bytearray(data)
    content[one + 42 : one + 46] = offsets[1]
    if random.random() < 0.5:
        content[other + 42 : other + 46] = offsets[0]
    return bytes(content), "offsets swapped"


def _zip_list_missing(data: bytes, random: Random) -> tuple[bytes, str]:
    start = data.index(b"PK\x01\x02")
    kind = random.randrange(3)
    if kind == 0:
        return data[:start], "no list"
    if kind == 1:
        return data[:start] + data[data.index(b"PK\x05\x06") :], "a list of nothing"
    return data[:start] + data[start:].replace(b"PK\x01\x02", b"PK\x01\x03", 1), "a damaged entry"


def _zip64_end(data: bytes, random: Random) -> tuple[bytes, str]:
    end = data.index(b"PK\x05\x06")
    numbers = [random.choice([0, 6, 2**32, 2**63 - 1, 2**64 - 1, end]) for _ in range(4)]
    last = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *numbers)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, random.choice([end, 0, 2**63]), 1)
    return data[:end] + last + locator + data[end:], f"zip64 end {numbers}"


_Changes = list[Callable[[bytes, Random], tuple[bytes, str]]]
_TAR_CHANGES: _Changes = [*[_tar_field] * 6, _cut, _cut, _join, _hole, _before, _pax, _pax]
_ZIP_CHANGES: _Changes = [*[_zip_field] * 7, _cut, _join, _hole, _before, _zip_swap]
_ZIP_CHANGES += [_zip_list_missing, _zip64_end]
