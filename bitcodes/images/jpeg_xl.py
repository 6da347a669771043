"""The size of a JPEG XL image, which its plugin tells only after it has decoded all of it."""

from typing import BinaryIO

JXL_HINT = "a JPEG XL image, which is not supported here: pip install 'bitcodes[jxl]'"

_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_MAX_BOXES = 1000


def jxl_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height; raises SyntaxError for what is no JPEG XL image.

    ISO/IEC 18181-1, D.2 (size header); ISO/IEC 18181-2, 9 (boxes).
    """
    bits = int.from_bytes(_codestream(file), "little")
    position = 0

    def take(count: int) -> int:
        nonlocal position
        position += count
        return bits >> (position - count) & ((1 << count) - 1)

    is_small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if is_small else take(_SIDE_BITS[take(2)]) + 1

    height = side()
    ratio = take(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _codestream(file: BinaryIO) -> bytes:
    """The first bytes of the image after its signature, from within its boxes if it has any."""
    file.seek(0)
    head = file.read(12)
    place = 0
    for _ in range(_MAX_BOXES):
        if head.startswith(b"\xff\x0a"):
            return head[2:]
        size, kind = int.from_bytes(head[:4]), head[4:8]
        start = place + 8
        if size == 1:
            size, start = int.from_bytes(head[8:] + file.read(4)), place + 16
        if kind in (b"jxlc", b"jxlp"):
            file.seek(start + 4 * (kind == b"jxlp"))
            head = file.read(14)
            if not head.startswith(b"\xff\x0a"):
                break
            continue
        if size < 8:
            break
        place += size
        file.seek(place)
        head = file.read(12)
    raise SyntaxError("a JPEG XL image without a beginning")
