"""Copies, other shots and other pictures are told apart by their pixels."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from bitcodes.images.alignment import ORIENTATIONS, find_placement, oriented
from bitcodes.images.keypoints import find_points, gray_picture
from bitcodes.images.likeness import COPY_SCORE, Likeness, likeness, look_at

Change = Callable[[Image.Image], Image.Image]


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Spots of many sizes, as in nature."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for side in (4, 8, 16, 32, 64):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        total += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float) / side**0.5
    total -= total.min()
    return Image.fromarray((255 * total / total.max()).astype(np.uint8))


def compare(one: Image.Image, other: Image.Image) -> Likeness:
    return likeness(look_at(gray_picture(one)), look_at(gray_picture(other)))


def words(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((20, 180, 300, 220), "white")
    return image


CHANGES: dict[str, Change] = {
    "half": lambda image: image.resize((160, 120)),
    "double": lambda image: image.resize((640, 480)),
    "squashed": lambda image: image.resize((240, 240)),
    "cropped": lambda image: image.crop((60, 10, 284, 178)),  # 70 % of either side
    "framed": lambda image: ImageOps.expand(image, 30, "white"),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "bright": lambda image: ImageEnhance.Brightness(image).enhance(1.4),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    "mirrored": ImageOps.mirror,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored, turned, cropped": lambda image: (
        ImageOps.flip(image).transpose(Image.Transpose.ROTATE_90).crop((20, 20, 230, 300))
    ),
    "written on": words,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_a_copy(change: str) -> None:
    image = picture(1)
    changed = CHANGES[change](image)
    for result in (compare(image, changed), compare(changed, image)):
        assert result.kind == "copy" and result.score > 0.6


@pytest.mark.parametrize(
    ("change", "orientation", "shown", "inside"),
    [
        ("half", (), 1, 1),
        ("squashed", (), 1, 1),
        ("cropped", (), 224 * 168 / (320 * 240), 1),
        ("framed", (), 1, 320 * 240 / (380 * 300)),
        ("mirrored", ("mirrored",), 1, 1),
        ("turned", ("turned by 270°",), 1, 1),
        ("mirrored, turned, cropped", ("turned by 270°", "mirrored"), 210 * 280 / (320 * 240), 1),
    ],
)
def test_what_changed_is_told(
    change: str, orientation: tuple[str, ...], shown: float, inside: float
) -> None:
    image = picture(1)
    changed = CHANGES[change](image)
    result = compare(image, changed)
    assert (result.shown, result.inside) == pytest.approx((shown, inside), abs=0.03)
    count = len(orientation)
    assert result.changes[:count] == orientation
    words = [word.split()[:2] for word in result.changes[count:]]
    added = ["with", f"{1 - result.inside:.0%}"]
    assert words == [["cropped", "to"]] * (shown < 1) + [added] * (inside < 1)
    back = compare(changed, image)
    assert (back.shown, back.inside) == pytest.approx((inside, shown), abs=0.03)


def tilted(image: Image.Image) -> Image.Image:
    """As seen from a step aside: the right side is 10 % longer."""
    corners = (0, 0, 0, 240, 320, 228, 320, 12)
    return image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


def test_another_shot_is_similar_and_another_picture_is_not() -> None:
    image = picture(1)
    seen = compare(image, tilted(image))
    assert seen.kind == "similar" and seen.score < COPY_SCORE / 2
    for seed in (2, 3, 4):
        other = compare(image, picture(seed))
        assert other.kind is None and other.score < 0.05


def test_blank_pictures_are_one_if_they_have_one_gray_value() -> None:
    white, black = (Image.new("RGB", (50, 40), colour) for colour in ("white", "black"))
    same = compare(white, white.resize((30, 30)))
    assert same.kind == "copy" and same.changes == ()
    assert compare(white, black).kind is None
    assert compare(white, picture(1)).kind is compare(picture(1), white).kind is None


def test_pictures_of_a_pixel_are_compared() -> None:
    for size in ((1, 1), (1, 300), (3, 2)):
        image = Image.new("RGB", size, "gray")
        assert compare(image, image).kind == "copy"


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)))
def test_a_placement_says_how_one_picture_lies_in_another(orientation: int) -> None:
    gray = gray_picture(picture(5)).astype(np.float32)  # 144 x 192
    part = gray[20:140, 16:176]  # 120 x 160, then enlarged by 1.2
    enlarged = Image.fromarray(part).resize((192, 144), Image.Resampling.BICUBIC)
    # What turns it back is the orientation that is found.
    turned = next(
        back
        for back in (oriented(np.asarray(enlarged), n) for n in range(8))
        if np.array_equal(oriented(back, orientation), enlarged)
    )
    placement = find_placement(find_points(gray), find_points(turned), turned.shape)
    assert placement is not None and placement.orientation == orientation
    assert placement.scale == pytest.approx((1 / 1.2, 1 / 1.2), rel=0.02)
    assert placement.shift == pytest.approx((16, 20), abs=2)
