"""PNG files of which a bit was turned: refused, or the same pixels."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def chunk(content: bytes) -> bytes:
    """A chunk whose checksum fits."""
    sizes = struct.pack(">I", len(content) - 4), struct.pack(">I", zlib.crc32(content))
    return sizes[0] + content + sizes[1]


SMOOTH = Image.fromarray(np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8))


def test_a_turned_bit_in_pixels_is_noticed() -> None:
    data = png(SMOOTH)
    start = data.index(b"IDAT") + 4
    (length,) = struct.unpack_from(">I", data, start - 8)
    rng = random.Random(1)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[start + rng.randrange(length + 4)] ^= 1 << rng.randrange(8)
        with pytest.raises(ImageError, match=r"damaged|truncated"):
            open_image(bytes(damaged))


def test_the_reason_names_the_checksum(tmp_path: Path) -> None:
    data = bytearray(png(SMOOTH))
    data[-14] ^= 1  # the last but one byte of the checksum of IDAT, before the 12 of IEND
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"damaged.*the checksum of its pixels is another"):
        open_image(tmp_path / "a.png")


def test_sound_files_of_each_form_are_read() -> None:
    rgb, several = SMOOTH.convert("RGB"), {"save_all": True, "append_images": [SMOOTH] * 2}
    for data in (png(rgb), png(SMOOTH.convert("RGBA")), png(SMOOTH, **several)):
        assert np.array_equal(np.asarray(open_image(data)), np.asarray(rgb))
    whole = png(rgb)  # its pixels in many chunks, one of which is empty
    start = whole.index(b"IDAT")
    (length,) = struct.unpack_from(">I", whole, start - 4)
    pixels = whole[start + 4 : start + 4 + length]
    parts = [b"", *(pixels[n : n + 50] for n in range(0, length, 50))]
    chunks = [chunk(b"IDAT" + part) for part in parts]
    cut = whole[: start - 4] + b"".join(chunks) + whole[start + 8 + length :]
    assert np.array_equal(np.asarray(open_image(cut)), np.asarray(rgb))
    assert np.array_equal(np.asarray(open_image(whole + b"more")), np.asarray(rgb))
