"""What "auto" means: settings that depend on the machine and on the images."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from bitcodes.errors import ConfigError, DataError, ImageError
from bitcodes.images.decode import open_image
from bitcodes.losses import LOSSES
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device
from bitcodes.settings import Settings, backbone_name
from bitcodes.sources.lists import ImageList
from bitcodes.training.freezing import freeze, set_modes

_SMALLEST = 128  # pixels: enlarging small pictures pays
_EPOCHS, _IMAGES = 10, 50_000  # that many for that many
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 60
_EPOCHS_FROZEN = 30  # they take seconds each
_HIDDEN_FROZEN = 1024  # wide: what a backbone knows of other classes is not linear in these
_FEW = 20_000  # images: fewer are changed more
_TRIAL_BATCH = {"cpu": 8, "cuda": 64}  # images, enough to show which precision is faster


def resolve(settings: Settings, train: ImageList, log: Callable[[str], None]) -> Settings:
    """The settings with every "auto" replaced by what it means here and for these images."""
    settings = settings.model_copy(update={"backbone": backbone_name(settings)})
    values = settings.to_dict()
    device = choose_device(settings.device)
    values["device"] = str(device)
    backbone = find_backbone(settings.backbone)
    values |= _if_auto(values, _by_images(settings, train))
    hidden = _HIDDEN_FROZEN if settings.freeze else backbone.hidden
    values |= _if_auto(values, {"hidden": 0 if settings.label_free else hidden})
    if settings.image_size == "auto":
        size = backbone.default_image_size
        if backbone.any_size:
            size = image_size_for(train, size)
        half = -(-size // 64) * 32  # in whole 32s, what most networks reduce maps by
        at_once = settings.freeze or settings.label_free or values["epochs"] == 1
        values["image_size"] = [half, size] if backbone.any_size and not at_once else size
    if isinstance(settings.image_size, list) and not backbone.any_size:
        raise ConfigError(
            f"settings: 'image_size' has several sizes, but {settings.backbone} is built for one: "
            f"give one, or leave it out for {backbone.default_image_size}"
        )
    if settings.label_free and values["hidden"]:
        raise ConfigError(
            f"settings: 'hidden' is {values['hidden']}, but loss {settings.loss} trains no layer: "
            "expected 0"
        )
    if not settings.label_free and "auto" in values.values():
        network = backbone.build(Settings.build(values).size_in(-1))
        values |= _if_auto(values, {"freeze_stages": _stages_to_freeze(settings, network)})
        chosen = Settings.build(values)
        freeze(network, chosen)
        values |= _if_auto(values, recipe_for(network, chosen))
        if settings.amp == "auto":
            values["amp"] = _precision(network, chosen, device, log)
    return Settings.build(values)


def _if_auto(values: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    """The part of a choice that was left to us."""
    return {key: value for key, value in choice.items() if values[key] == "auto"}


def _by_images(settings: Settings, train: ImageList) -> dict[str, Any]:
    """What depends on how many images there are to train on."""
    few = len(train) < _FEW
    return {
        "epochs": _EPOCHS_FROZEN if settings.freeze else epochs_for(len(train)),
        "zoom": 0.2 if few else 0.0,
        "rand_augment": 4.0 if few else 0.0,
    }


def epochs_for(images: int) -> int:
    """10 for 50,000 images, and 5 to 60 for others: by the square root, fewer are seen oftener."""
    wanted = round(_EPOCHS * math.sqrt(_IMAGES / max(images, 1)))
    return min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS)


def _stages_to_freeze(settings: Settings, network: nn.Module) -> int:
    """Three of seven: the first layers have the largest maps, and least to learn."""
    if settings.freeze or settings.retrain != "none" or settings.weights == "random":
        return 0
    stages = find_backbone(settings.backbone).stages(network)  # the stem is the first
    return max(len(stages) - 1, 0) * 3 // 7


def recipe_for(network: nn.Module, settings: Settings) -> dict[str, str | float]:
    """The optimizer and its rates that suit a backbone, by its norms, and the batch size.

    Networks with layer norms are trained with AdamW, all others with SGD; of those the ones without
    batch norm, or with frozen ones, bear only smaller steps. Where nothing of it learns, its kind
    does not matter. The rates of SGD grow with the batch in proportion, those of AdamW with its
    square root.
    """
    batches = settings.batch_size / 64
    head = LOSSES[settings.loss].head_learning_rate
    if _has(network, nn.LayerNorm) and not settings.freeze:
        rate = 1e-4 * batches**0.5
        return {
            "optimizer": "adamw",
            "learning_rate": rate,
            "head_learning_rate": 10 * rate,
            "weight_decay": 0.05,
        }
    adapting = _has(network, nn.modules.batchnorm._BatchNorm) and not settings.freeze_norms
    scale = batches if adapting or settings.freeze else 0.2 * batches
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
    mixed = _step_seconds(network, images, mixed=True, give_up=3 * single)
    log(f"bfloat16 takes {mixed / single:.0%} of the time of float32 here")
    return "bfloat16" if mixed < 0.9 * single else "off"


def _step_seconds(
    network: nn.Module, images: torch.Tensor, mixed: bool, give_up: float = math.inf
) -> float:
    """Seconds of a step forward and back: the best of three, of fewer if it is above `give_up`.

    One before them does not count: on a GPU it loads the kernels, for seconds.
    """
    best = math.inf
    for number in range(4):
        started = time.perf_counter()
        with torch.autocast(images.device.type, torch.bfloat16, mixed):
            features = network(images)
        features.float().square().mean().backward()
        if images.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        if number == 0:
            continue
        best = min(best, seconds)
        if best > give_up:
            break
    return best


def image_size_for(images: ImageList, largest: int) -> int:
    """Median of the images' shorter sides in whole 32s, at least 128, at most `largest`.

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
    return min(largest, max(_SMALLEST, int(np.median(sides)) // 32 * 32))
