"""A loss and a backbone of your own, which `bitcodes finetune` takes by name.

Run it in the folder that holds this file:

    bitcodes finetune --data data/cifar10 \
        --loss own_parts:ScaledCosine --loss-args scale=12 --backbone own_parts:small_network

Both names are recorded in the run. Its exported model encodes, searches and evaluates without this
file; the same command goes on with the run.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from bitcodes import HashLoss


class ScaledCosine(HashLoss):
    """Classify by the cosines of the hash outputs to a learned code of each class."""

    scale = 8.0  # an argument: --loss-args scale=12

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        self.codes = nn.Linear(bits, classes, bias=False)

    def forward(
        self, outputs: Tensor, targets: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, Tensor | None]:
        """Cross-entropy of the scaled cosines of outputs (B, K), and those: logits (B, C)."""
        codes = F.normalize(outputs.tanh()), F.normalize(self.codes.weight)
        logits = self.scale * codes[0] @ codes[1].T
        return F.cross_entropy(logits, targets), logits


def small_network(image_size: int) -> nn.Module:
    """A network from images (B, 3, S, S) to features (B, 64)."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
