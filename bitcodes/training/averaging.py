"""The averaged weights (EMA): what is validated and saved instead of the last weights."""

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

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
        both = nn.ModuleList([model, loss])
        self._average = AveragedModel(both, multi_avg_fn=self._blend, use_buffers=True)
        self._average.requires_grad_(False)
        self._average.n_averaged.fill_(1)  # the weights before the first step count as one
        copies: Any = self._average.module
        self.model: HashModel = copies[0]
        self.loss: HashLoss = copies[1]

    @torch.no_grad()
    def update(self, model: HashModel, loss: HashLoss) -> None:
        """Take one more step's weights into the average."""
        self._average.update_parameters(nn.ModuleList([model, loss]))
        self.step += 1

    def _blend(self, means: Any, values: Any, count: object) -> None:
        """The formula for tensors of one type; those that are no floats are counts."""
        share = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` continues from."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
