"""What the head of a file claims, checked before a decoder believes it."""

from typing import BinaryIO

from PIL import Image

from bitcodes.images.boxes import sizes

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded: they are mostly decompression bombs."""
MAX_GRAY_32_PIXELS = MAX_PIXELS // 2
"""The same for gray of 32 bits, of which a pixel takes 14 bytes on the way to 8 bits."""

# A progressive JPEG repeats every pixel in each of its scans, and a scan can take a few bytes.
_MAX_SCANNED_PIXELS = 4_000_000_000


class TooLarge(Image.DecompressionBombError):
    """An image has too many pixels."""

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(
            f"too large: {width:,} x {height:,}, more than {most:,} pixels (a decompression bomb?)"
        )


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise TooLarge for images of more than `most` pixels."""
    if width * height > most:  # Pillow's own limit may be lifted by the program
        raise TooLarge(width, height, most)


def check_boxes(file: BinaryIO) -> None:
    """Raise TooLarge for a HEIF or AVIF file with a large image, before its decoder fails at it."""
    for width, height in sizes(file):
        check_size(width, height)


def check_scans(file: BinaryIO, width: int, height: int) -> None:
    """Refuse a progressive JPEG whose thousands of scans would take hours to decode."""
    position = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans * width * height > _MAX_SCANNED_PIXELS:
        raise Image.DecompressionBombError(
            f"a progressive JPEG of {width} x {height} pixels in {scans} scans "
            "would take too long to decode (a decompression bomb?)"
        )
