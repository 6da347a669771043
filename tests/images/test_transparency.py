"""Transparent pictures: whatever their colour, their shape is seen."""

from pathlib import Path

import numpy as np
import pytest
from hostile import saved
from PIL import Image, ImageDraw

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
