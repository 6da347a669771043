"""The optimizer and the course of its learning rate."""

import math

import torch
from torch import nn

from bitcodes.config import Settings

WARM_UP = 0.1  # share of the steps in which the learning rate rises from zero to its peak


def make_optimizer(
    settings: Settings, backbone: nn.Module, head: list[nn.Module]
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; each group remembers the peak of its learning rate in "peak".

    `head` is what starts untrained: the hash layer and the loss's own parameters.
    """
    assert isinstance(settings.head_learning_rate, float)
    learning = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    untrained = [parameter for module in head for parameter in module.parameters()]
    groups = []
    for parameters, rate in [
        (learning, settings.learning_rate),
        (untrained, settings.head_learning_rate),
    ]:
        # Biases and the scales of norms are not shrunk.
        for decay in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decay]
            if chosen:
                penalty = settings.weight_decay if decay else 0.0
                groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": penalty})
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


def schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: up linearly, then down along half a cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
