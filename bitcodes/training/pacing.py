"""A training that ends in so many minutes: epochs and image sizes that fit into them.

What a step, an epoch and the reading of images cost is measured (`trial`). The plan that fits is
made anew while training goes on, so that the end stays where it should be.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bitcodes.settings import ResolvedSettings

SIZES = (64, 96, 128, 160, 192, 224)
REPLAN_SECONDS = 10.0
MOST_SHARE = 2  # of the usual epochs: more add next to nothing
_END_SECONDS = 25.0  # to save and export the model
_LEAST_SHARE = 1 / 3  # of the usual epochs: with fewer, smaller images learn more


@dataclass(frozen=True)
class Deadline:
    """When a training should end: so many seconds after `started` on the clock of `time`."""

    seconds: float
    started: float

    @classmethod
    def after(cls, minutes: float) -> "Deadline":
        """That many minutes from now."""
        return cls(60 * minutes, time.monotonic())

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds for reading, training and validation: without what the end of it takes."""
        return self.seconds - self.used - min(_END_SECONDS, 0.125 * self.seconds)


@dataclass
class Costs:
    """Seconds by image size: of a training step, of reading all images, of the end of an epoch.

    `fitting` is what fitting the instance bits takes when training has ended.
    """

    step: dict[int, float] = field(default_factory=dict)
    reading: dict[int, float] = field(default_factory=dict)
    epoch_end: dict[int, float] = field(default_factory=dict)
    fitting: dict[int, float] = field(default_factory=dict)

    def correct(self, name: str, size: int, seconds: float) -> None:
        """Take a cost as it turned out, and expect that other sizes differ in the same way."""
        values: dict[int, float] = getattr(self, name)
        if values.get(size):
            for other in values:
                values[other] *= seconds / values[size] if other != size else 1
        values[size] = seconds

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Pace:
    """A plan that fits: epochs, and the steps of all of them; the last epoch may be cut short."""

    epochs: int
    steps: int


