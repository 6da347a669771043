"""Orientation, read from whatever EXIF block there is and never written."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hostile import picture, saved
from PIL import Image, PngImagePlugin, features

from bitcodes.images.decode import open_image, open_reduced
from bitcodes.images.exif import directory, orientation_of

CASES = Path(__file__).with_name("cases")


def block(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """An EXIF block by hand, of (tag, type, count, value)."""
    marks = {"<": b"II*\0", ">": b"MM\0*"}
    body = b"".join(
        struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        for tag, kind, count, value in entries
    )
    head = marks[order] + struct.pack(order + "IH", 8, len(entries))
    return b"Exif\0\0" + head + body + bytes(4)


@pytest.mark.parametrize("name", ["width_negative.jpg", "resolutionunit_bytes.jpg"])
@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_a_block_that_cannot_be_written_again_still_turns_the_picture(
    name: str, reduction: int
) -> None:
    good = open_reduced(CASES / "good.jpg", lambda size: reduction)
    found = open_reduced(CASES / name, lambda size: reduction)
    assert found[1] == good[1]
    np.testing.assert_array_equal(np.asarray(found[0]), np.asarray(good[0]))


SIX = {"<": b"\x06\0", ">": b"\0\x06"}
BAD_ENTRIES = {
    "an unknown type": (256, 99, 1, b"\xff\xff\xff\xff"),
    "a place beyond the end": (305, 2, 2**31, b"\xff\xff\xff\x7f"),
    "a division by zero": (282, 5, 1, b"\x1a\0\0\0"),
    "signed": (256, 9, 1, b"\xff\xff\xff\xff"),
    "bytes for a number": (296, 7, 4, b"abcd"),
    "another directory nowhere": (34665, 4, 1, b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("bad", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_damage_elsewhere_in_the_block_does_not_matter(
    bad: tuple[int, int, int, bytes], kind: str, order: str
) -> None:
    for entries in ([bad, (274, 3, 1, SIX[order])], [(274, 3, 1, SIX[order]), bad]):
        image = saved(picture(), kind, exif=block(*entries, order=order))
        assert open_image(image).size == picture().size[::-1]


def test_a_block_that_is_cut_after_the_orientation() -> None:
    whole = block((274, 3, 1, SIX["<"]), *[(300 + i, 4, 1, b"") for i in range(20)])
    assert open_image(saved(picture(), "JPEG", exif=whole[:40])).size == picture().size[::-1]


@pytest.mark.parametrize("quote", ['="8"', "='8'", ' = "8"', ">8<"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_alone_turns_the_picture(kind: str, quote: str) -> None:
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><y tiff:Orientation{quote}/></x:xmpmeta>'.encode()
    )
    options: dict[str, object] = {"xmp": packet}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": info}
    elif kind == "TIFF":
        options = {"tiffinfo": {700: packet}}
    found = open_image(saved(picture(), kind, **options))
    assert found.size == picture().size[::-1]
    if kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(np.asarray(found), np.rot90(np.asarray(picture())))


def test_exif_goes_before_xmp() -> None:
    xmp = b'<x:xmpmeta><y tiff:Orientation="8"/></x:xmpmeta>'
    one = block((274, 3, 1, b"\1\0"))
    assert open_image(saved(picture(), "JPEG", exif=one, xmp=xmp)).size == picture().size
    damaged = b"Exif\0\0II*\0\xff\xff\xff\xff"
    turned = open_image(saved(picture(), "JPEG", exif=damaged, xmp=xmp))
    assert turned.size == picture().size[::-1]


@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_blocks_in_the_text_of_old_pngs(name: str) -> None:
    text = f"\n{name}\n{len(block()):8}\n" + block((274, 3, 1, SIX["<"])).hex()
    info = PngImagePlugin.PngInfo()
    info.add_text(f"Raw profile type {name}", text)
    assert open_image(saved(picture(), "PNG", pnginfo=info)).size == picture().size[::-1]
    info.add_text(f"Raw profile type {name}", "\n\n\nno hexadecimal")
    open_image(saved(picture(), "PNG", pnginfo=info))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", range(20))
def test_tags_of_every_type_beside_it(form: int, order: str) -> None:
    """Of all types of TIFF 6.0 and BigTIFF, and none: in the entry, elsewhere, and nowhere."""
    turn = (274, 3, 1, SIX[order])
    for count, value in (
        (1, b"\xff" * 4),
        (4, b"\xff\xff\xff\x7f"),
        (2**32 - 1, b"\0\0\0\x08"),
        (0, b""),
    ):
        for tag in (256, 282, 296, 306, 34665, 34853, 37500, 40965):
            entries = sorted([(tag, form, count, value), turn])
            content = saved(picture(), "JPEG", exif=block(*entries, order=order))
            assert open_image(content).size == picture().size[::-1], (tag, count)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "MPO", "JXL"])
@pytest.mark.parametrize("bad", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_damage_elsewhere_in_other_containers(bad: tuple[int, int, int, bytes], kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if kind == "JXL":
        pytest.importorskip("pillow_jxl")
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    plain = picture()
    options: dict[str, object] = {"exif": block(bad, (274, 3, 1, SIX["<"]))}
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [picture(seed=1)]}
    try:
        content = saved(plain, kind, **options)
    except Exception:  # Pillow cannot write it: put the damage in afterwards
        good = block((256, 4, 1, b"\1\0\0\0"), (274, 3, 1, SIX["<"]))
        content = saved(plain, kind, **{**options, "exif": good})
        place = content.index(struct.pack("<HHI", 256, 4, 1)) if kind != "AVIF" else -1
        if place < 0:
            pytest.skip("Pillow writes it in its own way")
        tag, form, count, value = bad
        entry = struct.pack("<HHI", tag, form, count) + value.ljust(4, b"\0")
        content = content[:place] + entry + content[place + 12 :]
    turned = picture().size[::-1] if kind != "JXL" else picture().size  # whose header says it
    assert open_image(content).size == turned


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_other_numbers_are_no_orientation(value: int) -> None:
    exif = block((274, 3, 1, struct.pack("<H", value)))
    assert open_image(saved(picture(), "JPEG", exif=exif)).size == picture().size


@pytest.mark.parametrize(("kind", "value"), [(1, b"\x06"), (4, b"\x06\0\0\0"), (9, b"\x06\0\0\0")])
def test_other_types_of_number_are_read(kind: int, value: bytes) -> None:
    exif = block((274, kind, 1, value))
    assert open_image(saved(picture(), "JPEG", exif=exif)).size == picture().size[::-1]


def test_xmp_says_it_where_exif_does_not() -> None:
    image = Image.open(io.BytesIO(saved(picture(), "PNG")))
    image.info["XML:com.adobe.xmp"] = '<x tiff:Orientation="8"/>'
    assert orientation_of(image) == 8
    assert orientation_of(picture()) == 0


def test_a_tiff_whose_other_tags_are_damaged_is_turned() -> None:
    exif = Image.Exif()
    exif[274] = 6
    content = bytearray(saved(picture(), "TIFF", exif=exif, dpi=(72, 72)))
    unit = content.index(struct.pack("<HHI", 296, 3, 1))
    content[unit : unit + 8] = struct.pack("<HHI", 296, 7, 4)  # bytes for a number
    assert open_image(bytes(content)).size == picture().size[::-1]


def test_directories_that_are_none_have_no_tags() -> None:
    for content in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0" + bytes(40)):
        assert directory(io.BytesIO(content)) == {}
