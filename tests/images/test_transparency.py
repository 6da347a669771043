"""Transparent pictures: whatever their colour, their shape is seen."""

from pathlib import Path

import numpy as np
import pytest
from hostile import picture, saved
from PIL import Image, ImageDraw, features

from bitcodes.images.decode import open_image

CASES = Path(__file__).with_name("cases")


def shape(colour: tuple[int, int, int], mode: str) -> Image.Image:
    image = Image.new("RGBA", (64, 64), (*colour, 0))
    ImageDraw.Draw(image).ellipse((8, 8, 40, 56), fill=(*colour, 255))
    if mode == "P":
        return image.convert("P", palette=Image.Palette.ADAPTIVE)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(
    "colour", [(255, 255, 255), (250, 250, 240), (235, 235, 235), (128, 128, 128), (0, 0, 0)]
)
def test_a_shape_of_one_colour_is_seen(colour: tuple[int, int, int], mode: str) -> None:
    found = np.asarray(open_image(saved(shape(colour, mode), "PNG"))).astype(int)
    assert abs(found[32, 24] - found[0, 0]).max() >= 64
    assert abs(found[32, 24] - colour).max() <= (10 if mode == "LA" else 0)  # gray of a colour


def test_white_and_black_icons_differ_from_each_other_and_from_their_grounds() -> None:
    names = ("white-cross.png", "white-disc.png", "black-cross.png")
    pictures = [np.asarray(open_image(CASES / name)) for name in names]
    assert all(len(np.unique(picture)) > 1 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert pictures[2][0, 0].tolist() == [255, 255, 255]
    assert pictures[0][0, 0].tolist() == [0, 0, 0]


def test_transparent_pixels_do_not_choose() -> None:
    image = shape((0, 0, 0), "RGBA")
    image.paste((255, 255, 255, 0), (0, 0, 64, 6))  # white, but nobody sees it
    assert np.asarray(open_image(saved(image, "PNG")))[0, 0].tolist() == [255, 255, 255]


def test_faint_and_empty_pictures() -> None:
    faint = Image.new("RGBA", (9, 9), (255, 255, 255, 90))
    assert np.asarray(open_image(saved(faint, "PNG")))[0, 0].tolist() == [90, 90, 90]
    empty = Image.new("RGBA", (9, 9), (10, 20, 30, 0))
    assert np.asarray(open_image(saved(empty, "PNG"))).min() == 255


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    image = Image.new("RGBA", (9, 9), (250, 251, 252, 255))
    assert np.asarray(open_image(saved(image, "PNG")))[0, 0].tolist() == [250, 251, 252]


def test_transparent_gif_and_webp() -> None:
    white = shape((255, 255, 255), "RGBA")
    for content in (saved(white, "WEBP", lossless=True), saved(white, "GIF")):
        found = np.asarray(open_image(content))
        assert found[0, 0].tolist() == [0, 0, 0]
        assert found[32, 24].tolist() == [255, 255, 255]


KINDS = ["PNG", "WEBP", "GIF", "ICO", "TIFF", "TGA", "JPEG2000"] + ["AVIF"] * features.check("avif")


@pytest.mark.parametrize("kind", [*KINDS, "P"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (245, 245, 245), (128, 128, 128), (0, 0, 0)])
def test_shapes_are_seen_in_every_container(kind: str, colour: tuple[int, int, int]) -> None:
    image = shape(colour, "P" if kind == "P" else "RGBA")
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(image, "PNG" if kind == "P" else kind, **options)
    found = np.asarray(open_image(content)).astype(int)
    assert abs(found[32, 24] - found[0, 0]).max() >= 64
    assert abs(found[32, 24] - colour).max() <= 4


@pytest.mark.parametrize("tone", range(0, 256, 15))
def test_gray_shapes_of_every_tone_differ_from_their_ground(tone: int) -> None:
    found = np.asarray(open_image(saved(shape((tone, tone, tone), "LA"), "PNG"))).astype(int)
    assert abs(found[32, 24] - found[0, 0]).max() >= 30


def test_a_white_shape_that_fades_is_seen() -> None:
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    image.putalpha(Image.fromarray(alpha))
    found = np.asarray(open_image(saved(image, "PNG")))[..., 0]
    np.testing.assert_array_equal(found, alpha)


def test_an_opacity_of_zero_everywhere_is_unused_where_programs_write_it_so() -> None:
    image = picture().convert("RGBA")
    image.putalpha(0)
    np.testing.assert_array_equal(
        np.asarray(open_image(saved(image, "TGA"))), np.asarray(picture())
    )
    assert np.asarray(open_image(saved(image, "PNG"))).min() == 255
