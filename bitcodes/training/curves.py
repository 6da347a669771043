"""TensorBoard curves of a run: each step is in them once, however often training stops.

The first group, `curves`, holds what people look at; groups stand in the order of the alphabet.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from bitcodes.settings import ResolvedSettings
from bitcodes.training.learner import Learner
from bitcodes.training.progress import Progress

LOSS, RATE = "curves/loss", "curves/learning rate"
SCORE, BALANCE = "curves/validation mAP", "curves/bit balance"
EPOCH_LOSS, SPEED = "details/mean loss of the epoch", "details/images per second"
OUTPUTS, LOGITS = "outputs/hash outputs", "outputs/logits"
_NO_HYPERPARAMETERS = {"data", "device", "compile", "summary_steps", "histograms"}


class Curves:
    """The curves on the `board` of a run.

    The balance of bits, from 0 to 1, is the mean over bits of the entropy of their values since the
    last point: 1 if each bit is set for half of the images.
    """

    def __init__(self, run: Path, settings: ResolvedSettings) -> None:
        self._every = settings.summary_steps
        self._has_histograms = settings.histograms
        self._ones: torch.Tensor | None = None  # (K,) how many images have each bit
        self._images = 0
        self.board = SummaryWriter(str(run), flush_secs=30)

    def begin(self, settings: ResolvedSettings) -> None:
        """Add the hyperparameters, once in a run."""
        values = {
            name: value if isinstance(value, bool | int | float) else str(value)
            for name, value in settings.to_dict().items()
            if name not in _NO_HYPERPARAMETERS
        }
        writer: Any = self.board._get_file_writer()  # type: ignore[no-untyped-call]
        # add_hparams would write them into a folder of its own, which looks like a second run.
        for summary in hparams(values, {SCORE: 0.0, EPOCH_LOSS: 0.0}):  # type: ignore[no-untyped-call]
            writer.add_summary(summary)

    def step(self, step: int, loss: float, learning_rate: float, outputs: torch.Tensor) -> None:
        """Take in a step with its hash outputs (B, K); add its points if its turn has come."""
        ones = (outputs.detach() > 0).sum(dim=0)
        self._ones = ones if self._ones is None else self._ones + ones
        self._images += len(outputs)
        if step % self._every == 0:
            self.board.add_scalar(LOSS, loss, step)
            self.board.add_scalar(RATE, learning_rate, step)
            self.board.add_scalar(BALANCE, _entropy(self._ones / self._images), step)
            self._ones, self._images = None, 0

    def epoch(self, end: Progress) -> None:
        """Add the points of an epoch that has ended."""
        if end.val_map is not None:
            self.board.add_scalar(SCORE, end.val_map, end.step)
        self.board.add_scalar(EPOCH_LOSS, end.loss, end.step)
        self.board.add_scalar(SPEED, end.images_per_second, end.step)

    def distributions(
        self, step: int, learner: Learner, outputs: torch.Tensor, logits: torch.Tensor | None
    ) -> None:
        """Add histograms of weights, gradients, hash outputs (B, K) and logits (B, C), if set."""
        if not self._has_histograms:
            return
        model, loss = learner.model, learner.loss
        for name, parameter in [*model.named_parameters(), *loss.named_parameters("loss")]:
            if parameter.requires_grad:
                self.board.add_histogram(f"weights/{name}", parameter.detach(), step)
                if parameter.grad is not None:
                    self.board.add_histogram(f"gradients/{name}", parameter.grad, step)
        self.board.add_histogram(OUTPUTS, outputs.detach().float(), step)
        if logits is not None:
            self.board.add_histogram(LOGITS, logits.detach(), step)


def _entropy(shares: torch.Tensor) -> float:
    """The mean over bits of the entropy of a bit that is 1 with these probabilities (K,)."""
    shares = shares.double()
    entropies = -torch.xlogy(shares, shares) - torch.xlogy(1 - shares, 1 - shares)
    return float(entropies.mean()) / math.log(2)


def event_sizes(run: Path) -> dict[str, int]:
    """The bytes in each of the run's TensorBoard files, by name."""
    return {path.name: path.stat().st_size for path in _event_files(run)}


def cut_back(run: Path, sizes: dict[str, int]) -> None:
    """Remove what was written after `event_sizes` returned `sizes`."""
    for path in _event_files(run):
        size = sizes.get(path.name, 0)
        if size == 0:
            path.unlink()
        elif path.stat().st_size > size:
            with path.open("r+b") as file:
                file.truncate(size)


def _event_files(run: Path) -> list[Path]:
    return sorted(run.glob("events.out.tfevents.*"))
