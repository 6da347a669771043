"""The training loop: steps, epochs, and the state that goes on from one session to the next."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitcodes import runs
from bitcodes.datasets.dataset import Dataset
from bitcodes.errors import BitcodesError, ConfigError, DataError
from bitcodes.files import atomic_write
from bitcodes.images.augmentation import Augmentation
from bitcodes.losses.base import HashLoss, loss_class
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device, save_model
from bitcodes.models.hashing import HashModel
from bitcodes.models.memory import keep_freed_memory
from bitcodes.settings import Precision, ResolvedSettings
from bitcodes.sources.workers import default_workers
from bitcodes.training.averaging import AveragedWeights
from bitcodes.training.curves import Curves, cut_back, event_sizes
from bitcodes.training.distributed import Group, processes_here, synchronise_norms
from bitcodes.training.freezing import freeze, retrained_layers, set_modes
from bitcodes.training.frozen import FrozenFeatures
from bitcodes.training.interrupts import interruptible
from bitcodes.training.loading import TrainingImages
from bitcodes.training.optimizing import make_optimizer, schedule
from bitcodes.training.resuming import data_digest
from bitcodes.training.seeds import stable_seed
from bitcodes.training.validation import kept_epoch, ranking_score, split

CHECKPOINT_SECONDS = 300.0
_EVAL_BATCH = 128
_AUGMENTED = 8  # batches at once, at most
_AUGMENTED_PIXELS = 2**24  # of such batches, at most: 0.6 GB while they are changed
_AUGMENTED_PIXELS_CPU = 2**20  # there it takes longer where they do not stay in its caches


@dataclass(frozen=True)
class Progress:
    """Where training is; `report` gets one after each step and each epoch."""

    epoch: int  # the one under way, from 1
    epochs: int
    step: int  # steps done, over all epochs
    steps: int
    loss: float  # mean over the epoch so far
    images_per_second: float
    seconds_left: float
    val_map: float | None  # of the last finished epoch
    epoch_done: bool


class Trainer:
    """The state of one training: what a checkpoint saves, and the data it goes through.

    `saved` is a checkpoint to continue from. Nothing is written before `train`.
    """

    def __init__(
        self,
        settings: ResolvedSettings,
        run: Path,
        dataset: Dataset,
        saved: dict[str, Any] | None,
        group: Group,
        workers: int | None,
        loading: Callable[[int, int | None], None] | None,
        log: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.run = run
        self.group = group
        self.loading = loading
        self.log = log
        train = dataset.train
        if train.labels is None:
            raise DataError(
                f"{settings.data / 'train.txt'} has no labels; loss '{settings.loss}' needs them: "
                "expected `path 0 1 0 ...` with a one-hot or multi-hot vector on every line"
            )
        self.data_digest = data_digest(train)
        self.labels: NDArray[np.uint8] = train.labels  # (N, C)
        self.paths = [train.absolute_path(row) for row in range(len(train))]
        self.workers = max(1, default_workers() // processes_here()) if workers is None else workers
        self.device = group.device(choose_device(settings.device))
        if self.device.type == "cpu":
            keep_freed_memory()

        preprocessing = find_backbone(settings.backbone).preprocessing(settings.size_in(-1))
        torch.manual_seed(stable_seed(settings.seed, "weights"))
        self.model = HashModel(
            settings.backbone,
            settings.bits,
            preprocessing,
            dataset.class_names,
            settings.weights,
            retrained_layers(settings),
            settings.hidden,
        ).to(self.device)
        multi_label = bool((self.labels.sum(axis=1) != 1).any())
        self.loss: HashLoss = loss_class(settings.loss)(
            settings.bits, self.labels.shape[1], multi_label, settings.seed
        ).to(self.device)
        if group.size > 1 and self.device.type == "cuda":
            synchronise_norms(self.model)
        freeze(self.model.backbone, settings)
        if settings.dropout:
            self.model.set_dropout(settings.dropout)
        self.average = (
            AveragedWeights(self.model, self.loss, settings.ema) if settings.ema else None
        )
        self.optimizer = make_optimizer(
            settings,
            nn.ModuleList([self.model.backbone, self.model.hidden]),
            [self.model.hash_layer, self.loss],
        )
        self.augmentation = Augmentation(
            settings.flip, settings.shift, settings.zoom, settings.rand_augment
        )

        self.train_rows, self.val_rows, self.ranked_rows = split(
            len(train), settings.val, settings.seed
        )
        self.targets = torch.from_numpy(self.labels.astype(np.float32))  # (N, C)
        self.features: torch.Tensor | None = None  # (N, backbone_dim), with --freeze
        self.batch_size = self._batch_size()
        self.steps_per_epoch = len(self.train_rows) // self.batch_size
        self.steps = self.steps_per_epoch * settings.epochs
        if settings.max_steps:
            self.steps = min(self.steps, settings.max_steps)
        self.epochs = -(-self.steps // self.steps_per_epoch)  # the last may be cut short

        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.loss_sum = 0.0  # over the steps of the epoch under way
        self.seconds = 0.0  # spent training, over all sessions
        self.curves: Curves | None = None  # of the first process, while it trains
        if saved is not None:
            self._load(saved)
        self.forward = group.wrap(self.model, self.device)
        if settings.compile:
            self.forward = torch.compile(self.forward)  # type: ignore[assignment]
        if settings.freeze:
            self.frozen = FrozenFeatures(runs.FEATURES, self.model, train)
        else:
            self._read_images()

    def _batch_size(self) -> int:
        """Images in a step, over all processes: no more than there are."""
        wanted, processes = self.settings.batch_size, self.group.size
        if wanted % processes:
            raise ConfigError(
                f"a batch of {wanted} images cannot be shared evenly among {processes} processes; "
                f"expected a --batch-size that is a multiple of {processes}"
            )
        if len(self.train_rows) < processes:
            raise DataError(f"{len(self.train_rows)} images to train on, for {processes} processes")
        return min(wanted, len(self.train_rows) // processes * processes)

    # -- saving and resuming ------------------------------------------------------------------

    def save(self) -> None:
        """Write checkpoint.pt: everything that the rest of the training depends on."""
        if self.curves is None:  # the first process writes
            return
        self.curves.flush()
        state = {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "history": self.history,
            "loss_sum": self.loss_sum,
            "seconds": self.seconds,
            "data": self.data_digest,
            "events": event_sizes(self.run),
        }
        with atomic_write(self.run / runs.CHECKPOINT_FILE) as file:
            torch.save(state, file)

    def _load(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.loss.load_state_dict(saved["loss"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        self.history = saved["history"]
        self.loss_sum = saved["loss_sum"]
        self.seconds = saved["seconds"]

    def go_on(self, saved: dict[str, Any]) -> None:
        """Remove what was logged of steps after the checkpoint: they are done again."""
        cut_back(self.run, saved["events"])
        self._write_metrics()
        self.log(
            f"resuming at epoch {len(self.history) + 1} of {self.epochs}, "
            f"step {self.step} of {self.steps}"
        )

    def _write_metrics(self) -> None:
        with atomic_write(self.run / runs.METRICS_FILE, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in self.history)

    # -- training -----------------------------------------------------------------------------

    def train(self, report: Callable[[Progress], None]) -> None:
        """Train to the end; on SIGINT save and raise KeyboardInterrupt."""
        self._describe()
        self.curves = Curves(self.run, self.settings.summary_steps) if self.group.first else None
        try:
            with interruptible(once=self.group.size == 1) as self.interrupted:
                if self.settings.freeze:
                    self.features = self._load_features()
                while len(self.history) < self.epochs:
                    self._train_epoch(report)
                    self._finish_epoch(report)
        finally:
            if self.curves is not None:
                self.curves.close()

    def _load_features(self) -> torch.Tensor:
        self.log(f"features of all images: computed once, kept in {runs.FEATURES}")
        features = self.frozen.load(self.workers, self.loading, self._check_interrupted)
        self.frozen.check_all_readable(features)
        return features

    def _describe(self) -> None:
        settings = self.settings
        sizes = dict.fromkeys(settings.size_in(epoch) for epoch in range(self.epochs))
        frozen = settings.freeze_stages
        self.log(
            f"{len(self.train_rows)} images to train on, {len(self.val_rows)} to validate, "
            f"{self.epochs} epochs, {' then '.join(map(str, sizes))} pixels, "
            f"{settings.bits} bits, on {self.device}"
            + (f" and {self.group.size - 1} more" if self.group.size > 1 else "")
            + (f"; the first {frozen} stages stay as they are" if frozen else "")
            + (f"; a hidden layer of {settings.hidden:,}" if settings.hidden else "")
        )
        for name, value in self.loss.describe().items():
            self.log(f"{name}: {value:g}")

    @property
    def image_size(self) -> int:
        """Of the epoch under way; it never shrinks, even where more epochs are shared out anew."""
        before = self.history[-1]["image_size"] if self.history else 0
        return max(before, self.settings.size_in(len(self.history)))

    def _read_images(self) -> None:
        """Have the images, and the model, at the size of the epoch under way."""
        preprocessing = self.model.preprocessing.model_copy(update={"image_size": self.image_size})
        self.model.preprocessing = preprocessing
        if self.average is not None:
            self.average.model.preprocessing = preprocessing
        self.images = TrainingImages(
            self.paths, preprocessing, self.workers, self.loading, self.device, processes_here()
        )

    def _check_interrupted(self) -> None:
        """Called between steps, where the state is whole: never save anywhere else."""
        if self.group.any(self.interrupted.is_set()):
            self.save()
            raise KeyboardInterrupt

    def _train_epoch(self, report: Callable[[Progress], None]) -> None:
        """Train what is left of the epoch under way."""
        epoch = len(self.history)
        if self.image_size != self.model.preprocessing.image_size:
            self.log(f"from here on at {self.image_size} pixels")
            self._read_images()
        order = np.random.default_rng(stable_seed(self.settings.seed, "order", epoch))
        steps = self._steps_in(epoch)
        rows = order.permutation(self.train_rows)[: steps * self.batch_size]
        batches = rows.reshape(steps, self.batch_size)
        begun = self.step - epoch * self.steps_per_epoch
        lines = [line for line in self.history if line["image_size"] == self.image_size]
        val_map = lines[-1].get("val_map") if lines else None
        self._set_modes()
        saved_at = clock = time.monotonic()
        inputs = self._training_inputs(list(batches[begun:, self.group.part(self.batch_size)]))
        for number, (batch, images) in enumerate(zip(batches[begun:], inputs, strict=True), 1):
            loss = self._train_step(batch, images)
            self.step += 1
            self.loss_sum += loss
            now = time.monotonic()
            self.seconds += now - clock
            clock = now
            done = begun + number
            rate = self._images_per_second(done)
            report(self._progress(self.loss_sum / done, rate, val_map, done=False))
            self._check_interrupted()
            if now - saved_at > CHECKPOINT_SECONDS:
                self.save()
                saved_at = clock = time.monotonic()

    def _set_modes(self) -> None:
        self.model.train()
        set_modes(self.model.backbone)
        self.loss.train()
        if self.settings.freeze_norms:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _steps_in(self, epoch: int) -> int:
        """Steps of an epoch, from 0: fewer in the last if `max_steps` cuts it short."""
        return min(self.steps_per_epoch, self.steps - epoch * self.steps_per_epoch)

    def _progress(self, loss: float, rate: float, val_map: float | None, done: bool) -> Progress:
        return Progress(
            epoch=len(self.history) + 1,
            epochs=self.epochs,
            step=self.step,
            steps=self.steps,
            loss=loss,
            images_per_second=rate,
            seconds_left=self._images_left() / rate,
            val_map=val_map,
            epoch_done=done,
        )

    def _images_left(self) -> float:
        """Images to come, those of larger sizes than the present one counted by their pixels."""
        size, epoch = self.image_size, len(self.history)
        later = sum(
            max(1.0, (self.settings.size_in(number) / size) ** 2) * self._steps_in(number)
            for number in range(epoch + 1, self.epochs)
        )
        now = epoch * self.steps_per_epoch + self._steps_in(epoch) - self.step
        return (now + later) * self.batch_size

    def _images_per_second(self, steps_done: int) -> float:
        began = self.history[-1]["train_seconds"] if self.history else 0.0
        return steps_done * self.batch_size / max(self.seconds - began, 1e-9)

    def _inputs(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """What the model takes of each batch: uint8 images, or features with --freeze."""
        if self.features is None:
            yield from self.images.batches(batches)
            return
        for batch in batches:
            yield self.features[torch.from_numpy(batch)]

    def _training_inputs(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """The inputs of this process's part of the batches to come, on the device, augmented.

        Outside of mixed precision: the places of pixels want float32.
        """
        inputs = (batch.to(self.device) for batch in self._inputs(batches))
        if self.features is not None or not self.settings.augment:
            return inputs
        part = self.group.part(self.batch_size)
        generators = (torch.Generator().manual_seed(self._seed(step)) for step in count(self.step))
        draws = (self.augmentation.draw(self.batch_size, each).part(part) for each in generators)
        return self.augmentation.stream(inputs, draws, self._augmented_at_once())

    def _augmented_at_once(self) -> int:
        """Batches: several, unless images are still to be read or they are large."""
        if not self.images.in_memory:
            return 1
        most = _AUGMENTED_PIXELS_CPU if self.device.type == "cpu" else _AUGMENTED_PIXELS
        pixels = self.batch_size // self.group.size * self.image_size**2
        return max(1, min(_AUGMENTED, most // pixels))

    def _seed(self, step: int) -> int:
        """Where every random number of a step comes from."""
        return stable_seed(self.settings.seed, "step", step)

    def _train_step(self, batch: NDArray[np.int64], inputs: torch.Tensor) -> float:
        """One step of the optimizer: `batch` are the rows of the whole batch, over all processes.

        `inputs` is what `_training_inputs` makes of this process's part of it.
        """
        torch.manual_seed(self._seed(self.step) + self.group.rank)
        settings = self.settings
        factor = schedule(self.step, self.steps, settings.warm_up, settings.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        targets = self.targets[torch.from_numpy(batch)].to(self.device)  # (B, C)
        mixed = settings.amp == Precision.BFLOAT16
        with torch.autocast(self.device.type, torch.bfloat16, mixed):
            outputs = self._outputs(inputs)
        outputs = self.group.gather(outputs.float())  # (B, K)
        loss, logits = self.loss(outputs, self._smoothed(targets), self.step / self.steps)
        value: float = loss.item()
        if not math.isfinite(value):
            self._stop_not_finite(value)
        self.optimizer.zero_grad()
        loss.backward()
        self.group.average_gradients(self.loss.parameters())
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, self.loss)
        if self.curves is not None:
            self.curves.step(self.step, value, self.optimizer.param_groups[0]["lr"])
        last = (self.step + 1) % self.steps_per_epoch == 0 or self.step + 1 == self.steps
        if self.curves is not None and last:
            self.curves.distributions(self.step + 1, self.model, self.loss, outputs, logits)
        return value

    def _outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.features is not None:
            return self.model.head(inputs)
        outputs: torch.Tensor = self.forward(self.model.preprocessing.normalise(inputs))
        return outputs

    def _smoothed(self, targets: torch.Tensor) -> torch.Tensor:
        share = self.settings.label_smoothing
        if not self.loss.has_cross_entropy or self.loss.multi_label:
            return targets
        return targets * (1 - share) + share / targets.shape[1]

    def _stop_not_finite(self, value: float) -> None:
        rates = ", ".join(f"{group['lr']:.2g}" for group in self.optimizer.param_groups)
        raise BitcodesError(
            f"the loss is {value} at step {self.step + 1} (epoch {len(self.history) + 1}, learning "
            f"rates {rates}); try a smaller --learning-rate and --head-learning-rate (a third), "
            "or --amp off. The state before it is kept: --fresh starts over"
        )

    def _finish_epoch(self, report: Callable[[Progress], None]) -> None:
        steps = self._steps_in(len(self.history))
        loss = self.loss_sum / steps
        rate = self._images_per_second(steps)
        started = time.monotonic()
        self.group.share_buffers(self.model)
        if self.average is not None:
            self.group.share_buffers(self.average.model)
        line: dict[str, Any] = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "image_size": self.image_size,
            "loss": loss,
        }
        score = None
        if len(self.val_rows):
            score, error = self._validate()
            line |= {"val_map": score, "val_error": error}
        if self.curves is not None:
            self.curves.epoch(self.step, loss, rate, score)
            self._save_models(kept_epoch([*self.history, line]) is line)
        line["images_per_second"] = round(rate, 1)
        line["train_seconds"] = round(self.seconds, 1)
        line["validation_seconds"] = round(time.monotonic() - started, 1)
        done = self._progress(loss, rate, score, done=True)
        self.history.append(line)
        self.loss_sum = 0.0
        if self.curves is not None:
            self._write_metrics()
        self.save()
        report(done)

    def _save_models(self, kept: bool) -> None:
        """The last weights have a file of their own where they are not the model."""
        last = self.run / runs.LAST_MODEL_FILE
        if kept:
            save_model(self._exported(), self.run / runs.MODEL_FILE)
            last.unlink(missing_ok=True)
        else:
            save_model(self._exported(), last)

    # -- validation ---------------------------------------------------------------------------

    def _exported(self) -> HashModel:
        """The model as it is validated and saved: with what the loss adds to its hash layer."""
        source = self if self.average is None else self.average
        layer = source.loss.fold(source.model.hash_layer, self.settings.dither)
        return source.model.with_hash_layer(layer)

    def _validate(self) -> tuple[float, float]:
        """Rank the images held out: mAP against a fixed sample of the others, standard error."""
        return ranking_score(
            self.group.collect(self.val_rows, self._encode),
            self.labels[self.val_rows],
            self.group.collect(self.ranked_rows, self._encode),
            self.labels[self.ranked_rows],
        )

    def _encode(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Hash outputs (len(rows), K) of images by row, without augmentation."""
        batches = [rows[i : i + _EVAL_BATCH] for i in range(0, len(rows), _EVAL_BATCH)]
        outputs = []
        with torch.inference_mode():
            model = self._exported().eval()
            for inputs in self._inputs(batches):
                self._check_interrupted()
                inputs = inputs.to(self.device)
                if self.features is not None:
                    outputs.append(model.head(inputs).cpu().numpy())
                else:
                    pixels = model.preprocessing.normalise(inputs)
                    outputs.append(model(pixels).float().cpu().numpy())
        return np.concatenate(outputs)
