"""From an image to what the network sees: one path for training, encoding and querying."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from bitcodes.images.decode import Box
from bitcodes.images.profiles import to_srgb

if TYPE_CHECKING:  # encoding with another engine than torch does not load torch
    import torch

_INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

REDUCED_MARGIN = 3
"""Images just large enough change 3 bits in 1,000 of trained codes, 6 of random ones (lsh).
With a margin of 2, these are 6 and 10; with 4, as many as with 3."""

Triple = tuple[float, float, float]


class Preprocessing(BaseModel):
    """How an image becomes the network's input; saved with the model, part of its fingerprint.

    `fit` says how an image of any shape becomes square, by one resize:

    - crop: take a centred square of `crop` times the shorter side.
    - squash: take the centre (`crop` times each side) and change its proportions.
    - pad: take the whole image, keep its proportions and centre it on black.

    Then pixels are scaled: (value / 255 - mean) / std, with the network's order of channels.
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
        """The preprocessing as JSON, always in the same form, for the fingerprint of a model."""
        values = self.model_dump(mode="json")
        if self.fit == "crop":
            del values["fit"]  # as models were written before there was a choice
        return json.dumps(values, sort_keys=True)

    def to_array(self, image: Image.Image, picture: Box | None = None) -> NDArray[np.uint8]:
        """An RGB Pillow image, or its part `picture` -> uint8 (S, S, 3): resized, not scaled.

        Colours of a profile in its info are converted to sRGB, after the resize: see open_reduced.
        """
        profile = image.info.get("icc_profile")
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
            square[y : y + down, x : x + across] = np.asarray(to_srgb(resized, profile))
            return square
        if self.fit == "crop":
            width = height = min(width, height)
        width, height = width * self.crop, height * self.crop
        left, top = (left + right - width) / 2, (top + bottom - height) / 2
        box = (left, top, left + width, top + height)
        return np.asarray(to_srgb(image.resize((side, side), resample, box), profile))

    def reduction(self, size: tuple[int, int]) -> int:
        """How many times smaller an image may be decoded: 1, 2, 4 or 8 (DCT scaling of JPEG).

        It is then still at least REDUCED_MARGIN times as large as the network's input, so that the
        resize decides what the network sees.
        """
        side = max(size) if self.fit == "pad" else min(size) * self.crop
        smallest = REDUCED_MARGIN * self.image_size
        return next((times for times in (8, 4, 2) if side >= times * smallest), 1)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float (B, S, S, 3) in 0..255 -> float32 (B, 3, S, S), channels-last."""
        import torch

        if self.channel_order == "bgr":
            images = images.flip(-1)
        planes = images.permute(0, 3, 1, 2)  # (B, 3, S, S), a view: channels-last
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1) * 255
        scale = 1 / (torch.tensor(self.std, device=images.device).view(3, 1, 1) * 255)
        # Plane by plane, because ONNX Runtime is slow with channels last.
        return (planes.float() - mean) * scale
