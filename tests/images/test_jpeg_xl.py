"""JPEG XL: the size in the header, and pictures, where the decoder is installed."""

import io

import numpy as np
import pytest
from hostile import picture, saved
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import image_size, open_image
from bitcodes.images.jpeg_xl import jxl_size

pytest.importorskip("pillow_jxl")


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize(
    "size", [(1, 1), (40, 40), (256, 8), (257, 31), (300, 200), (5000, 3), (4000, 3000)]
)
def test_the_size_is_read_from_the_header(size: tuple[int, int], boxes: bool) -> None:
    content = saved(Image.new("RGB", size), "JXL", use_container=boxes, effort=1)
    assert jxl_size(io.BytesIO(content)) == size


def test_pictures_are_read_exactly() -> None:
    content = saved(picture(), "JXL", lossless=True)
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(picture()))
    assert image_size(content) == picture().size


def test_a_jpeg_within_is_turned_as_it_says(tmp_path: object) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = f"{tmp_path}/a.jpg"
    picture().save(path, exif=exif)
    with pytest.warns(UserWarning, match="JPEG reconstruction"):
        content = saved(Image.open(path), "JXL")
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(open_image(path)))


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    # Not small; heights of 30 bits; ratio 1: a square of 2 ** 30 pixels a side.
    bits = 0 | 3 << 1 | (2**30 - 1) << 3 | 1 << 33
    head = b"\xff\x0a" + bits.to_bytes(12, "little")
    assert jxl_size(io.BytesIO(head)) == (2**30, 2**30)
    with pytest.raises(ImageError, match="too large: 1,073,741,824 x 1,073,741,824"):
        open_image(head)


@pytest.mark.parametrize("cut", [3, 12, 40, 200])
def test_what_is_cut_is_damaged(cut: int) -> None:
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_image(saved(picture(), "JXL", lossless=True)[:cut])
