"""How long a training is, and how far it has come."""

from dataclasses import dataclass

from bitcodes.errors import ConfigError, DataError
from bitcodes.settings import ResolvedSettings
from bitcodes.wording import counted


@dataclass(frozen=True)
class Progress:
    """Where training is; `report` gets one after each step and each epoch."""

    epoch: int  # the current one, from 1
    epochs: int
    step: int  # steps done, over all epochs
    steps: int
    loss: float  # mean over the epoch so far
    images_per_second: float
    seconds_left: float
    val_map: float | None  # of the last finished epoch
    epoch_done: bool
    share: float  # of the training that is done, 0 to 1
    is_paced: bool  # whether `epochs` and `steps` may still change, so that it ends in time


@dataclass(frozen=True)
class Plan:
    """The steps of a training: how many there are, and how large their batches and images."""

    settings: ResolvedSettings
    batch_size: int  # images in a step, over all processes
    steps_per_epoch: int
    steps: int
    epochs: int  # the last may be cut short

    @classmethod
    def of(cls, settings: ResolvedSettings, images: int, processes: int) -> "Plan":
        """The plan for so many images; ConfigError or DataError if they cannot be shared out."""
        batch_size = settings.batch_size
        if batch_size % processes:
            raise ConfigError(
                f"a batch of {counted(batch_size, 'image')} cannot be shared evenly among "
                f"{processes} processes; expected a --batch-size that is a multiple of {processes}"
            )
        if images < processes:
            raise DataError(f"{counted(images, 'image')} to train on, for {processes} processes")
        batch_size = min(batch_size, images // processes * processes)
        per_epoch = images // batch_size
        steps = per_epoch * settings.epochs
        if settings.max_steps:
            steps = min(steps, settings.max_steps)
        return cls(settings, batch_size, per_epoch, steps, -(-steps // per_epoch))

    def steps_in(self, epoch: int) -> int:
        """Steps of an epoch, from 0: fewer in the last if `max_steps` cuts it short."""
        return min(self.steps_per_epoch, self.steps - epoch * self.steps_per_epoch)

    def images_left(self, step: int, epoch: int, size: int) -> float:
        """Images still to train on at `step` of `epoch`, in images of the size of that epoch.

        Larger images of later epochs count by their pixels.
        """
        later = sum(
            max(1.0, (self.settings.size_in(number) / size) ** 2) * self.steps_in(number)
            for number in range(epoch + 1, self.epochs)
        )
        now = epoch * self.steps_per_epoch + self.steps_in(epoch) - step
        return (now + later) * self.batch_size

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, from 0, is the last of its epoch."""
        return (step + 1) % self.steps_per_epoch == 0 or step + 1 == self.steps
