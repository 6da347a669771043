"""Changes that make a copy of an image: the same picture to an eye, other pixels."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageFilter


def cropped(image: Image.Image) -> Image.Image:
    """80 % of either side, from a corner: the copy shows 64 % of the picture."""
    return image.crop((0, 0, round(0.8 * image.width), round(0.8 * image.height)))


def blurred(image: Image.Image) -> Image.Image:
    """A Gaussian of a fortieth of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 40))


def recompressed(image: Image.Image, quality: int = 20) -> Image.Image:
    """JPEG of this quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def mirrored(image: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = MappingProxyType(
    {change.__name__: change for change in (cropped, blurred, recompressed, mirrored)}
)
"""The changes that `evaluate --copies` makes, by name; each gives the same pixels every time."""
