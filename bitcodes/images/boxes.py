"""What the boxes of a HEIF or AVIF file say of its pictures (ISO/IEC 14496-12 and 23008-12)."""

from collections.abc import Iterator
from typing import BinaryIO

_MAX_BOXES = 1000
_MAX_BYTES = 1 << 24  # of a box that describes pictures
_DESCRIBE = (b"meta", b"moov")


def descriptions(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The boxes that describe the pictures in a file, and where each begins."""
    place = 0
    for _ in range(_MAX_BOXES):
        file.seek(place)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:])
        if kind in _DESCRIBE:
            file.seek(place)
            yield place, file.read(min(size, _MAX_BYTES) if size else _MAX_BYTES)
        if size < 8 or len(head) < 8:  # 0: up to the end
            return
        place += size


def sizes(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Width and height of each picture: ISO/IEC 23008-12, 6.5.3, the box ispe."""
    for _, box in descriptions(file):
        for place in _places(box, b"ispe"):
            yield _number(box, place + 8, 4), _number(box, place + 12, 4)


def colours(file: BinaryIO) -> tuple[int, int] | None:
    """The numbers of primaries and of the transfer curve (ITU-T H.273), if the file has them.

    ISO/IEC 14496-12, 12.1.5: the box colr of type nclx, the first of which is the main picture's.
    """
    for _, box in descriptions(file):
        for place in _places(box, b"colrnclx"):
            return _number(box, place + 8, 2), _number(box, place + 10, 2)
    return None


def _places(box: bytes, kind: bytes) -> Iterator[int]:
    place = box.find(kind)
    while place >= 0:
        yield place
        place = box.find(kind, place + 4)


def _number(box: bytes, place: int, length: int) -> int:
    return int.from_bytes(box[place : place + length])
