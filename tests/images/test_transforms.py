"""What the network sees: cropping, resizing and scaling, each done another way."""

import io

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from pydantic import ValidationError

from bitcodes.images.decode import open_image, open_reduced
from bitcodes.images.transforms import Preprocessing

HALF = (0.5, 0.5, 0.5)


def preprocessing(size: int, **values: object) -> Preprocessing:
    return Preprocessing.model_validate({"image_size": size, "mean": HALF, "std": HALF, **values})


def gradient(width: int, height: int) -> Image.Image:
    """Red grows with x, green with y, from the image's own left upper corner."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, x * 0 + 7], axis=-1).astype(np.uint8))


def triangle_weights(length: int, size: int, start: float, side: float) -> np.ndarray:
    """How much each pixel counts in each one of a bilinear resize of a box, (size, length)."""
    scale = side / size
    support = max(scale, 1.0)
    middles = start + (np.arange(size) + 0.5) * scale
    away = np.abs(np.arange(length) + 0.5 - middles[:, None])
    weights = np.maximum(0, 1 - away / support)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("width", "height"), [(40, 40), (60, 40), (40, 60), (61, 40), (97, 30)])
@pytest.mark.parametrize("size", [8, 20])
def test_the_centred_square_is_resized(width: int, height: int, size: int) -> None:
    seen = preprocessing(size, interpolation="bilinear").to_array(gradient(width, height))
    side = min(width, height)
    assert seen.shape == (size, size, 3)
    assert seen.dtype == np.uint8
    # A gradient resized is a gradient: the value of an output pixel is the place of its middle.
    middles = (np.arange(size) + 0.5) * side / size - 0.5
    inner = slice(1, -1)  # at the border of the image the filter has but one side
    np.testing.assert_allclose(
        seen[inner, inner, 0],
        np.tile(middles + (width - side) / 2, (size, 1))[inner, inner],
        atol=1,
    )
    np.testing.assert_allclose(
        seen[inner, inner, 1],
        np.tile(middles + (height - side) / 2, (size, 1)).T[inner, inner],
        atol=1,
    )
    assert (seen[..., 2] == 7).all()


@pytest.mark.parametrize(("width", "height"), [(50, 50), (64, 48), (48, 64)])
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.5])
@pytest.mark.parametrize("size", [16, 90])
def test_bilinear_resizing_is_its_formula(width: int, height: int, crop: float, size: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    seen = preprocessing(size, crop=crop, interpolation="bilinear").to_array(
        Image.fromarray(pixels)
    )
    side = min(width, height) * crop
    left, top = (width - side) / 2, (height - side) / 2
    across = triangle_weights(width, size, left, side)
    down = triangle_weights(height, size, top, side)
    expected = np.einsum("iy,yxc,jx->ijc", down, pixels.astype(float), across)
    np.testing.assert_allclose(seen, expected, atol=1.01)  # rounded twice, across and down


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_an_image_of_the_right_size_is_left_as_it_is(interpolation: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    seen = preprocessing(24, interpolation=interpolation).to_array(Image.fromarray(pixels))
    np.testing.assert_array_equal(seen, pixels)


def test_the_default_is_bicubic() -> None:
    image = gradient(50, 50)
    expected = image.resize((31, 31), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(preprocessing(31).to_array(image), np.asarray(expected))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_tiny_and_thin_images(width: int, height: int, crop: float) -> None:
    image = Image.new("RGB", (width, height), (10, 20, 30))
    seen = preprocessing(8, crop=crop).to_array(image)
    assert (seen == [10, 20, 30]).all()


@pytest.mark.parametrize(("width", "height"), [(50, 50), (64, 48), (48, 64), (200, 10)])
@pytest.mark.parametrize("crop", [1.0, 0.9])
def test_squashing_shows_the_whole_image(width: int, height: int, crop: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    way = preprocessing(20, fit="squash", crop=crop, interpolation="bilinear")
    seen = way.to_array(Image.fromarray(pixels))
    across = triangle_weights(width, 20, width * (1 - crop) / 2, width * crop)
    down = triangle_weights(height, 20, height * (1 - crop) / 2, height * crop)
    expected = np.einsum("iy,yxc,jx->ijc", down, pixels.astype(float), across)
    np.testing.assert_allclose(seen, expected, atol=1.01)


@pytest.mark.parametrize(
    ("width", "height", "shown"),  # rows and columns of a 20 x 20 image that are not padding
    [
        (50, 50, (0, 20, 0, 20)),
        (40, 30, (2, 17, 0, 20)),  # 15 of 20 rows, 2 above and 3 below
        (30, 40, (0, 20, 2, 17)),
        (200, 10, (9, 10, 0, 20)),
        (1000, 1, (9, 10, 0, 20)),  # never nothing
        (5, 5, (0, 20, 0, 20)),  # enlarged
        (1, 1, (0, 20, 0, 20)),
    ],
)
def test_padding_keeps_proportions_in_the_middle_of_black(
    width: int, height: int, shown: tuple[int, int, int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)
    way = preprocessing(20, fit="pad", interpolation="bilinear")
    seen = way.to_array(Image.fromarray(pixels))
    top, bottom, left, right = shown
    inside = np.zeros((20, 20), bool)
    inside[top:bottom, left:right] = True
    assert (seen[~inside] == 0).all()
    across = triangle_weights(width, right - left, 0, width)
    down = triangle_weights(height, bottom - top, 0, height)
    expected = np.einsum("iy,yxc,jx->ijc", down, pixels.astype(float), across)
    np.testing.assert_allclose(seen[top:bottom, left:right], expected, atol=1.01)


def test_the_canonical_form_is_the_one_that_models_were_written_with() -> None:
    assert preprocessing(32).canonical() == (
        '{"channel_order": "rgb", "crop": 1.0, "image_size": 32, "interpolation": "bicubic", '
        '"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    )
    assert '"fit": "pad"' in preprocessing(32, fit="pad").canonical()


@pytest.mark.parametrize(
    ("fit", "size", "times"),
    [
        *[("crop", (2400, 1200), 4), ("squash", (2400, 1200), 4), ("pad", (2400, 1200), 8)],
        *[("crop", (599, 9000), 1), ("pad", (599, 9000), 8), ("pad", (599, 10), 1)],
    ],
)
def test_images_are_decoded_smaller_by_what_is_shown_of_them(
    fit: str, size: tuple[int, int], times: int
) -> None:
    # 100 pixels are wanted, of the shorter side or of the longer, and 300 are to be left.
    assert preprocessing(100, fit=fit).reduction(size) == times


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("fit", "crop"), [("crop", 1.0), ("crop", 0.9), ("squash", 1.0), ("pad", 1.0)]
)
@pytest.mark.parametrize(("width", "height"), [(257, 257), (257, 265), (321, 257)])
def test_a_reduced_jpeg_shows_the_same_region(
    width: int, height: int, fit: str, crop: float, orientation: int
) -> None:
    # At an eighth, 257 pixels become 33, and the last is beyond the picture but for an eighth: were
    # all of it taken for the picture, the far end would be 7 pixels away, 5 levels here.
    y, x = np.mgrid[:height, :width]
    ramps = np.stack([x * (250 / width), y * (250 / height), x * 0 + 7], axis=-1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.fromarray(ramps.astype(np.uint8)).save(file, "JPEG", quality=98, subsampling=0, exif=exif)
    way = preprocessing(4, fit=fit, crop=crop, interpolation="bilinear")
    image, picture = open_reduced(file.getvalue(), lambda size: 8)
    assert max(image.size) == -(-max(width, height) // 8)
    exact = way.to_array(open_image(file.getvalue())).astype(int)
    np.testing.assert_allclose(way.to_array(image, picture), exact, atol=3)


def test_scaling_is_what_numpy_makes_of_it() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    seen = preprocessing(5, mean=mean, std=std).normalise(torch.from_numpy(pixels))
    expected = (pixels / 255 - np.array(mean)) / np.array(std)
    assert seen.shape == (2, 3, 5, 5)
    assert seen.dtype == torch.float32
    assert seen.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(seen.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_floats_are_scaled_as_bytes_are() -> None:
    pixels = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8)
    way = preprocessing(5)
    assert torch.equal(way.normalise(pixels), way.normalise(pixels.float()))
    assert way.normalise(torch.tensor([0, 255]).view(1, 1, 2, 1)).flatten().tolist() == [
        *[-1, 1] * 3  # one channel is broadcast to three
    ]


def test_bgr_turns_the_channels_and_not_their_means() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)  # of blue, green, red
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    seen = preprocessing(4, mean=mean, std=std, channel_order="bgr").normalise(
        torch.from_numpy(pixels)
    )
    for channel, source in enumerate((2, 1, 0)):
        expected = (pixels[0, ..., source] / 255 - mean[channel]) / std[channel]
        np.testing.assert_allclose(seen[0, channel].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"crop": 0},
        {"crop": 1.1},
        {"interpolation": "nearest"},
        {"mean": (0.5,)},
        {"fit": "x"},
        {"x": 1},
    ],
)
def test_wrong_preprocessing_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        preprocessing(32, **values)
