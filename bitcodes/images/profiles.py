"""Colour profiles: the colours of a picture as they are in sRGB."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

_SRGB = (b"sRGB IEC61966-2", "sRGB IEC61966-2".encode("utf-16-be"))
_ALIKE = 2
"""A profile that changes no colour by more than this, of 255, is taken for sRGB."""
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """A picture without transparency as RGB, its colours converted from `profile` to sRGB.

    A profile that is damaged, of sRGB itself, or of another kind of picture is ignored.
    """
    gray = image.mode in ("1", "L")
    mode = image.mode if image.mode in ("L", "CMYK", "LAB") else "RGB"
    if isinstance(profile, bytes) and profile and image.mode != "1":
        transform = _transform(profile, mode)
        if transform is not None:
            return transform.apply(image if gray or image.mode == mode else image.convert(mode))
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """What converts pictures of a mode to sRGB; None where nothing is to be converted."""
    if any(name in profile for name in _SRGB):
        return None
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _MODES.get(source.profile.xcolor_space) != mode:
            return None
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=ImageCms.Flags.NOCACHE)
        return transform if mode not in ("RGB", "L") or _changes(transform, mode) else None
    except Exception:  # a damaged profile says nothing about the pixels: take them as they are
        return None


def _changes(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    """Whether colours all over the cube, or all grays, come out as others."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(grid if mode == "RGB" else steps[None])
    before = np.asarray(image.convert("RGB")).astype(int)
    after = np.asarray(transform.apply(image)).astype(int)
    return bool(abs(after - before).max() > _ALIKE)
