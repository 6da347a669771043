"""What all losses have in common, and the class of a loss by name."""

from torch import Tensor, nn

from bitcodes.losses import LossName

LossAndLogits = tuple[Tensor, Tensor | None]
"""The loss (), and the logits (B, C) if there is a classifier or the like."""


class HashLoss(nn.Module):
    """Base of all losses of hash outputs (B, K) and targets (B, C), one-hot or multi-hot float32.

    What a loss needs beyond the hash layer is a parameter or a buffer of its own. It draws no
    random numbers and counts no steps during training. `multi_label` means that an image may have
    several labels, or none. A loss sees the whole batch: some compare its images with each other.
    `head_learning_rate` is the peak rate of SGD for the hash layer with this loss.
    """

    head_learning_rate = 0.5
    has_cross_entropy = False  # over the targets, which may be smoothed

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__()
        self.bits = bits
        self.classes = classes
        self.multi_label = multi_label

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """The loss of outputs (B, K) for targets (B, C), and the logits (B, C) if it has them.

        `progress` is the share of all training steps that are done, in [0, 1).
        """
        raise NotImplementedError

    def fold(self, hash_layer: nn.Linear, dither: float = 0.0) -> nn.Linear:
        """The hash layer that encoding uses: with what the loss does to hash outputs folded in.

        Validation and the saved model use it, so that `bit = output > 0` for both. `dither` in
        [0, 1) spreads the thresholds of bits, if the loss supports it.
        """
        return hash_layer

    def describe(self) -> str | None:
        """A line to show before training, or None."""
        return None


def loss_class(name: LossName) -> type[HashLoss]:
    """The class of a loss that trains a network, by its name."""
    loss: type[HashLoss] = name.load()
    return loss
