"""Gray pictures of more than 8 bits, of integers or of real numbers, as 8 bits."""

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.errors import ImageError

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0's tags
_RANGES = ((340, 341), (280, 281))  # smallest and largest: of SMinSampleValue, of MinSampleValue
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, 1, 2
_DEPTHS = (8, 10, 12, 14, 16)
PRECISION = "precision"
"""The key, in an image's info, of what JPEG 2000 says of its first channel: Ssiz (A.5.1)."""
_PPM = ("ppm", "ppm_plain")  # Pillow's decoders, whose arguments are mode and white
_NO_DATA = 42113  # GDAL's tag
_FILLERS = {-9999.0: 1, -99999.0: 1, -32767.0: 2, -32768.0: 2, -(2.0**31): 2}
"""Values that stand for none in files that do not say so, if they are so many times as far away
from the other values as these are from each other."""
_ENDLESS = 1e30
"""So do real numbers beyond this."""
_SAMPLES = 1_000_000
_SPARKS, _STARS = 0.1, 0.5  # percent of all pixels that may lie beyond black and white
_MOST_OF_IT = 4  # times as wide: a range with sparks in it

Range = tuple[float, float]


def gray_to_8_bits(image: Image.Image, of_16_bits: bool = False) -> Image.Image:
    """Scale a gray picture of mode I or F, of any range, to mode L, or LA if it is transparent.

    Black and white are those that the file states (the depth of PGM and JPEG 2000, the tags of
    TIFF), if no value lies beyond them. 16 bits (`of_16_bits`) state nothing, as libraries write
    that without looking, nor does another depth of which the values fill less than a quarter.
    Otherwise the values decide: white is the largest number of
    8, 10, 12, 14, 15 (signed) or 16 bits that is less than 4 times the largest value; 1 likewise
    for real numbers. Any other range is stretched, and a small part of one. Integers of more than 8
    bits keep their highest bits, as Pillow does for 16-bit colour.
    """
    values = np.asarray(image)  # (H, W)
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    is_unsigned = _number(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) == _UNSIGNED
    if values.dtype == np.int32 and _number(tags.get(_BITS, 0)) == 32 and is_unsigned:
        values = values.view(np.uint32)
    finite = values
    if values.dtype.kind == "f" and not (is_finite := np.isfinite(values)).all():
        finite = values[is_finite]
    if finite.size == 0:
        raise ImageError("no pixel has a finite value")
    finite = _without_filler(finite, tags.get(_NO_DATA))
    is_signed = _number(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) == _SIGNED
    low, high = _stated_range(image, of_16_bits, tags, finite) or _range_of(finite, is_signed)
    scaled = _scale(values, low, high)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    gray = Image.fromarray(scaled)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int):
        gray.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return gray


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is not decoded yet has 16 bits per channel in its file."""
    if image.format == "JPEG2000":
        return bool(image.info.get(PRECISION, 0) & 127 == 15)
    tiles = getattr(image, "tile", None) or []
    return any(";16" in str(tile[3]) or (tile[0] in _PPM and tile[3][1] == 65535) for tile in tiles)


def brighten_deep(image: Image.Image) -> Image.Image:
    """A picture of mode RGB, RGBA or LA with 16 bits in its file, as bright as gray would be.

    Pillow keeps the highest 8 bits. Where the values had only 10, 12 or 14 bits, few are left.
    """
    if image.mode not in ("RGB", "RGBA", "LA"):
        return image
    hidden = image.info.get("transparency")
    if isinstance(hidden, tuple):  # a colour of 16 bits
        image.info["transparency"] = tuple(value >> 8 for value in hidden)
        image = image.convert("RGBA")
    colours = image.convert("RGB")
    most = max(high for _, high in colours.getextrema())  # type: ignore[misc]
    white = next(
        (2 ** (depth - 8) - 1 for depth in (10, 12, 14) if 0 < most <= 2 ** (depth - 8)), 0
    )
    if not white:
        return image
    brighter = colours.point([min(255, value * 255 // white) for value in range(256)] * 3)
    if image.mode != "RGB":
        brighter.putalpha(image.getchannel("A"))
    brighter.info = image.info
    return brighter


def _without_filler(values: NDArray[Any], stated: Any) -> NDArray[Any]:
    """The values without those that stand for none: stated so, or known and far from the others."""
    with suppress(TypeError, ValueError):
        others = values[values != float(str(stated).rstrip("\0"))]
        values = others if others.size else values
    for end in () if values.dtype.kind == "u" else (values.min(), values.max()):
        filler = float(end)
        if filler in _FILLERS or abs(filler) >= _ENDLESS:
            others = values[values != end]
            low, high = (float(others.min()), float(others.max())) if others.size else (0.0, 0.0)
            gap = min(abs(filler - low), abs(filler - high))
            if 0 < (high - low) * _FILLERS.get(filler, 1) < gap:
                values = others
    return values


def _is_of_8_bits(values: NDArray[Any], white: int) -> bool:
    """Whether values of 16 bits were made from 8 bits."""
    return white == 65535 and bool(np.all(values % 257 == 0) or np.all(values % 256 == 0))


def _scale(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    depth = int(high).bit_length()
    if values.dtype.kind in "iu" and low == 0 and depth in range(8, 17) and high == 2**depth - 1:
        return (values.clip(0, int(high)) >> (depth - 8)).astype(np.uint8)
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, _SAMPLES // values.shape[1])  # at a time: as real numbers they take much memory
    for start in range(0, len(values), rows):
        part = values[start : start + rows].astype(np.float64)
        real = np.nan_to_num(part, nan=low, posinf=high, neginf=low)
        real = (real - low) / (high - low or 1.0) * 255.0
        scaled[start : start + rows] = np.clip(np.rint(real), 0, 255)
    return scaled


def _stated_range(
    image: Image.Image, of_16_bits: bool, tags: dict[int, Any], values: NDArray[Any]
) -> Range | None:
    """Black and white as the file states them, if it does and all values lie between."""
    low, high = float(values.min()), float(values.max())
    is_whole = values.dtype.kind in "iu"
    if image.format == "FITS":  # which never states them, and stars are far brighter than all else
        return _middle(values, _STARS)
    if image.info.get(PRECISION, 0) & 128:  # signed: Pillow adds half of the range
        return low, high
    if image.format in ("PPM", "JPEG2000") and is_whole and not of_16_bits:
        return 0, 65535  # Pillow scales the depth in the header to 16 bits
    stated: list[Range] = []
    for low_tag, high_tag in _RANGES:
        if high_tag in tags:
            stated.append((_number(tags.get(low_tag, 0)), _number(tags[high_tag])))
    depth = _number(tags.get(_BITS, 16))
    if is_whole and depth not in (8, 16, 32) and high > 2**depth / 4:
        stated.append((0, 2**depth - 1))
    whole = 2.0 ** (8 * values.dtype.itemsize) - 1  # what libraries write without looking
    for least, most in stated:
        if least <= low and high <= most and least < most and (most < whole or high > most / 4):
            return least, most
    return None


def _number(value: Any) -> float:
    """The first number of a tag; NaN, which no comparison holds for, where it has none."""
    first = value[0] if isinstance(value, tuple) and value else value
    try:
        return float(first)
    except (TypeError, ValueError, ZeroDivisionError):
        return float("nan")


def _range_of(values: NDArray[Any], is_signed: bool) -> Range:
    """Black and white that go with the values themselves."""
    if values.dtype.kind == "f":
        least, most = _middle(values, _SPARKS)
        for white in (1, *(2**depth - 1 for depth in _DEPTHS)):
            if -0.1 * white <= least and white / 4 < most <= 1.1 * white:
                return 0, white
        whole = float(values.min()), float(values.max())
        is_lost = 0 < _MOST_OF_IT * (most - least) < whole[1] - whole[0]
        return (least, most) if is_lost else whole
    low, high = int(values.min()), int(values.max())
    if low < 0:
        return low, high
    if high < 2**16:
        low, high = map(int, _middle(values, _SPARKS))
    depths = sorted({*_DEPTHS, 15}) if is_signed else _DEPTHS
    white = next((2**bits - 1 for bits in depths if (2**bits - 1) / 4 < high < 2**bits), 0)
    if white == 0:
        return (0 if high < 2**16 else low), high
    # Heat, depth and starlight fill a small part of the range of their sensors.
    part = 4 if white < 2**15 - 1 else 8
    is_flat = white > 255 and 0 < high - low < white / part and not _is_of_8_bits(values, white)
    return (low, high) if is_flat else (0, white)


def _middle(values: NDArray[Any], share: float) -> Range:
    """The range of all but a share, in percent, of the smallest and of the largest values."""
    sample = values.ravel()[:: max(1, values.size // _SAMPLES)]
    low, high = np.percentile(sample, (share, 100 - share), method="nearest").tolist()
    return low, high
