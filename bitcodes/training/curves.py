"""TensorBoard curves of a run: each step is in them once, however often training stops."""

from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from bitcodes.training.learner import Learner
from bitcodes.training.progress import Progress


class Curves:
    """The curves on the `board` of a run; `every` is the number of steps between two points."""

    def __init__(self, run: Path, every: int) -> None:
        self._every = every
        self.board = SummaryWriter(str(run), flush_secs=30)

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """Add the points of a step, if `every` divides its number."""
        if step % self._every == 0:
            self.board.add_scalar("train/loss", loss, step)
            self.board.add_scalar("train/learning_rate", learning_rate, step)

    def epoch(self, end: Progress) -> None:
        """Add the points of an epoch that has ended."""
        if end.val_map is not None:
            self.board.add_scalar("val/map", end.val_map, end.step)
        self.board.add_scalar("train/epoch_loss", end.loss, end.step)
        self.board.add_scalar("train/images_per_second", end.images_per_second, end.step)

    def distributions(
        self, step: int, learner: Learner, outputs: torch.Tensor, logits: torch.Tensor | None
    ) -> None:
        """Histograms of weights, gradients, hash outputs (B, K) and logits (B, C) at `step`."""
        model, loss = learner.model, learner.loss
        for name, parameter in [*model.named_parameters(), *loss.named_parameters("loss")]:
            if parameter.requires_grad:
                self.board.add_histogram(f"weights/{name}", parameter.detach(), step)
                if parameter.grad is not None:
                    self.board.add_histogram(f"gradients/{name}", parameter.grad, step)
        outputs = outputs.detach().float()
        if logits is not None:
            self.board.add_histogram("train/logits", logits.detach(), step)
        self.board.add_histogram("train/hash_outputs", outputs, step)
        balance = (outputs > 0).float().mean(dim=0)  # (K,) share of ones
        self.board.add_histogram("train/bit_balance", balance, step)


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
