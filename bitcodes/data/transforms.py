"""From an image to what the network sees: one path for training, encoding and querying."""

from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

_INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

Triple = tuple[float, float, float]


class Preprocessing(BaseModel):
    """How an image becomes the network's input; saved with the model, part of its fingerprint.

    The image's largest centred square, `crop` of its shorter side, is resized to
    `image_size` x `image_size` in one step, then scaled: (value / 255 - mean) / std.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: Annotated[int, Field(ge=1)]
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Triple
    std: Triple
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def to_array(self, image: Image.Image) -> NDArray[np.uint8]:
        """An RGB Pillow image -> uint8 (S, S, 3): cropped and resized, not yet scaled."""
        width, height = image.size
        side = min(width, height) * self.crop
        left, top = (width - side) / 2, (height - side) / 2
        size = (self.image_size, self.image_size)
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize(size, _INTERPOLATION[self.interpolation], box))

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float (B, S, S, 3) in 0..255 -> float32 (B, 3, S, S), channels-last."""
        if self.channel_order == "bgr":
            images = images.flip(-1)
        mean = torch.tensor(self.mean, device=images.device) * 255
        scale = 1 / (torch.tensor(self.std, device=images.device) * 255)
        scaled = (images.float() - mean) * scale  # (B, S, S, 3)
        return scaled.permute(0, 3, 1, 2)  # (B, 3, S, S), a view: channels-last


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift, zoom and mirror each image at random: uint8 (B, S, S, 3) -> float32 (B, S, S, 3).

    Shifts are up to an eighth of the side, zooms between 0.9 and 1.2; what comes in from outside is
    mirrored. `generator` is on the CPU, so that every device draws the same numbers.
    """
    count = len(images)
    draws = torch.rand(4, count, generator=generator)
    zoom = 1 / (0.9 + 0.3 * draws[0])
    mirror = torch.where(draws[1] < 0.5, -1.0, 1.0)
    shift = (draws[2:] * 2 - 1) * 0.25  # in units of half the side
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = zoom * mirror
    affine[:, 1, 1] = zoom
    affine[:, 0, 2] = shift[0]
    affine[:, 1, 2] = shift[1]
    pixels = images.permute(0, 3, 1, 2).float()  # (B, 3, S, S)
    grid = F.affine_grid(affine.to(images.device), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return moved.permute(0, 2, 3, 1)  # (B, S, S, 3)
