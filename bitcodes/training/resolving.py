"""What "auto" means: settings that depend on the machine and on the images."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bitcodes.config import Settings
from bitcodes.data.lists import ImageList
from bitcodes.errors import ConfigError, DataError, ImageError
from bitcodes.images import open_image
from bitcodes.losses import LABEL_FREE, LOSSES
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device
from bitcodes.training.freezing import freeze, set_modes

_SMALLEST = 64  # enlarging small pictures pays
_SMALLEST_FROZEN = 128  # and more so for a network that cannot adapt to them
_TRIAL_BATCH = {"cpu": 8, "cuda": 64}  # images, enough to show which precision is faster


def resolve(settings: Settings, train: ImageList, log: Callable[[str], None]) -> Settings:
    """The settings with every "auto" replaced by what it means here and for these images."""
    values = settings.to_dict()
    device = choose_device(settings.device)
    values["device"] = str(device)
    backbone = find_backbone(settings.backbone)
    if settings.image_size == "auto":
        frozen = settings.freeze or settings.loss in LABEL_FREE
        smallest = _SMALLEST_FROZEN if frozen else _SMALLEST
        largest = backbone.default_image_size
        values["image_size"] = largest
        if backbone.any_size:
            values["image_size"] = image_size_for(train, largest, smallest)
    if isinstance(settings.image_size, list) and not backbone.any_size:
        raise ConfigError(
            f"settings: 'image_size' has several sizes, but {settings.backbone} is built for one: "
            f"give one, or leave it out for {backbone.default_image_size}"
        )
    if settings.loss not in LABEL_FREE and "auto" in values.values():
        chosen = Settings.build(values)
        network = backbone.build(chosen.size_in(-1))
        freeze(network, chosen)
        recipe = recipe_for(network, chosen)
        values |= {key: value for key, value in recipe.items() if values[key] == "auto"}
        if settings.amp == "auto":
            values["amp"] = _precision(network, chosen, device, log)
    return Settings.build(values)


def recipe_for(network: nn.Module, settings: Settings) -> dict[str, str | float]:
    """The optimizer and its rates that suit a backbone, by its norms, and the batch size.

    Networks with layer norms are trained with AdamW, all others with SGD; those without batch norm,
    or with frozen ones, bear only smaller steps. The rates of SGD grow with the batch in
    proportion, those of AdamW with its square root.
    """
    batches = settings.batch_size / 64
    head = LOSSES[settings.loss].head_learning_rate
    if _has(network, nn.LayerNorm):
        rate = 1e-4 * batches**0.5
        return {
            "optimizer": "adamw",
            "learning_rate": rate,
            "head_learning_rate": 10 * rate,
            "weight_decay": 0.05,
        }
    adapting = _has(network, nn.modules.batchnorm._BatchNorm) and not settings.freeze_norms
    scale = batches if adapting else 0.2 * batches
    return {
        "optimizer": "sgd",
        "learning_rate": 0.05 * scale,
        "head_learning_rate": head * scale,
        "weight_decay": 5e-4,
    }


def _has(network: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in network.modules())


def _precision(
    network: nn.Module, settings: Settings, device: torch.device, log: Callable[[str], None]
) -> str:
    """bfloat16 where it makes training steps faster by a tenth at least, by a trial; else off."""
    if settings.freeze or device.type not in ("cpu", "cuda"):
        return "off"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return "off"
    network = network.to(device).to(memory_format=torch.channels_last)
    set_modes(network)
    size = settings.size_in(-1)
    images = torch.zeros(min(settings.batch_size, _TRIAL_BATCH[device.type]), 3, size, size)
    images = images.to(device, memory_format=torch.channels_last)
    single = _step_seconds(network, images, mixed=False)
    mixed = _step_seconds(network, images, mixed=True, give_up=single)
    log(f"bfloat16 takes {mixed / single:.0%} of the time of float32 here")
    return "bfloat16" if mixed < 0.9 * single else "off"


def _step_seconds(
    network: nn.Module, images: torch.Tensor, mixed: bool, give_up: float = math.inf
) -> float:
    """Seconds of a step forward and back, the best of three; of one that takes 3 times too long."""
    best = math.inf
    for _ in range(4):
        started = time.perf_counter()
        with torch.autocast(images.device.type, torch.bfloat16, mixed):
            features = network(images)
        features.float().square().mean().backward()
        if images.is_cuda:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
        if best > 3 * give_up:
            break
    return best


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
