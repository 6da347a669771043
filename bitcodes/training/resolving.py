"""What "auto" means: settings that depend on the machine and on the images."""

import numpy as np
import torch

from bitcodes.config import Settings
from bitcodes.data.lists import ImageList
from bitcodes.errors import DataError, ImageError
from bitcodes.images import open_image
from bitcodes.losses import LABEL_FREE, LOSSES
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device

_SMALLEST = 64  # enlarging small pictures pays
_SMALLEST_FROZEN = 128  # and more so for a network that cannot adapt to them


def resolve(settings: Settings, train: ImageList) -> Settings:
    """The settings with every "auto" replaced by what it means here and for these images."""
    values = settings.to_dict()
    device = choose_device(settings.device)
    values["device"] = str(device)
    if settings.amp == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        values["amp"] = "bfloat16" if fast else "off"
    if settings.image_size == "auto":
        frozen = settings.freeze or settings.loss in LABEL_FREE
        values["image_size"] = image_size_for(
            train,
            find_backbone(settings.backbone).default_image_size,
            _SMALLEST_FROZEN if frozen else _SMALLEST,
        )
    if settings.head_learning_rate == "auto" and settings.loss in LOSSES:
        values["head_learning_rate"] = LOSSES[settings.loss].head_learning_rate
    return Settings.build(values)


def image_size_for(images: ImageList, largest: int, smallest: int = _SMALLEST) -> int:
    """Median of the images' shorter sides, at least `smallest`, at most `largest`.

    Of 25 images; those that cannot be read do not count. Raises DataError if none can.
    """
    sides = []
    for row in np.linspace(0, len(images) - 1, min(25, len(images))).astype(int):
        path = images.absolute_path(int(row))
        try:
            sides.append(min(open_image(path).size))
        except ImageError as error:
            problem = f"{path}: {error}"
    if not sides:
        raise DataError(f"{problem}; repair the file or take its line out of the list")
    return min(largest, max(smallest, int(np.median(sides)) // 32 * 32))
