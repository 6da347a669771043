"""Colours that files name by code points: as sRGB, by the formulas of the standards."""

import io
import struct
import zlib

import numpy as np
import pytest
from colour_formulas import COLOURS, P3, SRGB, in_srgb
from hostile import picture, png, saved
from PIL import Image, ImageCms, features

from bitcodes.images.code_points import png_colours, profile_of
from bitcodes.images.decode import open_image
from bitcodes.images.profiles import to_srgb

BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))


def srgb_light(values: np.ndarray) -> np.ndarray:
    signal = values / 255.0
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def from_srgb_curve(values: np.ndarray, primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """What sRGB has for RGB values of other primaries with sRGB's curve."""
    return in_srgb(srgb_light(values) * 255, primaries, 1.0)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((12, 13), from_srgb_curve(COLOURS, P3)),
        ((12, 1), from_srgb_curve(COLOURS, P3)),  # BT.709's curve, shown as sRGB's
        ((12, 2), from_srgb_curve(COLOURS, P3)),
        ((12, 4), in_srgb(COLOURS, P3, 2.2)),
        ((9, 13), from_srgb_curve(COLOURS, BT2020)),
        ((9, 14), from_srgb_curve(COLOURS, BT2020)),
        ((1, 8), in_srgb(COLOURS, SRGB, 1.0)),
        ((1, 5), in_srgb(COLOURS, SRGB, 2.8)),
    ],
)
def test_colours_are_those_of_the_formulas(numbers: tuple[int, int], expected: np.ndarray) -> None:
    block = profile_of(*numbers)
    assert block is not None
    found = np.asarray(to_srgb(Image.fromarray(COLOURS.astype(np.uint8)), block)).astype(int)
    assert abs(found - expected).max() <= 2


@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (2, 2), (5, 6), (6, 6), (0, 0), (77, 99)])
def test_srgb_and_unknown_numbers_need_nothing(numbers: tuple[int, int]) -> None:
    assert profile_of(*numbers) is None


def test_the_profile_is_sound() -> None:
    for numbers in ((12, 13), (9, 16), (9, 18), (12, 8)):
        block = profile_of(*numbers)
        assert block is not None
        assert int.from_bytes(block[:4]) == len(block)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(block)).profile
        assert (profile.xcolor_space, profile.connection_space) == ("RGB ", "XYZ ")
        assert profile.device_class == "mntr"
        assert np.allclose(profile.media_white_point[0], (0.9642, 1, 0.8249), atol=1e-4)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_keeps_the_order_of_brightness_and_white_is_not_clipped(transfer: int) -> None:
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint8)[None, :, None], 3, axis=-1)
    found = np.asarray(to_srgb(Image.fromarray(ramp), profile_of(9, transfer))).astype(int)
    grays = found[0, :, 0]
    assert (np.diff(grays) >= 0).all()
    assert abs(found - grays[None, :, None]).max() <= 2  # gray stays gray
    # ITU-R BT.2408: paper white, 203 cd/m2, is 58 % of PQ and 75 % of HLG.
    white = grays[round((0.58 if transfer == 16 else 0.75) * 255)]
    assert 200 <= white <= 240
    assert grays[-1] > white + 10
    # Half of that light is below the knee: its sRGB value is exact.
    signal = 0.51 if transfer == 16 else 0.632  # 101.5 cd/m2
    assert abs(grays[round(signal * 255)] - 188) <= 4


def nclx(content: bytes, primaries: int, transfer: int) -> bytes:
    place = content.index(b"colrnclx") + 8
    return content[:place] + struct.pack(">HH", primaries, transfer) + content[place + 4 :]


def expected_picture() -> np.ndarray:
    return from_srgb_curve(np.asarray(picture()), P3)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_without_a_profile() -> None:
    content = saved(picture(), "AVIF", quality=100, subsampling="4:4:4")
    assert abs(np.asarray(open_image(content)).astype(int) - np.asarray(picture())).max() <= 4
    found = np.asarray(open_image(nclx(content, 12, 13))).astype(int)
    assert abs(found - expected_picture()).mean() <= 1.5
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = saved(picture(), "AVIF", quality=100, subsampling="4:4:4", icc_profile=profile)
    found = np.asarray(open_image(nclx(content, 12, 13))).astype(int)  # a profile goes first
    assert abs(found - np.asarray(picture())).max() <= 4


def test_heif_without_a_profile() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    options = {"quality": -1, "chroma": 444, "matrix_coefficients": 0, "color_primaries": 12}
    content = saved(picture(), "HEIF", transfer_characteristics=13, **options)
    found = np.asarray(open_image(content)).astype(int)
    assert abs(found - expected_picture()).max() <= 2


def test_png_with_code_points() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(picture()))
    pixels = (b"IDAT", zlib.compress(rows))
    wide = png(40, 30, 8, 2, (b"gAMA", bytes(4)), (b"cICP", bytes([12, 13, 0, 1])), pixels)
    assert png_colours(io.BytesIO(wide)) == (12, 13)
    assert abs(np.asarray(open_image(wide)).astype(int) - expected_picture()).max() <= 2
    for content in (saved(picture(), "PNG"), wide[:40], b"", wide.replace(b"cICP", b"xICP")):
        assert png_colours(io.BytesIO(content)) is None
