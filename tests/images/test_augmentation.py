"""Augmentation: each change against another way of making it, and what its chances are."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from bitcodes.images import augmentation
from bitcodes.images.augmentation import Augmentation, Draws

ALL = Augmentation(zoom=0.3, rand_augment=9)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 6, side: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator(9))


def augment(images: torch.Tensor, way: Augmentation, seed: int = 0) -> torch.Tensor:
    return way(images, way.draw(len(images), generator(seed)))


def drawn(changes: list[int], **values: float) -> Draws:
    """Draws that change nothing but what is given: for one image."""
    sign = values.get("sign", 1.0)
    return Draws(
        shift=torch.tensor([[values.get("down", 0.0), values.get("across", 0.0)]]),
        mirrored=torch.tensor([bool(values.get("mirrored", False))]),
        zoom=torch.tensor([[values.get("zoom", 0.0), 0.5, 0.5]]),
        changes=torch.tensor([changes]),
        signs=torch.full((1, 2), sign),
    )


def change(name: str) -> int:
    return augmentation._CHANGES.index(name)


@pytest.mark.parametrize("way", [Augmentation(), ALL])
def test_it_is_the_same_for_a_generator_and_differs_between_images(way: Augmentation) -> None:
    images = pictures()[:1].repeat(6, 1, 1, 1)
    before = images.clone()
    once, again, other = (augment(images, way, seed) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len({image.numpy().tobytes() for image in once}) == 6
    assert once.shape == images.shape
    assert once.dtype == torch.uint8
    assert torch.equal(images, before)


def test_it_takes_no_random_numbers_from_elsewhere() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augment(pictures(), ALL)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("way", [Augmentation(), ALL])
def test_a_part_of_a_batch_is_changed_as_within_it(way: Augmentation) -> None:
    images = pictures()
    draws = way.draw(6, generator())
    whole = way(images, draws)
    for rows in (slice(0, 2), slice(2, 6)):
        assert torch.equal(way(images[rows], draws.part(rows)), whole[rows])


@pytest.mark.parametrize("at_once", [1, 3, 9])
@pytest.mark.parametrize("way", [Augmentation(), ALL])
def test_batches_that_go_together_are_changed_as_alone(way: Augmentation, at_once: int) -> None:
    images = pictures(18)
    batches = list(images.split(4))
    draws = [way.draw(len(batch), generator(seed)) for seed, batch in enumerate(batches)]
    endless = itertools.chain(draws, itertools.repeat(draws[0]))
    changed = list(way.stream(iter(batches), endless, at_once))
    assert len(changed) == 5
    for batch, drawn_for, found in zip(batches, draws, changed, strict=True):
        assert torch.equal(found, way(batch, drawn_for))


def shifted(image: np.ndarray, down: int, across: int, mirrored: bool) -> np.ndarray:
    """An image (S, S, 3) shifted by whole pixels, filled from its mirror image, by np.pad."""
    side, reach = len(image), len(image) // 8
    image = image[:, ::-1] if mirrored else image
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return padded[reach + down :, reach + across :][:side, :side]


def test_images_are_shifted_by_up_to_an_eighth_and_half_of_them_mirrored() -> None:
    images = torch.randint(0, 256, (600, 16, 16, 3), dtype=torch.uint8, generator=generator(5))
    moved = augment(images, Augmentation())
    steps = range(-2, 3)  # an eighth of 16 pixels either way
    seen: list[tuple[int, int, bool]] = []
    for before, after in zip(images.numpy(), moved.numpy(), strict=True):
        ways = [
            way
            for way in itertools.product(steps, steps, (False, True))
            if np.array_equal(shifted(before, *way), after)
        ]
        assert len(ways) == 1
        seen += ways
    for place in (0, 1):  # each shift as often: 120 of 600
        counts = [sum(way[place] == step for way in seen) for step in steps]
        assert min(counts) > 80, counts
    assert 240 < sum(mirrored for _, _, mirrored in seen) < 360


def test_small_images_are_only_mirrored() -> None:
    images = pictures(side=4)
    for before, after in zip(images, augment(images, Augmentation()), strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(1))


def test_nothing_is_mirrored_or_shifted_where_that_is_off() -> None:
    images = pictures(20)
    assert torch.equal(augment(images, Augmentation(flip=False, shift=0)), images)
    still = Augmentation(flip=False, shift=0, zoom=0.5)
    idle = drawn([0, 0], mirrored=True, down=0.9)
    assert torch.equal(still(images[:1], idle), images[:1])


def test_resampling_shifts_and_mirrors_as_whole_pixels_do() -> None:
    images = pictures(1)
    way = Augmentation(shift=0.125, zoom=0.5)  # of 16 pixels: 2
    for mirrored in (False, True):
        moved = way(images, drawn([0, 0], down=0.5, across=-1.0, mirrored=mirrored))
        expected = shifted(images[0].numpy(), 1, 2 if mirrored else -2, mirrored)
        # Inside: at the edge one mirrors at the middle of a pixel, the other at its border.
        np.testing.assert_array_equal(moved[0].numpy()[:-1, 2:-2], expected[:-1, 2:-2])


def test_zoom_enlarges_the_middle() -> None:
    images = pictures(1, side=8)
    shown = Augmentation(shift=0, zoom=0.5)(images, drawn([0, 0], zoom=1 - 1e-7))
    middle = images[:, 2:6, 2:6].permute(0, 3, 1, 2).float()
    enlarged = torch.nn.functional.interpolate(middle, scale_factor=2, mode="bilinear")
    inside = np.s_[:, 1:-1, 1:-1]
    expected = enlarged.permute(0, 2, 3, 1).round().numpy()[inside]
    np.testing.assert_allclose(shown.numpy()[inside].astype(float), expected, atol=1)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("autocontrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
        ("solarize", lambda image: ImageOps.solarize(image, 128)),
        ("posterize", lambda image: ImageOps.posterize(image, 6)),
    ],
)
def test_colours_change_as_pillow_changes_them(name: str, ours: object) -> None:
    noise = np.random.default_rng(0).normal(120, 40, (1, 32, 32, 3)).clip(0, 255)
    images = torch.from_numpy(noise.astype(np.uint8))
    way = Augmentation(flip=False, shift=0, rand_augment=5)
    changed = way(images, drawn([change(name), 0]))
    assert callable(ours)
    expected = np.asarray(ours(Image.fromarray(images[0].numpy())))
    assert not torch.equal(changed, images)
    np.testing.assert_allclose(changed[0].numpy().astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize("sign", [-1, 1])
def test_blends_go_either_way(sign: int) -> None:
    images = pictures(1)
    way = Augmentation(flip=False, shift=0, rand_augment=5)
    brighter = way(images, drawn([change("brightness"), 0], sign=sign)).float().mean()
    assert (brighter > images.float().mean()) == (sign == 1)
    stronger = way(images, drawn([0, change("contrast")], sign=sign)).float().std()
    assert (stronger > images.float().std()) == (sign == 1)


def test_a_rotation_of_30_degrees_is_the_strongest() -> None:
    side = 33
    images = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    images[0, 16, 26:32] = 255  # a bar to the right of the middle
    way = Augmentation(flip=False, shift=0, rand_augment=10)
    turned = way(images, drawn([change("rotate"), 0]))[0, :, :, 0].double()
    rows, columns = torch.meshgrid(*[torch.arange(side) - 16.0] * 2, indexing="ij")
    at = torch.stack([(rows * turned).sum(), (columns * turned).sum()]) / turned.sum()
    angle = torch.atan2(at[0], at[1]).rad2deg().abs().item()
    assert angle == pytest.approx(30, abs=1)


def test_every_change_of_randaugment_is_drawn_as_often() -> None:
    counts = ALL.draw(7000, generator()).changes.flatten().bincount(minlength=14)
    assert len(counts) == len(augmentation._CHANGES) == 14
    assert counts.min() > 850 and counts.max() < 1150
