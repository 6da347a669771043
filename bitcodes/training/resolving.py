"""What "auto" means: values of settings that depend on the machine and the images."""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from bitcodes.callbacks import Note
from bitcodes.errors import ConfigError, DataError, ImageError, ModelError
from bitcodes.images.decode import open_image
from bitcodes.losses.base import loss_class
from bitcodes.models.backbone import SMALL, Backbone
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device
from bitcodes.settings import Optimizer, Precision, ResolvedSettings, Settings, backbone_name
from bitcodes.sources.lists import ImageList
from bitcodes.training.optimizing import freeze, set_modes

_SMALLEST = 160  # pixels: enlarging small pictures pays
_EPOCHS, _IMAGES = 10, 50_000  # that many for that many
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 60
_EPOCHS_FROZEN = 30  # they take seconds each
_HIDDEN_FROZEN = 1024  # wide: what a backbone knows of other classes is not linear in these
_FEW = 20_000  # images: fewer are changed more
_TRIAL_BATCH = {"cpu": 16, "cuda": 64}  # images, enough to show which precision is faster


def chosen_backbone(settings: Settings) -> Backbone:
    """The backbone of these settings. Raises ConfigError, which names the option, if none is it."""
    try:
        return find_backbone(backbone_name(settings))
    except ModelError as error:
        raise ConfigError(f"--backbone: {error}") from None


def resolve(settings: Settings, train: ImageList, log: Note) -> ResolvedSettings:
    """The settings with every "auto" replaced by what it means here and for these images."""
    values = _without_network(settings, train)
    if "auto" not in values.values():
        return ResolvedSettings.build(values)
    backbone = find_backbone(values["backbone"])
    network = backbone.build(int(np.max(values["image_size"])))
    stages = _stages_to_freeze(settings, backbone, network)
    values = _fill(values, {"freeze_stages": stages, **recipe_for(network, settings)})
    resolved = ResolvedSettings.build(_fill(values, {"amp": Precision.OFF}))
    freeze(network, resolved)
    if settings.amp == "auto":
        resolved = resolved.model_copy(update={"amp": _precision(network, resolved, log)})
    return resolved


def resolve_to_fit(settings: Settings, images: ImageList) -> Settings:
    """The same for a loss without labels: settings of training, which it ignores, stay "auto"."""
    values = _without_network(settings, images)
    if values["hidden"]:
        raise ConfigError(
            f"--hidden: expected 0, because loss {settings.loss} trains no layer; found "
            f"{values['hidden']}"
        )
    return Settings.build(values)


def _without_network(settings: Settings, images: ImageList) -> dict[str, Any]:
    """The settings as values, with a choice for every "auto" that needs no network."""
    backbone = chosen_backbone(settings)
    values = settings.to_dict()
    values |= {"backbone": backbone_name(settings), "device": str(choose_device(settings.device))}
    few = len(images) < _FEW
    hidden = _HIDDEN_FROZEN if settings.freeze else backbone.hidden
    choices = {
        "epochs": _EPOCHS_FROZEN if settings.freeze else epochs_for(len(images)),
        "zoom": 0.2 if few else 0.0,
        "rand_augment": 4.0 if few else 0.0,
        "hidden": 0 if settings.label_free else hidden,
    }
    values = _fill(values, choices)
    if settings.image_size == "auto":
        one_pass = settings.freeze or settings.label_free or values["epochs"] == 1
        values["image_size"] = _image_sizes(images, backbone, one_pass)
    if settings.crop == "auto":
        values["crop"] = crop_for(images, backbone, int(np.max(values["image_size"])))
    if isinstance(settings.image_size, list) and not backbone.any_size:
        raise ConfigError(
            f"--image-size: expected one size, because {backbone_name(settings)} is built for one; "
            f"found several. Without the option it is {backbone.default_image_size}"
        )
    return values


def _fill(values: dict[str, Any], choices: dict[str, Any]) -> dict[str, Any]:
    """The values with these choices in place of "auto"."""
    return values | {key: choice for key, choice in choices.items() if values[key] == "auto"}


