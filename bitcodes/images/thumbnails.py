"""Small pictures for pages and terminals."""

import io

from PIL import Image


def thumbnail(image: Image.Image, size: int) -> Image.Image:
    """An RGB picture that fits size x size pixels; a tiny one is enlarged by a whole number.

    Whoever shows it would blur or coarsen a tiny picture.
    """
    enlarge = size // (2 * max(image.size))
    if enlarge <= 1:
        return _shrunk(image, size)
    width, height = image.size
    return image.resize((width * enlarge, height * enlarge), Image.Resampling.LANCZOS)


def thumbnail_jpeg(image: Image.Image, size: int) -> bytes:
    """Shrink an RGB picture to fit size x size pixels, never enlarging it, as a JPEG file."""
    file = io.BytesIO()
    _shrunk(image, size).save(file, "JPEG", quality=85, optimize=True)
    return file.getvalue()


def _shrunk(image: Image.Image, size: int) -> Image.Image:
    small = image.copy()
    small.info = {}
    small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small
