"""Augmentation of training images: random per image, computed per batch on its device."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as V

# RandAugment's changes. Those that move pixels share one resampling.
_MOVES = ("rotate", "shear x", "shear y", "translate x", "translate y")
_COLOURS = ("autocontrast", "equalize", "solarize", "posterize")
_BLENDS = ("saturation", "contrast", "brightness", "sharpness")  # more or less
_CHANGES = ("identity", *_MOVES, *_COLOURS, *_BLENDS)
_CHANGE_COUNT = 2  # per image


class Draws(NamedTuple):
    """Random numbers for B images, on the CPU, so that they are the same for every device."""

    shift: torch.Tensor  # (B, 2) down and across, in [-1, 1)
    mirrored: torch.Tensor  # (B,) bool
    zoom: torch.Tensor  # (B, 3) in [0, 1): how much, where down, where across
    changes: torch.Tensor  # (B, 2) int64, of RandAugment
    signs: torch.Tensor  # (B, 2), -1 or 1

    def part(self, rows: slice) -> "Draws":
        """The numbers of some of the images."""
        return Draws(*(numbers[rows] for numbers in self))


@dataclass(frozen=True)
class Augmentation:
    """How training images are augmented.

    - flip: mirror half of them.
    - shift: move each by up to this share of its side, and fill in its mirror image.
    - zoom: enlarge a square of at least 1 - `zoom` of the side to the whole.
    - rand_augment: make two random changes of 14 per image, with this strength, 0 to 10
      (RandAugment, Cubuk et al., NeurIPS 2020, https://arxiv.org/abs/1909.13719).

    Without zoom and RandAugment, shifts are whole pixels and nothing is resampled.
    """

    flip: bool = True
    shift: float = 0.125
    zoom: float = 0.0
    rand_augment: float = 0.0

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Random numbers for `count` images: the same, whichever changes are on."""
        shape = (count, _CHANGE_COUNT)
        return Draws(
            shift=torch.rand(count, 2, generator=generator) * 2 - 1,
            mirrored=torch.rand(count, generator=generator) < 0.5,
            zoom=torch.rand(count, 3, generator=generator),
            changes=torch.randint(len(_CHANGES), shape, generator=generator),
            signs=torch.randint(2, shape, generator=generator) * 2.0 - 1,
        )

    def stream(
        self, batches: Iterable[torch.Tensor], draws: Iterable[Draws], at_once: int = 1
    ) -> Iterator[torch.Tensor]:
        """Augment each batch (B, S, S, 3) by its draws; surplus draws are ignored.

        `at_once` batches are computed together, because small ones mostly cost overhead.
        """
        pairs = zip(batches, draws, strict=False)
        while group := list(islice(pairs, at_once)):
            images, numbers = zip(*group, strict=True)
            all_draws = Draws(*map(torch.cat, zip(*numbers, strict=True)))
            results = self(torch.cat(images), all_draws)
            yield from torch.split(results, [len(each) for each in images])

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """uint8 (B, S, S, 3) -> the same shape and type, on the same device."""
        if self.zoom == 0 and self.rand_augment == 0:
            return self._moved_by_pixels(images, draws)
        images = self._resampled(images, draws)
        return self._recoloured(images, draws) if self.rand_augment else images

    def _moved_by_pixels(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        count, side = images.shape[:2]
        reach = int(self.shift * side)
        # (B, 2, 1), each of -reach .. reach as often
        shifts = ((draws.shift + 1) / 2 * (2 * reach + 1)).long()[..., None] - reach
        places = torch.arange(side)
        mirrored = draws.mirrored[:, None] & self.flip
        rows = _reflected(places + shifts[:, 0], side).to(images.device)  # (B, S)
        columns = torch.where(mirrored, side - 1 - places, places) + shifts[:, 1]
        columns = _reflected(columns, side).to(images.device)  # (B, S)
        batch = torch.arange(count, device=images.device)
        return images[batch[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _resampled(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Flip, zoom, shift and RandAugment's moves in one bilinear resampling."""
        ways = self._affine(draws).to(images.device)  # (B, 2, 3)
        pixels = images.permute(0, 3, 1, 2).float()  # (B, 3, S, S)
        grid = F.affine_grid(ways, list(pixels.shape), align_corners=False)
        moved = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
        return moved.round_().to(torch.uint8).permute(0, 2, 3, 1)

    def _affine(self, draws: Draws) -> torch.Tensor:
        """Where each pixel comes from, (B, 2, 3) for `affine_grid`, whose sides go from -1 to 1.

        Shares of the side are thus twice as large there.
        """
        count = len(draws.mirrored)
        left = self.zoom * draws.zoom[:, 0]  # (B,) share of the side that is cut off
        way = torch.eye(3).repeat(count, 1, 1)
        way[:, 0, 0] = way[:, 1, 1] = 1 - left
        # Columns come first in the grid, rows second.
        off_centre = draws.zoom[:, 1:] * 2 - 1
        way[:, :2, 2] = (left[:, None] * off_centre + 2 * self.shift * draws.shift).flip(1)
        if self.rand_augment:
            for number in range(_CHANGE_COUNT):
                way = way @ self._move(draws.changes[:, number], draws.signs[:, number])
        if self.flip:
            way[:, :, 0] *= torch.where(draws.mirrored, -1.0, 1.0)[:, None]
        return way[:, :2]

    def _move(self, changes: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
        """RandAugment's moves as matrices (B, 3, 3); the identity for other changes."""
        size = signs * self.rand_augment / 10
        move = torch.eye(3).repeat(len(changes), 1, 1)
        of = {name: changes == _CHANGES.index(name) for name in _MOVES}
        angle = torch.where(of["rotate"], size * math.radians(30), 0.0)
        move[:, 0, 0] = move[:, 1, 1] = angle.cos()
        move[:, 0, 1] = -angle.sin() + torch.where(of["shear x"], 0.3 * size, 0.0)
        move[:, 1, 0] = angle.sin() + torch.where(of["shear y"], 0.3 * size, 0.0)
        move[:, 0, 2] = torch.where(of["translate x"], 2 * 0.3 * size, 0.0)
        move[:, 1, 2] = torch.where(of["translate y"], 2 * 0.3 * size, 0.0)
        return move

    def _recoloured(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).clone()  # (B, 3, S, S)
        for number in range(_CHANGE_COUNT):
            changes, signs = draws.changes[:, number], draws.signs[:, number]
            for change in (*_COLOURS, *_BLENDS):
                for sign in (-1, 1) if change in _BLENDS else (0,):
                    matches = changes == _CHANGES.index(change)
                    if sign:
                        matches &= signs == sign
                    rows = matches.nonzero()[:, 0]
                    if len(rows):
                        rows = rows.to(images.device)
                        pixels[rows] = self._recolour(pixels[rows], change, sign)
        return pixels.permute(0, 2, 3, 1)

    def _recolour(self, pixels: torch.Tensor, change: str, sign: int) -> torch.Tensor:
        strength = self.rand_augment / 10
        changed: torch.Tensor
        if change == "solarize":
            changed = V.solarize(pixels, threshold=255 * (1 - strength))
        elif change == "posterize":
            changed = V.posterize(pixels, bits=8 - round(4 * strength))
        elif change in _BLENDS:
            changed = getattr(V, f"adjust_{change}")(pixels, 1 + sign * 0.9 * strength)
        else:
            changed = getattr(V, change)(pixels)
        return changed


def _reflected(places: torch.Tensor, side: int) -> torch.Tensor:
    """Fold places outside 0 .. side - 1 back in, as if the edge pixels were mirrors."""
    places = places.abs()
    return torch.where(places >= side, 2 * (side - 1) - places, places)