def _image_sizes(images: ImageList, backbone: Backbone, one_pass: bool) -> int | list[int]:
    """The size that fits images and backbone; about half comes first, unless there is one pass."""
    size = backbone.default_image_size
    if not backbone.any_size:
        return size
    size = image_size_for(images, size)
    half = -(-size // 64) * 32  # in whole 32s, what most networks reduce maps by
    return size if one_pass else [half, size]


def epochs_for(images: int) -> int:
    """10 epochs for 50,000 images; more for fewer, by the square root, from 5 to 60."""
    epochs = round(_EPOCHS * math.sqrt(_IMAGES / max(images, 1)))
    return min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS)


def _stages_to_freeze(settings: Settings, backbone: Backbone, network: nn.Module) -> int:
    """Three of seven: the first layers have the largest maps and the least to learn."""
    if settings.freeze or settings.retrain != "none" or settings.weights == "random":
        return 0
    stages = backbone.stages(network)  # the stem is the first
    return max(len(stages) - 1, 0) * 3 // 7


def recipe_for(network: nn.Module, settings: Settings) -> dict[str, str | float]:
    """The optimizer and its rates that suit a backbone, by its norms, and the batch size.

    Networks with layer norms are trained with AdamW, all others with SGD. Networks with no batch
    norms, or with frozen ones, need smaller steps. The norms do not matter if the whole backbone is
    frozen. The rates of SGD grow in proportion to the batch, those of AdamW with its square root.
    """
    batches = settings.batch_size / 64
    head = loss_class(settings.loss, settings.loss_args).head_learning_rate
    values: tuple[str | float, ...]
    if _has(network, nn.LayerNorm) and not settings.freeze:
        rate = 1e-4 * batches**0.5
        values = Optimizer.ADAMW, rate, 10 * rate, 0.05
    else:
        adapting = _has(network, nn.modules.batchnorm._BatchNorm) and not settings.freeze_norms
        scale = batches if adapting or settings.freeze else 0.2 * batches
        values = Optimizer.SGD, 0.05 * scale, head * scale, 5e-4
    names = ("optimizer", "learning_rate", "head_learning_rate", "weight_decay")
    return dict(zip(names, values, strict=True))


def _has(network: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in network.modules())


def _precision(network: nn.Module, settings: ResolvedSettings, log: Note) -> Precision:
    """bfloat16 if a trial shows that it makes training steps at least a tenth faster, else off."""
    device = torch.device(settings.device)
    supported = {"cpu": lambda: True, "cuda": torch.cuda.is_bf16_supported}
    if settings.freeze or not supported.get(device.type, lambda: False)():
        return Precision.OFF
    network = network.to(device).to(memory_format=torch.channels_last)
    set_modes(network)
    size = settings.size_in(-1)
    images = torch.zeros(min(settings.batch_size, _TRIAL_BATCH[device.type]), 3, size, size)
    images = images.to(device, memory_format=torch.channels_last)
    single = _step_seconds(network, images, mixed=False)
    mixed = _step_seconds(network, images, mixed=True, give_up=3 * single)
    if mixed >= 0.9 * single:
        return Precision.OFF
    log("training in bfloat16, which is faster here than float32; --amp off trains in float32")
    return Precision.BFLOAT16


def _step_seconds(
    network: nn.Module, images: torch.Tensor, mixed: bool, give_up: float = math.inf
) -> float:
    """Seconds of a step forward and back: the best of three, or the first above `give_up`.

    A step before them does not count: on a GPU it loads the kernels, which takes seconds.
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


def crop_for(images: ImageList, backbone: Backbone, image_size: int) -> float:
    """The crop of the backbone; 1 for small pictures, which have no margins to spare.

    Raises DataError as `median_side`.
    """
    way = backbone.preprocessing(image_size)
    whole = way.fit == "crop" and way.crop < 1 and median_side(images) < SMALL
    return 1.0 if whole else way.crop


def image_size_for(images: ImageList, largest: int) -> int:
    """The median shorter side in multiples of 32, from 160 to `largest`.

    Raises DataError as `median_side`.
    """
    return min(largest, max(_SMALLEST, int(median_side(images)) // 32 * 32))


def median_side(images: ImageList) -> float:
    """The median shorter side of 25 images in pixels.

    Images that cannot be read do not count. Raises DataError if none of the 25 can be read.
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
    return float(np.median(sides))
