"""Small pictures for pages."""

import io

from PIL import Image


def thumbnail_jpeg(image: Image.Image, size: int) -> bytes:
    """Shrink an RGB picture to fit size x size pixels, never enlarging it, as a JPEG file."""
    small = image.copy()
    small.info = {}
    small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85, optimize=True)
    return file.getvalue()
