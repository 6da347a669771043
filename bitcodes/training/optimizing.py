"""The optimizer and the schedule of its learning rates."""

import math

import torch
from torch import nn

from bitcodes.settings import Optimizer, ResolvedSettings, Schedule


def make_optimizer(
    settings: ResolvedSettings, body: nn.Module, head: list[nn.Module]
) -> torch.optim.Optimizer:
    """SGD, with Nesterov momentum if any, or AdamW; groups keep their peak learning rate as "peak".

    `body` is the backbone, with the hidden layer if there is one; `head` the hash layer and the
    loss's own parameters.
    """
    learning = [parameter for parameter in body.parameters() if parameter.requires_grad]
    untrained = [parameter for module in head for parameter in module.parameters()]
    groups = []
    for parameters, rate in [
        (learning, settings.learning_rate),
        (untrained, settings.head_learning_rate),
    ]:
        # Biases and the scales of norms are not shrunk.
        for decay in (True, False):
            group = [p for p in parameters if (p.ndim > 1) == decay]
            if group:
                penalty = settings.weight_decay if decay else 0.0
                groups.append({"params": group, "lr": rate, "peak": rate, "weight_decay": penalty})
    # One pass over the weights instead of ten: of a step on a CPU, AdamW took a tenth.
    fused = untrained[0].device.type in ("cpu", "cuda")
    if settings.optimizer == Optimizer.ADAMW:
        return torch.optim.AdamW(groups, fused=fused)
    momentum = settings.momentum
    return torch.optim.SGD(groups, momentum=momentum, nesterov=momentum > 0, fused=fused)


def schedule(step: int, steps: int, warm_up: float, kind: Schedule = Schedule.COSINE) -> float:
    """The share of the peak learning rate: rises linearly, then falls along a cosine to zero.

    If `kind` is constant, it does not go down, and without warm-up is 1 from the first step.
    """
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    if kind == Schedule.CONSTANT:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
