"""Which weights learn, and how: frozen layers, the optimizer, the schedule of its rates."""

import math
from itertools import product

import torch
from torch import nn

from bitcodes.errors import ConfigError
from bitcodes.models.backbones import find_backbone
from bitcodes.settings import Optimizer, ResolvedSettings, Schedule, Settings


def retrained_layers(settings: Settings) -> tuple[str, ...]:
    """The layers that `settings.retrain` names."""
    return () if settings.retrain == "none" else tuple(settings.retrain.split(","))


def freeze(backbone: nn.Module, settings: ResolvedSettings) -> None:
    """Let only those parameters of the backbone require gradients that the settings train.

    Autograd stores nothing for frozen layers at the start of the backbone. Raises ConfigError if
    the settings name layers or stages that the backbone does not have.
    """
    layers = retrained_layers(settings)
    backbone.requires_grad_(not settings.freeze and not layers)
    for name in layers:
        try:
            backbone.get_submodule(name).requires_grad_(True)
        except AttributeError:
            known = ", ".join(child for child, _ in backbone.named_children())
            raise ConfigError(
                f"--retrain: expected none or layers of {settings.backbone}, which are {known}; "
                f"found {name!r}"
            ) from None
    for name in _frozen_stages(backbone, settings):
        backbone.get_parameter(name).requires_grad_(False)


def _frozen_stages(backbone: nn.Module, settings: ResolvedSettings) -> list[str]:
    """The names of the parameters of the stem and of the stages that are frozen."""
    count = settings.freeze_stages
    if count == 0:
        return []
    stages = find_backbone(settings.backbone).stages(backbone)
    if not stages:
        raise ConfigError(
            f"--freeze-stages: expected 0; found {count}, but the layers of {settings.backbone} "
            "are not in stages. --freeze freezes it whole, --retrain all but some layers"
        )
    if count >= len(stages) - 1:  # of which the first is the stem
        raise ConfigError(
            f"--freeze-stages: expected at most {len(stages) - 2}, so that a stage of "
            f"{settings.backbone} learns; found {count}. --freeze freezes all"
        )
    return [name for stage in stages[: count + 1] for name in stage]


def set_modes(backbone: nn.Module) -> None:
    """Put modules that learn in training mode, and frozen ones in evaluation mode.

    So the batch norms of frozen layers keep their statistics.
    """
    backbone.train()
    for module in backbone.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def make_optimizer(
    settings: ResolvedSettings, body: nn.Module, head: list[nn.Module]
) -> torch.optim.Optimizer:
    """SGD, with Nesterov momentum if any, or AdamW; groups keep their peak learning rate as "peak".

    `body` is the backbone, with the hidden layer if there is one; `head` the hash layer and the
    loss's own parameters.
    """
    learning = [parameter for parameter in body.parameters() if parameter.requires_grad]
    untrained = [parameter for module in head for parameter in module.parameters()]
    peaks = (learning, settings.learning_rate), (untrained, settings.head_learning_rate)
    penalties = (True, settings.weight_decay), (False, 0.0)  # not of biases and scales of norms
    groups = [
        {"params": group, "lr": rate, "peak": rate, "weight_decay": penalty}
        for (parameters, rate), (decay, penalty) in product(peaks, penalties)
        if (group := [p for p in parameters if (p.ndim > 1) == decay])
    ]
    # One pass over the weights instead of ten: of a step on a CPU, AdamW took a tenth.
    fused = untrained[0].device.type in ("cpu", "cuda")
    if settings.optimizer == Optimizer.ADAMW:
        return torch.optim.AdamW(groups, fused=fused)
    momentum = settings.momentum
    return torch.optim.SGD(groups, momentum=momentum, nesterov=momentum > 0, fused=fused)


def schedule(step: float, steps: int, warm_up: float, kind: Schedule = Schedule.COSINE) -> float:
    """The share of the peak learning rate: rises linearly, then falls along a cosine to zero.

    If `kind` is constant, it does not go down, and without warm-up is 1 from the first step. A
    step may lie between two whole ones: see `Pacer.position`.
    """
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return min(1.0, (step + 1) / warm)
    if kind == Schedule.CONSTANT:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
