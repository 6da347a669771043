"""What an image file says about its orientation, read and never written."""

import io
import re
import struct
from typing import BinaryIO

from PIL import Image

ORIENTATION = 274
_INTEGERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i"}  # TIFF's types of numbers that fit an entry
_MAX_ENTRIES = 1000
_HEAD = b"Exif\0\0"
_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])\s*["'<]""")


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
            form = _INTEGERS.get(kind, "I")
            form = form if length * struct.calcsize(form) <= 4 else "I"
            tags.setdefault(tag, struct.unpack_from(order + form, entry, 8)[0])
    file.seek(start)
    return tags


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation of an image, 1 to 8, or 0 where the file does not say.

    Damage elsewhere in the EXIF block does not matter. XMP counts where EXIF does not say it.
    """
    info = image.info
    block = info.get("exif")
    found = orientation_in(block) if isinstance(block, bytes) else 0
    for name in ("exif", "APP1"):  # ImageMagick's, of old PNGs
        found = found or _in_text(info.get(f"Raw profile type {name}"))
    return found or xmp_orientation(image)


def orientation_in(block: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block has, or 0."""
    value = directory(io.BytesIO(block.removeprefix(_HEAD))).get(ORIENTATION, 0)
    return value if 1 <= value <= 8 else 0


def xmp_orientation(image: Image.Image) -> int:
    """The orientation, 1 to 8, that an image's XMP has, or 0."""
    block = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    text = block.encode() if isinstance(block, str) else block
    match = _XMP.search(text) if isinstance(text, bytes) else None
    return int(match[1]) if match else 0


def _in_text(text: object) -> int:
    """The orientation in an EXIF block that is written in hexadecimal, after three lines."""
    if not isinstance(text, str):
        return 0
    try:
        return orientation_in(bytes.fromhex("".join(text.split("\n")[3:])))
    except ValueError:
        return 0
