"""The averaged weights (EMA): what is validated and saved in place of the last step's."""

import copy
from typing import Any

import torch
from torch import nn

from bitcodes.losses.base import HashLoss
from bitcodes.models.hashing import HashModel


class AveragedWeights:
    """A copy of model and loss whose weights are the exponential moving average of theirs.

    After step t, from 0: average += (1 - d) (weights - average) with d = min(decay,
    (1 + t) / (10 + t)), so that the first steps are soon forgotten. Statistics of batch norms are
    averaged likewise.
    """

    def __init__(self, model: HashModel, loss: HashLoss, decay: float) -> None:
        self.decay = decay
        self.step = 0
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.loss = copy.deepcopy(loss).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: HashModel, loss: HashLoss) -> None:
        """Take one more step's weights into the average."""
        share = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        for average, module in ((self.model, model), (self.loss, loss)):
            for mean, value in zip(_tensors(average), _tensors(module), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, share)
                else:
                    mean.copy_(value)  # a count
        self.step += 1

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` continues from."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.step = saved["step"]
        self.model.load_state_dict(saved["model"])
        self.loss.load_state_dict(saved["loss"])


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
