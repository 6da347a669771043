"""What "auto" means: settings that depend on the machine and on the images."""

from pathlib import Path

import numpy as np
import torch

from bitcodes.config import Settings
from bitcodes.data.lists import ImageList
from bitcodes.errors import DataError, ImageError
from bitcodes.images import open_image
from bitcodes.losses import LOSSES
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device


def resolve(settings: Settings, train: ImageList) -> Settings:
    """The settings with every "auto" replaced by what it means here and for these images."""
    values = settings.to_dict()
    device = choose_device(settings.device)
    values["device"] = str(device)
    if settings.amp == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        values["amp"] = "bfloat16" if fast else "off"
    if settings.image_size == "auto":
        values["image_size"] = image_size_for(
            train, find_backbone(settings.backbone).default_image_size
        )
    if settings.head_learning_rate == "auto":
        values["head_learning_rate"] = LOSSES[settings.loss].head_learning_rate
    return Settings.build(values)


def image_size_for(images: ImageList, largest: int) -> int:
    """Median of the images' shorter sides, at least 64 (enlarging pays), at most `largest`."""
    rows = np.linspace(0, len(images) - 1, min(25, len(images))).astype(int)
    sides = [_shorter_side(images.absolute_path(int(row))) for row in rows]
    return min(largest, max(64, int(np.median(sides)) // 32 * 32))


def _shorter_side(path: Path) -> int:
    try:
        return min(open_image(path).size)
    except ImageError as error:
        raise DataError(
            f"{path}: {error}; repair the file or take its line out of the list"
        ) from None
