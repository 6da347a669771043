"""What all losses have in common, and the class of a loss by name."""

from typing import Any

from torch import Tensor, nn

from bitcodes.errors import ConfigError
from bitcodes.extensions import load
from bitcodes.losses import NO_ARGUMENTS, LossName
from bitcodes.wording import either

LossAndLogits = tuple[Tensor, Tensor | None]
"""The loss (), and the logits (B, C) if there is a classifier or the like."""


class HashLoss(nn.Module):
    """Base of all losses of hash outputs (B, K) and targets (B, C), one-hot or multi-hot float32.

    What a loss needs beyond the hash layer is a parameter or a buffer of its own. It draws no
    random numbers and counts no steps during training. `multi_label` means that an image may have
    several labels, or none. A loss sees the whole batch: some compare its images with each other.
    `head_learning_rate` is the peak rate of SGD for the hash layer with this loss. Other public
    attributes of a class that are numbers, texts or truth values are its arguments: --loss-args
    sets them.
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


def loss_class(name: LossName | str, arguments: str = NO_ARGUMENTS) -> type[HashLoss]:
    """The class of a loss that trains a network: by its name, or of the user's at module:Class.

    `arguments`, as in margin=0.4,scale=10, are set in it. Raises ConfigError for arguments that it
    does not have, and if a class of the user's cannot be imported or is no loss.
    """
    loss: Any = name.load() if isinstance(name, LossName) else load(name, "loss")
    if not (isinstance(loss, type) and issubclass(loss, HashLoss)):
        raise ConfigError(f"the loss {name}: expected a class derived from bitcodes.HashLoss")
    if arguments == NO_ARGUMENTS:
        return loss
    known = _arguments_of(loss)
    values = {}
    for pair in arguments.split(","):
        argument, _, text = pair.partition("=")
        if argument not in known:
            names = either(known) if known else "none"
            raise ConfigError(
                f"--loss-args: expected arguments of the loss {name}, which are {names}; "
                f"found {argument!r}"
            )
        values[argument] = _converted(argument, text, type(known[argument]))
    return type(loss.__name__, (loss,), {"__doc__": loss.__doc__, **values})


def _arguments_of(loss: type[HashLoss]) -> dict[str, Any]:
    """The arguments of a loss and their defaults."""
    classes = [one for one in reversed(loss.__mro__) if issubclass(one, HashLoss)]
    own = {name: value for one in classes for name, value in vars(one).items()}
    return {
        name: value
        for name, value in own.items()
        if isinstance(value, int | float | str)
        and not name.startswith("_")
        and name not in vars(HashLoss)
    }


def _converted(name: str, text: str, kind: type) -> Any:
    words = {"true": True, "false": False}
    try:
        return words[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        meanings = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ConfigError(
            f"--loss-args: {name}: expected {meanings[kind]}; found {text!r}"
        ) from None
