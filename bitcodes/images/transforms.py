"""From an image to what the network sees: one path for training, encoding and querying."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from bitcodes.images.decode import Box

# Encoding with another engine than torch needs what an image is made into, and not torch.
if TYPE_CHECKING:
    import torch

_INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

REDUCED_MARGIN = 3
"""Of images just large enough 3 bits in 1,000 turn in trained codes, 6 in random ones (lsh). With a
margin of 2 it is 6 and 10, with 4 no less than with 3."""

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

    def to_array(self, image: Image.Image, picture: Box | None = None) -> NDArray[np.uint8]:
        """An RGB Pillow image -> uint8 (S, S, 3): square and resized, not yet scaled.

        `picture` is the part of the image that counts, all of it if None.
        """
        left, top, right, bottom = picture or (0, 0, *image.size)
        width, height = right - left, bottom - top
        resample = _INTERPOLATION[self.interpolation]
        side = self.image_size
        if self.fit == "pad":
            longest = max(width, height)
            across, down = (max(1, int(length * side // longest)) for length in (width, height))
            resized = image.resize((across, down), resample, (left, top, right, bottom))
            square = np.zeros((side, side, 3), np.uint8)
            x, y = (side - across) // 2, (side - down) // 2
            square[y : y + down, x : x + across] = np.asarray(resized)
            return square
        if self.fit == "crop":
            width = height = min(width, height)
        width, height = width * self.crop, height * self.crop
        left, top = (left + right - width) / 2, (top + bottom - height) / 2
        box = (left, top, left + width, top + height)
        return np.asarray(image.resize((side, side), resample, box))

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

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float (B, S, S, 3) in 0..255 -> float32 (B, 3, S, S), channels-last."""
        import torch

        if self.channel_order == "bgr":
            images = images.flip(-1)
        planes = images.permute(0, 3, 1, 2)  # (B, 3, S, S), a view: channels-last
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1) * 255
        scale = 1 / (torch.tensor(self.std, device=images.device).view(3, 1, 1) * 255)
        # Plane by plane: ONNX Runtime is slow at it where the channels come last.
        return (planes.float() - mean) * scale
