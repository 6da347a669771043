"""Colour profiles: what comes out are the colours in sRGB."""

import io

import numpy as np
import pytest
from colour_formulas import ADOBE, COLOURS, D50, P3, SRGB, WHITE, in_srgb, to_xyz
from hostile import picture, saved
from PIL import Image, ImageCms

from bitcodes.images.decode import open_image, open_reduced, to_upright_rgb
from bitcodes.images.transforms import Preprocessing


def adapted(matrix: np.ndarray) -> np.ndarray:
    """From D65 to D50, which profiles are relative to (Bradford)."""
    cone = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    white = np.array([WHITE[0] / WHITE[1], 1, (1 - WHITE.sum()) / WHITE[1]])
    scale = np.diag((cone @ D50) / (cone @ white))
    return np.linalg.inv(cone) @ scale @ cone @ matrix


def profile(primaries: tuple[tuple[float, float], ...], gamma: float) -> bytes:
    """A display profile by hand: three primaries and a gamma (ICC.1, version 2)."""

    def fixed(values: np.ndarray) -> bytes:
        return b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    matrix = adapted(to_xyz(primaries))
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
    name = b"A test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + len(name).to_bytes(4, "big") + name + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + fixed(D50),
        **{
            letter + b"XYZ": b"XYZ " + bytes(4) + fixed(matrix[:, i])
            for i, letter in enumerate((b"r", b"g", b"b"))
        },
        **{letter + b"TRC": curve for letter in (b"r", b"g", b"b")},
    }
    table, data = len(tags).to_bytes(4, "big"), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + (start + len(data)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        data += content
    head = bytes(8) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(D50)
    whole = head.ljust(128, b"\0") + table + data
    return len(whole).to_bytes(4, "big") + whole[4:]


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 2.19921875), (SRGB, 1.0)])
def test_colours_by_the_formulas(primaries: tuple[tuple[float, float], ...], gamma: float) -> None:
    image = Image.fromarray(COLOURS.astype(np.uint8))
    found = np.asarray(open_image(saved(image, "PNG", icc_profile=profile(primaries, gamma))))
    expected = in_srgb(COLOURS, primaries, gamma)
    assert abs(found - expected).max() <= 2
    assert abs(expected - COLOURS).max() > 8  # it does change them


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_wide_gamut_picture_of_every_format_is_converted_as_littlecms_does(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    wide = profile(P3, 2.2)
    content = saved(picture(), kind, icc_profile=wide)
    plain = Image.open(io.BytesIO(content)).convert("RGB")
    expected = ImageCms.profileToProfile(
        plain, ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB")
    )
    assert expected is not None
    found = np.asarray(open_image(content)).astype(int)
    assert abs(found - np.asarray(expected)).max() <= 1
    assert abs(found - np.asarray(plain)).max() > 10


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "block", [srgb_profile(), b"no profile" * 50, srgb_profile()[:200], bytes(128), b"x"]
)
def test_profiles_of_srgb_and_broken_ones_change_nothing(block: bytes) -> None:
    found = open_image(saved(picture(), "PNG", icc_profile=block))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(picture()))
    assert found.info == {}


def test_a_profile_of_another_kind_of_picture_is_ignored() -> None:
    gray = picture("L")
    found = open_image(saved(gray, "PNG", icc_profile=profile(P3, 1.0)))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(gray.convert("RGB")))


def test_palettes_and_transparency_have_profiles_too() -> None:
    wide = profile(P3, 2.2)
    image = Image.new("RGBA", (2, 1), (200, 60, 60, 255))
    image.putpixel((1, 0), (200, 60, 60, 0))
    expected = in_srgb(np.array([200, 60, 60]), P3, 2.2)
    for one in (image, image.convert("P", palette=Image.Palette.ADAPTIVE)):
        found = np.asarray(open_image(saved(one, "PNG", icc_profile=wide)))
        assert abs(found[0, 0] - expected).max() <= 2
        assert found[0, 1].tolist() == [255, 255, 255] or one.mode == "P"


def test_lab_pictures() -> None:
    colours = Image.fromarray(COLOURS.astype(np.uint8))
    lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    ).apply(colours)
    assert (
        abs(np.asarray(open_image(saved(lab, "TIFF"))).astype(int) - COLOURS).max() <= 6
    )  # of whole a and b


def test_after_the_resize_is_as_good_as_before() -> None:
    way = Preprocessing(image_size=24, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    content = saved(picture().resize((400, 300)), "JPEG", icc_profile=profile(P3, 2.2), quality=95)
    after = way.to_array(*open_reduced(content, lambda size: 1)).astype(int)
    before = way.to_array(open_image(content)).astype(int)
    plain = way.to_array(Image.open(io.BytesIO(content)).convert("RGB").copy())
    difference = abs(after - before)
    assert difference.mean() < 0.5
    assert difference.max() <= 16  # colours that sRGB does not have
    np.testing.assert_array_equal(way.to_array(to_upright_rgb(open_image(content))), before)
    np.testing.assert_array_equal(plain, after)  # its info has the profile


def test_jpegs_of_srgb_load_no_colour_management() -> None:
    import subprocess
    import sys

    content = saved(picture(), "JPEG", icc_profile=b"xx sRGB IEC61966-2.1 xx" * 9)
    code = (
        "import sys; from bitcodes.images.decode import open_image; "
        f"open_image({content!r}); "
        "assert not {'PIL.ImageCms', 'pillow_heif', 'rawpy', 'pillow_jxl', 'PIL.TiffImagePlugin', "
        "'PIL.PngImagePlugin'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
