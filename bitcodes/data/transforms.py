"""From an image to what the network sees: one path for training, encoding and querying."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

# Encoding with another engine than torch needs what an image is made into, and not torch.
if TYPE_CHECKING:
    import torch

_INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

REDUCED_MARGIN = 2

Triple = tuple[float, float, float]


class Preprocessing(BaseModel):
    """How an image becomes the network's input; saved with the model, part of its fingerprint.

    `fit` says how an image of any shape becomes square, in one step of resizing:

    - crop: its largest centred square, `crop` of its shorter side;
    - squash: the whole of it (`crop` of each side), whatever that does to its proportions;
    - pad: the whole of it in proportion, in the middle of black.

    Then it is scaled: (value / 255 - mean) / std, in the order of channels that the network takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: Annotated[int, Field(ge=1)]
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Triple
    std: Triple
    channel_order: Literal["rgb", "bgr"] = "rgb"
    fit: Literal["crop", "squash", "pad"] = "crop"

    def canonical(self) -> str:
        """The preprocessing as JSON of one form: what the fingerprint of a model covers."""
        values = self.model_dump(mode="json")
        if self.fit == "crop":
            del values["fit"]  # as models were written before there was a choice
        return json.dumps(values, sort_keys=True)

    def to_array(self, image: Image.Image) -> NDArray[np.uint8]:
        """An RGB Pillow image -> uint8 (S, S, 3): square and resized, not yet scaled."""
        if self.fit == "pad":
            return self._padded(image)
        width, height = image.size
        if self.fit == "crop":
            across = down = min(width, height) * self.crop
        else:
            across, down = width * self.crop, height * self.crop
        left, top = (width - across) / 2, (height - down) / 2
        size = (self.image_size, self.image_size)
        box = (left, top, left + across, top + down)
        return np.asarray(image.resize(size, _INTERPOLATION[self.interpolation], box))

    def reduction(self, size: tuple[int, int]) -> int:
        """How many times smaller an image may be decoded: 1, 2, 4 or 8 (DCT scaling of JPEG).

        What is left is at least REDUCED_MARGIN times as large as what it is resized to, so that the
        resizing still decides what the network sees.
        """
        shown = max(size) if self.fit == "pad" else min(size) * self.crop
        for times in (8, 4, 2):
            if shown >= times * REDUCED_MARGIN * self.image_size:
                return times
        return 1

    def _padded(self, image: Image.Image) -> NDArray[np.uint8]:
        side, longest = self.image_size, max(image.size)
        width, height = (max(1, length * side // longest) for length in image.size)
        resized = image.resize((width, height), _INTERPOLATION[self.interpolation])
        square = np.zeros((side, side, 3), np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = np.asarray(resized)
        return square

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float (B, S, S, 3) in 0..255 -> float32 (B, 3, S, S), channels-last."""
        import torch

        if self.channel_order == "bgr":
            images = images.flip(-1)
        mean = torch.tensor(self.mean, device=images.device) * 255
        scale = 1 / (torch.tensor(self.std, device=images.device) * 255)
        scaled = (images.float() - mean) * scale  # (B, S, S, 3)
        return scaled.permute(0, 3, 1, 2)  # (B, 3, S, S), a view: channels-last
