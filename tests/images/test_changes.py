"""Copies of images: what each change does to the pixels."""

import numpy as np
from PIL import Image

from bitcodes.images.changes import CHANGES


def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(smooth).resize((80, 60), Image.Resampling.BICUBIC)


def test_changes_give_other_pixels_the_same_every_time() -> None:
    image = picture()
    before = np.asarray(image).copy()
    for change in CHANGES.values():
        changed = change(image)
        assert changed.mode == "RGB"
        assert changed.tobytes() == change(image).tobytes() != image.tobytes()
    np.testing.assert_array_equal(np.asarray(image), before)


def test_what_each_change_does() -> None:
    image = picture()
    pixels = np.asarray(image).astype(float)
    cropped, blurred, recompressed, mirrored = (
        np.asarray(CHANGES[name](image)).astype(float)
        for name in ("cropped", "blurred", "recompressed", "mirrored")
    )
    np.testing.assert_array_equal(cropped, pixels[:48, :64])
    np.testing.assert_array_equal(mirrored, pixels[:, ::-1])
    assert 0 < np.abs(recompressed - pixels).mean() < 10

    def roughness(some: np.ndarray) -> float:
        return float(np.abs(np.diff(some, axis=1)).mean())

    assert roughness(blurred) < roughness(pixels)


def test_the_smallest_images_can_be_changed() -> None:
    image = Image.new("RGB", (1, 2), "red")
    for change in CHANGES.values():
        assert min(change(image).size) >= 1