def halves(size: int) -> list[int]:
    """The sizes of a training that ends at `size`: about half first, in whole 32s, from 64 on."""
    half = max(SIZES[0], -(-size // 64) * 32)
    return [half, size] if half < size else [size]


def size_of(sizes: Sequence[int], epoch: int, epochs: int) -> int:
    """The image size of an epoch, from 0: sizes share the epochs, the last takes the remainder."""
    if epochs < len(sizes):
        return sizes[0]
    share = epochs // len(sizes)
    return sizes[min(epoch // share, len(sizes) - 1)]


def fit(
    seconds: float,
    costs: Costs,
    sizes: Sequence[int],
    per_epoch: int,
    most_epochs: int,
    *,
    epoch: int = 0,
    step: int = 0,
    size: int = 0,
) -> Pace:
    """The longest training that fits into the seconds, of at least one step.

    `per_epoch` is the number of steps. It is in `epoch`, from 0, after `step` steps in all, with
    the images of `size` read (0: none yet).
    """
    at_end_of_epoch = step > 0 and step == epoch * per_epoch
    best = Pace(epoch, step) if at_end_of_epoch else Pace(epoch + 1, max(step, 1))
    cut = 0
    for epochs in range(epoch + 1, most_epochs + 1):
        pace = _within(seconds, costs, sizes, per_epoch, epochs, epoch, step, size)
        if pace.epochs == epochs and pace.steps > best.steps:
            best = pace
        cut = cut + 1 if pace.steps < epochs * per_epoch else 0
        if cut > len(sizes):  # one epoch more may move another to a smaller size
            break
    return best


def _within(
    seconds: float,
    costs: Costs,
    sizes: Sequence[int],
    per_epoch: int,
    epochs: int,
    epoch: int,
    step: int,
    size: int,
) -> Pace:
    """What fits of a training of so many epochs: it stops in the middle of one if it must."""
    seconds -= costs.fitting.get(max(size, size_of(sizes, epochs - 1, epochs)), 0.0)
    for number in range(epoch, epochs):
        begun = step > number * per_epoch
        now = size if begun else max(size, size_of(sizes, number, epochs))
        each = costs.step[now]
        if epochs == 1 and not begun:  # images are read as they are needed
            each += costs.reading[now] / per_epoch
        elif now != size:
            seconds -= costs.reading[now]
        size = now
        seconds -= costs.epoch_end[now]
        steps = (number + 1) * per_epoch - step
        possible = min(steps, max(0, int(seconds / each)))
        if possible == 0:
            return Pace(number, step)
        step += possible
        if possible < steps:
            return Pace(number + 1, step)
        seconds -= steps * each
    return Pace(epochs, step)


@dataclass(frozen=True)
class Choice:
    """Image sizes and a pace."""

    sizes: list[int]
    pace: Pace


def choose(
    seconds: Callable[[], float],
    measure: Callable[[int], None],
    costs: Costs,
    candidates: Sequence[int],
    usual_size: int,
    usual_epochs: int,
    per_epoch: int,
    fixed: list[int] | None = None,
) -> Choice:
    """The final size of those in ascending order, and the epochs, that should learn most.

    `seconds()` are left; `measure(size)` adds a size to the costs. It is the largest size up to the
    usual one that leaves time for a third of the usual epochs, or a larger size that leaves time
    for all of them. CIFAR-10 with 5,000 images learned more in ten epochs at 128 pixels than in
    thirty at 64 (benchmarks/results/2026-11-26-low-data.md).
    """
    best: Choice | None = None
    for size in candidates:
        sizes = fixed or halves(size)
        for each in sizes:
            if each not in costs.step:
                measure(each)
        most = round(MOST_SHARE * usual_epochs)
        pace = fit(seconds(), costs, sizes, per_epoch, most)
        share = pace.steps / (usual_epochs * per_epoch)
        if best is not None and share < (_LEAST_SHARE if size <= usual_size else 1):
            break
        best = Choice(sizes, pace)
    assert best is not None, "there is a candidate"
    return Choice(best.sizes, fit(seconds(), costs, best.sizes, per_epoch, most))


def with_pace(settings: ResolvedSettings, choice: Choice, per_epoch: int) -> ResolvedSettings:
    """The settings with these epochs, steps and image sizes."""
    pace, sizes = choice.pace, choice.sizes
    several = len(sizes) > 1 and pace.epochs >= len(sizes)
    values = {
        "epochs": pace.epochs,
        "max_steps": 0 if pace.steps == pace.epochs * per_epoch else pace.steps,
        "image_size": sizes if several else sizes[0] if len(sizes) > 1 else sizes[-1],
    }
    return settings.model_copy(update=values)


@dataclass
class Pacer:
    """What a training needs to be planned anew on the way; without a deadline, to be resumed."""

    costs: Costs
    sizes: list[int]
    most_epochs: int
    deadline: Deadline | None = None
    bend: tuple[int, float] | None = None
    """The step at which the plan changed last, and the share of the schedule done there."""

    def share(self, step: int, steps: int) -> float:
        """The share of the schedule that is done at a step, from 0, of so many."""
        first, done = self.bend or (0, 0.0)
        return done + (1 - done) * (step - first) / max(1, steps - first)

    def position(self, step: int, steps: int) -> float:
        """The step that the schedule of learning rates is at."""
        return step if self.bend is None else self.share(step, steps) * steps

    def replan(self, per_epoch: int, epoch: int, step: int, steps: int, size: int) -> Pace | None:
        """The pace from here on, if it is another than that of `steps` in all."""
        if self.deadline is None:
            return None
        left = self.deadline.left
        pace = fit(
            *(left, self.costs, self.sizes, per_epoch, self.most_epochs),
            epoch=epoch,
            step=step,
            size=size,
        )
        if pace.steps == steps:
            return None
        self.bend = step, self.share(step, steps)
        return pace

    def go_on(self, step: int, planned: int, steps: int) -> None:
        """Resume at a step of so many `planned`, with another plan of `steps`, or the same.

        A training that has ended is trained on: its schedule is that of one training of so many
        steps. Else the plan was changed after the checkpoint, and the schedule goes on.
        """
        if steps != planned:
            self.bend = None if step >= planned else (step, self.share(step, planned))

    def state(self, size: int, steps: int) -> dict[str, Any]:
        """What a checkpoint keeps; `size` is that of the images, `steps` those of the plan."""
        used = 0.0 if self.deadline is None else self.deadline.used
        return {
            "costs": self.costs.to_dict(),
            "sizes": list(self.sizes),
            "most_epochs": self.most_epochs,
            "bend": None if self.bend is None else list(self.bend),
            "used": used,
            "size": size,
            "steps": steps,
        }

    @classmethod
    def resume(cls, state: dict[str, Any], deadline: Deadline | None) -> "Pacer":
        """Go on from a checkpoint; the deadline gets earlier by what was used before."""
        if deadline is not None:
            deadline = Deadline(deadline.seconds, deadline.started - state["used"])
        bend = state["bend"]
        return cls(
            Costs(**state["costs"]),
            state["sizes"],
            state["most_epochs"],
            deadline,
            None if bend is None else (int(bend[0]), float(bend[1])),
        )
