"""What an image file says about its orientation, read and never written."""

import io
import struct
from typing import BinaryIO, TypeGuard

from PIL import Image

ORIENTATION = 274
_INTEGERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i"}  # TIFF's types of numbers that fit an entry
_MAX_ENTRIES = 1000


def directory(file: BinaryIO) -> dict[int, int]:
    """The first directory of a TIFF file, or of an EXIF block: its tags with their integers.

    Numbers that do not fit into an entry are represented by their place in the file. A damaged
    directory gives what can be read of it.
    """
    start = file.tell()
    file.seek(0)
    head = file.read(8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    tags: dict[int, int] = {}
    if order and len(head) == 8:
        file.seek(struct.unpack(order + "I", head[4:])[0])
        count = int.from_bytes(file.read(2), "little" if order == "<" else "big")
        for _ in range(min(count, _MAX_ENTRIES)):
            entry = file.read(12)
            if len(entry) < 12:
                break
            tag, kind, length = struct.unpack(order + "HHI", entry[:8])
            form = _INTEGERS.get(kind, "I") if length == 1 else "I"
            tags.setdefault(tag, struct.unpack_from(order + form, entry, 8)[0])
    file.seek(start)
    return tags


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation of an image, 1 to 8, or 0 where the file does not say.

    Damage elsewhere in the EXIF block does not matter.
    """
    block = image.info.get("exif")
    if isinstance(block, bytes):
        value: object = directory(io.BytesIO(block.removeprefix(b"Exif\0\0"))).get(ORIENTATION)
        if _is_orientation(value):
            return value
    try:
        value = image.getexif().get(ORIENTATION)  # also from XMP, and from the text of old PNGs
    except Exception:  # Pillow reads all of the block, and it is damaged
        return 0
    return value if _is_orientation(value) else 0


def _is_orientation(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 1 <= value <= 8
