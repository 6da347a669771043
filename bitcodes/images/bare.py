"""Image files without what is not needed for their pixels: texts, EXIF, previews.

Decoders refuse whole files for damage in those.
"""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from bitcodes.images.boxes import descriptions
from bitcodes.images.exif import orientation_in

_PARTS = 100_000  # chunks or segments of a file
_EXIF = b"Exif\0\0"


class Bare(NamedTuple):
    """What is left of a file, and the orientation that its EXIF block has; 0: none."""

    file: BinaryIO
    orientation: int


def bare(file: BinaryIO) -> Bare | None:
    """A PNG, JPEG, WebP or AVIF file without metadata; None for others and where there is none.

    Colour profiles are left out too, as damaged ones say nothing about the pixels.
    """
    file.seek(0)
    head = file.read(16)
    make = next((make for is_kind, make in _KINDS if is_kind(head)), None)
    if make is None:
        return None
    file.seek(0)
    content = file.read()
    exif: list[bytes] = []
    left = b"".join(make(content, exif))
    if len(left) == len(content) and left == content:
        return None
    found = (orientation_in(block) for block in exif)
    return Bare(io.BytesIO(left), next(filter(None, found), 0))


def _png(content: bytes, exif: list[bytes]) -> Iterator[bytes]:
    """The signature and the chunks of pixels, colours and transparency that are sound."""
    yield content[:8]
    place = 8
    for _ in range(_PARTS):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        end = place + 12 + length
        if kind == b"eXIf":
            exif.append(content[place + 8 : end - 4])
        if kind in _PIXELS or (kind == b"tRNS" and _is_sound(content[place:end])):
            yield content[place:end]
        if kind == b"IEND" or end >= len(content):
            return
        place = end


_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


def _is_sound(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def jpeg_process(content: bytes) -> int:
    """The marker of the frame of a JPEG, 0xC0 to 0xCF, which says how it is coded; 0: none."""
    markers = (marker for marker, _, _ in _segments(content))
    return next((marker for marker in markers if marker in _FRAMES), 0)


def _jpeg(content: bytes, exif: list[bytes]) -> Iterator[bytes]:
    """All but the segments of applications, of which Adobe's says what the colours are."""
    yield content[:2]
    end = 2
    for marker, start, end in _segments(content):
        if content.startswith(_EXIF, start + 4):
            exif.append(content[start + 10 : end])
        if marker not in _APPLICATIONS:
            yield content[start:end]
    yield content[end:]


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG before its pixels: markers, and where each begins and ends."""
    place = 2
    for _ in range(_PARTS):
        if place + 4 > len(content):
            return
        marker = content[place + 1] if content[place] == 0xFF else _SCAN
        if marker == _SCAN:  # or anything
            return
        if marker == 0xFF:  # filling
            place += 1
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        yield marker, place, end
        place = end


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA  # after which the pixels come
_APPLICATIONS = frozenset({*range(0xE1, 0xF0), 0xFE} - {0xEE})  # and comments


def _webp(content: bytes, exif: list[bytes]) -> Iterator[bytes]:
    """The chunks of pixels; the head says that there are no others."""
    kept = []
    place = 12
    for _ in range(_PARTS):
        kind = content[place : place + 4]
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        chunk = content[place : place + 8 + length + length % 2]
        if kind == b"EXIF":
            exif.append(chunk[8:].removeprefix(_EXIF))
        elif kind == b"VP8X":
            kept.append(chunk[:8] + bytes([chunk[8] & 0x12]) + chunk[9:])  # alpha, animation
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"):
            kept.append(chunk)
        place += len(chunk)
        if len(chunk) < 8 or place >= len(content):
            break
    left = b"".join(kept)
    yield b"RIFF" + (len(left) + 4).to_bytes(4, "little") + b"WEBP" + left


def _avif(content: bytes, exif: list[bytes]) -> Iterator[bytes]:
    """The same, with EXIF blocks renamed to something that no decoder looks at."""
    changed = bytearray(content)
    for place, box in descriptions(io.BytesIO(content)):
        for item in re.finditer(rb"infe(?:\x02.{7}|\x03.{9})(Exif|mime)", box, re.DOTALL):
            start = place + item.start(1)
            changed[start : start + 4] = b"none"
    yield bytes(changed)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, list[bytes]], Iterator[bytes]]], ...]
_KINDS = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
    (lambda head: head[4:8] == b"ftyp", _avif),
)
