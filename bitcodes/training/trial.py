"""What training costs here: a few real steps, of the network that will be trained."""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.datasets.dataset import Dataset
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device
from bitcodes.models.hashing import evaluating
from bitcodes.settings import ResolvedSettings, Settings
from bitcodes.training.distributed import Group
from bitcodes.training.inputs import TrainingImages, TrainingInputs
from bitcodes.training.instance import images_read
from bitcodes.training.learner import Learner
from bitcodes.training.pacing import MOST_SHARE, SIZES, Costs, Deadline, Pacer, choose, with_pace
from bitcodes.training.progress import Plan
from bitcodes.training.resolving import crop_for
from bitcodes.training.validation import rows_of

_STEPS = 3  # timed, after one that is not
_SAVING = 0.5  # seconds to save the models and the checkpoint after an epoch


def pace_for(
    settings: Settings,
    resolved: ResolvedSettings,
    dataset: Dataset,
    deadline: Deadline,
    workers: int,
    log: Note,
) -> tuple[ResolvedSettings, Pacer]:
    """The resolved settings with epochs and image sizes that fit, and what plans them anew.

    `settings` are those before: image sizes that the user has set stay.
    """
    trial = _Trial(resolved, dataset, workers)
    usual = resolved.size_in(-1)
    backbone = find_backbone(resolved.backbone)
    fixed = settings.image_size != "auto" or not backbone.any_size or resolved.freeze
    candidates = [size for size in SIZES if size <= max(usual, backbone.default_image_size)]
    costs = Costs()

    def measure(size: int) -> None:
        trial.measure(size, costs)

    per_epoch = Plan.of(resolved, len(trial.train_rows), 1).steps_per_epoch
    own: list[int] | None = None
    if fixed:
        own = resolved.image_size if isinstance(resolved.image_size, list) else [usual]
        candidates = own[-1:]
    choice = choose(
        lambda: deadline.left,
        measure,
        costs,
        candidates,
        usual,
        resolved.epochs,
        per_epoch,
        own,
    )
    log("a few training steps were timed: epochs and image sizes are chosen to fit --minutes")
    pacer = Pacer(costs, choice.sizes, round(MOST_SHARE * resolved.epochs), deadline)
    paced = with_pace(resolved, choice, per_epoch)
    if settings.crop == "auto":
        crop = crop_for(dataset.train, backbone, paced.size_in(-1))
        paced = paced.model_copy(update={"crop": crop})
    return paced, pacer


class _Trial:
    """A network like the one to be trained, and images spread over the training list."""

    def __init__(self, settings: ResolvedSettings, dataset: Dataset, workers: int) -> None:
        assert dataset.train.labels is not None, "`Trainer` checks it"
        self.settings, self.train, self.workers = settings, dataset.train, workers
        self.labels: NDArray[np.uint8] = dataset.train.labels
        self.device = choose_device(settings.device)
        self.learner = Learner(
            settings, dataset.train_class_names, self.labels, self.device, Group()
        )
        rows = rows_of(self.labels, settings.val, settings.seed)
        self.train_rows, self.val_rows, self.ranked_rows = rows
        self.batch_size = min(settings.batch_size, len(self.train_rows))

    def measure(self, size: int, costs: Costs) -> None:
        """Add what images of this size cost."""
        preprocessing = self.learner.set_image_size(size)
        count = min(len(self.train), 2 * self.batch_size)
        rows = np.linspace(0, len(self.train) - 1, count).astype(np.int64)
        paths = [self.train.absolute_path(int(row)) for row in rows]
        images, reading = _timed(lambda: TrainingImages(paths, preprocessing, self.workers))
        reading *= len(self.train) / count
        seconds = self._step_seconds(images, rows)
        encoded = len(self.val_rows) + len(self.ranked_rows)
        encoding = self._encoding_seconds(images)
        if self.settings.instance_bits:
            rows_read = self.train_rows, self.val_rows, self.ranked_rows
            costs.fitting[size] = encoding * images_read(self.settings, *rows_read)
        if self.settings.freeze:  # features of all images are computed once
            reading += encoding * len(self.train)
            seconds, encoding = 0.05 * seconds, 0.0
        costs.step[size], costs.reading[size] = seconds, reading
        costs.epoch_end[size] = _SAVING + encoding * encoded

    def _step_seconds(self, images: TrainingImages, rows: NDArray[np.int64]) -> float:
        """Seconds of a training step: the mean of a few."""
        settings = self.settings.model_copy(update={"freeze": False})
        learner = self.learner
        inputs = TrainingInputs(
            *(settings, self.train, learner.model, self.batch_size, Group()),
            *(self.device, self.workers, lambda done, total: None),
            images=images,
        )
        learner.set_modes()
        learner.set_rates(0.0)
        batch = np.arange(self.batch_size) % len(images)
        targets = torch.from_numpy(self.labels[rows[batch]].astype(np.float32)).to(self.device)
        for steps in (1, _STEPS):  # the first loads code and is slow
            started = time.monotonic()
            for pixels in inputs.augmented([batch] * steps, 0):
                self._step(pixels, targets)
        return max(1e-6, (time.monotonic() - started) / _STEPS)

    def _encoding_seconds(self, images: TrainingImages) -> float:
        """Seconds of encoding an image: the second batch of two counts, the first is slow."""
        model, batch = self.learner.model, np.arange(self.batch_size) % len(images)
        seconds = 0.0
        with torch.inference_mode(), evaluating(model):
            for pixels in images.batches([batch, batch]):
                started = time.monotonic()
                model.pooled(pixels.to(self.device)).sum().item()
                seconds = time.monotonic() - started
        return seconds / self.batch_size

    def _step(self, pixels: torch.Tensor, targets: torch.Tensor) -> None:
        learner = self.learner
        if self.settings.freeze:
            with torch.no_grad():
                learner.model(learner.model.preprocessing.normalise(pixels)).sum().item()
            return
        loss, _, _ = learner.lose(pixels, targets, 0.0)
        learner.learn(loss)
        loss.item()  # waits for the device


def _timed(work: Callable[[], TrainingImages]) -> tuple[TrainingImages, float]:
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started
