"""Damage in what is not needed for the pixels does not cost the picture."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import picture, png, saved
from PIL import Image, features

from bitcodes.errors import ImageError
from bitcodes.images.bare import bare
from bitcodes.images.decode import image_size, open_image, open_reduced

KINDS = ["PNG", "JPEG", "WEBP"] + ["AVIF"] * features.check("avif")
EXIF = b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 274, 3, 1, 6) + bytes(4)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(*chunks: bytes) -> bytes:
    whole = saved(picture(), "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


BIG = zlib.compress(bytes(2**21))
BAD_CHUNKS = {
    "a long text": chunk(b"zTXt", b"a\0\0" + BIG),
    "a long international text": chunk(b"iTXt", b"workflow\0\1\0\0\0" + BIG),
    "a long profile": chunk(b"iCCP", b"a\0\0" + BIG),
    "a profile by another method": chunk(b"iCCP", b"a\0\5" + BIG),
    "a text by another method": chunk(b"zTXt", b"a\0\5" + BIG),
    "a damaged text": chunk(b"tEXt", b"a\0b")[:-4] + b"sums",
    "a short gamma": chunk(b"gAMA", b""),
    "a short chromaticity": chunk(b"cHRM", b"1234"),
    "a short resolution": chunk(b"pHYs", b"1"),
    "a text called transparency": chunk(b"tEXt", b"transparency\0x"),
    "a text called profile": chunk(b"tEXt", b"icc_profile\0x"),
    "a text called progressive": chunk(b"tEXt", b"progressive\0x"),
    "an animation of nothing": chunk(b"acTL", bytes(8)),
    "a damaged animation": chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", b"x" * 26),
}


@pytest.mark.parametrize("bad", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_bad_chunks_do_not_cost_a_png(bad: bytes) -> None:
    content = with_chunks(bad)
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(picture()))
    assert image_size(content) == picture().size
    turned = open_image(with_chunks(bad, chunk(b"eXIf", EXIF[6:])))
    np.testing.assert_array_equal(np.asarray(turned), np.rot90(np.asarray(picture()), -1))


def test_palettes_and_transparency_stay() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    whole = saved(image, "PNG", transparency=1)
    content = whole[:33] + BAD_CHUNKS["a long text"] + whole[33:]
    found = np.asarray(open_image(content)).tolist()
    assert found == [[[10, 20, 30], [255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_has_the_same_pixels_and_orientation(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    exif = Image.Exif()
    exif.load(EXIF)
    exif[305] = "a program"
    whole = saved(picture(), kind, exif=exif.tobytes(), **options)
    left = bare(io.BytesIO(whole))
    assert left is not None
    content = left.file.read()
    assert b"a program" not in content or kind == "AVIF"
    assert left.orientation == (6 if kind != "AVIF" else 0)  # an AVIF says it elsewhere
    with Image.open(io.BytesIO(content)) as found, Image.open(io.BytesIO(whole)) as expected:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert bare(io.BytesIO(content)) is None


def test_an_alpha_channel_stays_in_webp() -> None:
    image = picture().convert("RGBA")
    image.putalpha(picture("L", 1))
    whole = saved(image, "WEBP", exif=EXIF, lossless=True, exact=True)
    left = bare(io.BytesIO(whole))
    assert left is not None
    with Image.open(left.file) as found:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(image))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_kinds_are_left_alone(kind: str) -> None:
    assert bare(io.BytesIO(saved(picture(), kind))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_cut_stay_cut(kind: str) -> None:
    whole = saved(picture(), kind, exif=EXIF)
    for length in range(1, len(whole), 37):
        left = bare(io.BytesIO(whole[:length]))
        assert left is None or len(left.file.read()) <= length
    with pytest.raises(ImageError, match="truncated"):
        open_image(whole[: len(whole) // 2])


def test_a_damaged_segment_of_pictures_leaves_the_first(tmp_path: Path) -> None:
    frames = [picture(), picture(seed=1)]
    whole = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    place = whole.index(b"MPF\0") + 4
    for damage in (b"\xff" * 8, b"MM\0*\xff\xff\xff\xff", whole[place : place + 8] + b"\xff" * 60):
        content = whole[:place] + damage + whole[place + len(damage) :]
        assert open_image(content).size == picture().size
        assert open_reduced(content, lambda size: 2)[0].size == (20, 15)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_avif_whose_exif_cannot_be_written_again_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    exif[305] = "x" * 40
    content = bytearray(saved(picture(), "AVIF", exif=exif.tobytes(), quality=100))
    upright = np.asarray(open_image(bytes(content)))
    place = content.index(b"x" * 40)
    block = content.rindex(b"MM\0*", 0, place)
    resolution = b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIf", 296, 7, 4, 1e9)  # bytes for a number
    for damage in (b"\xff" * (place - block), b"MM\0*" + b"\xff" * 4, resolution):
        content[block : block + len(damage)] = damage
        np.testing.assert_array_equal(np.asarray(open_image(bytes(content))), upright)


def test_damage_in_the_pixels_is_still_damage() -> None:
    content = png(9, 9, 8, 2, (b"tEXt", b"a\0b"), (b"IDAT", b"no pixels"))
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_image(content)
