"""The trainer: steps, epochs, validation, and what is written of them into the run folder."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes import callbacks, runs
from bitcodes.datasets.dataset import Dataset
from bitcodes.errors import BitcodesError, DataError, first_line
from bitcodes.models.checkpoint import choose_device, save_model
from bitcodes.models.memory import keep_freed_memory
from bitcodes.settings import ResolvedSettings
from bitcodes.training.curves import Curves, cut_back, event_sizes
from bitcodes.training.distributed import Group
from bitcodes.training.inputs import TrainingInputs
from bitcodes.training.learner import Learner
from bitcodes.training.optimizing import schedule
from bitcodes.training.pacing import REPLAN_SECONDS, Choice, Pacer, with_pace
from bitcodes.training.progress import Plan, Progress
from bitcodes.training.seeds import stable_seed, step_seed
from bitcodes.training.state import Checkpoint, data_digest, unusable, write_metrics
from bitcodes.training.stopping import check_space
from bitcodes.training.validation import kept_epoch, ranking_score, rows_of
from bitcodes.wording import counted

CHECKPOINT_SECONDS = 300.0
_EVAL_BATCH = 128


@dataclass(eq=False)
class Trainer:
    """One training: what learns, the images it goes through, and how far it has come.

    It resumes from a checkpoint if there is one. Nothing is written before `train`.
    """

    settings: ResolvedSettings
    run: Path
    dataset: Dataset
    checkpoint: InitVar[Checkpoint | None]
    group: Group
    workers: int
    loading: callbacks.Progress
    log: callbacks.Note
    pacer: Pacer | None = None  # of a training with a deadline
    step: int = 0
    size: int = 0  # of the images that are read
    history: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0  # over the steps of the current epoch
    seconds: float = 0.0  # spent in training steps, also before a stop
    curves: Curves | None = None  # of the first process, while it trains
    is_resumed: bool = False

    def __post_init__(self, checkpoint: Checkpoint | None) -> None:
        settings, train = self.settings, self.dataset.train
        if train.labels is None:
            raise DataError(
                f"{settings.data / 'train.txt'} has no labels; loss '{settings.loss}' needs them: "
                "expected `path 0 1 0 ...` with a one-hot or multi-hot vector on every line"
            )
        self.labels = train.labels  # (N, C)
        self.targets = torch.from_numpy(self.labels.astype(np.float32))  # (N, C)
        self.data_digest = data_digest(train)
        self.device = self.group.device(choose_device(settings.device))
        if self.device.type == "cpu":
            keep_freed_memory()
        classes = self.dataset.train_class_names
        self.learner = Learner(settings, classes, self.labels, self.device, self.group)
        rows = rows_of(self.labels, settings.val, settings.seed)
        self.train_rows, self.val_rows, self.ranked_rows = rows
        self.plan = Plan.of(settings, len(self.train_rows), self.group.size)
        if checkpoint is not None:
            self.is_resumed = True
            self._load(checkpoint)
            self.step, self.history = checkpoint.step, checkpoint.history
            self.loss_sum, self.seconds = checkpoint.loss_sum, checkpoint.seconds
            self.size = checkpoint.pace.get("size", 0)
            if self.pacer is not None:
                self.pacer.go_on(self.step, checkpoint.pace["steps"], self.plan.steps)
        self.learner.prepare()
        if self.group.first:
            check_space(self.run, 2 * self.learner.bytes)  # each file is written beside the old one
        self.inputs = TrainingInputs(
            *(settings, train, self.learner.model, self.plan.batch_size),
            *(self.group, self.device, self.workers, self.loading),
        )
        if not settings.freeze:
            self._read_images()

    def _load(self, checkpoint: Checkpoint) -> None:
        try:
            self.learner.load(checkpoint)
        except Exception as error:  # torch raises many kinds for a state of another model
            raise unusable(self.run / runs.CHECKPOINT_FILE, first_line(error)) from None

    # -- saving and resuming ------------------------------------------------------------------

    def save(self) -> None:
        """Write checkpoint.pt: everything that the rest of the training depends on."""
        if self.curves is None:  # the first process writes
            return
        self.curves.board.flush()
        Checkpoint(
            **self.learner.state(),
            step=self.step,
            history=self.history,
            loss_sum=self.loss_sum,
            seconds=self.seconds,
            data=self.data_digest,
            events=event_sizes(self.run),
            pace={} if self.pacer is None else self.pacer.state(self.size, self.plan.steps),
        ).write(self.run)

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Remove the logs of steps after the checkpoint, which are repeated."""
        cut_back(self.run, checkpoint.events)
        write_metrics(self.run, self.history)
        now = f"resuming at epoch {len(self.history) + 1}"
        if len(self.history) >= self.plan.epochs:
            now = "resuming after the last epoch"
        elif not self.is_paced:
            now += f" of {self.plan.epochs}, step {self.step} of {self.plan.steps}"
        self.log(now)

    # -- training -----------------------------------------------------------------------------

    def train(self, report: Callable[[Progress], None]) -> None:
        """Train to the end. On SIGINT, save and raise KeyboardInterrupt."""
        self._describe()
        self.curves = Curves(self.run, self.settings) if self.group.first else None
        if self.curves is not None and not self.is_resumed:
            self.curves.begin(self.settings)
        try:
            with interruptible(once=self.group.size == 1) as self.interrupted:
                if self.settings.freeze:
                    self.log(f"features of images are computed once and kept in {runs.FEATURES}")
                    self.inputs.load_features(self._check_interrupted)
                    self.size = self.image_size
                while len(self.history) < self.plan.epochs:
                    self._train_epoch(report)
                    self._finish_epoch(report)
        finally:
            if self.curves is not None:
                self.curves.board.close()

    def _describe(self) -> None:
        settings, epochs = self.settings, self.plan.epochs
        sizes = dict.fromkeys(settings.size_in(epoch) for epoch in range(epochs))
        stages = settings.freeze_stages
        validated = f"{len(self.val_rows):,} to validate"
        if settings.val and not len(self.val_rows):
            validated = "none to validate (too few images)"
        about = "about " if self.is_paced else ""
        self.log(
            f"{counted(len(self.train_rows), 'image')} to train on, "
            f"{validated}, {about}{counted(epochs, 'epoch')}, "
            f"{' then '.join(map(str, sizes))} pixels, {counted(settings.bits, 'bit')}"
            + (f" and {settings.instance_bits} for instances" if settings.instance_bits else "")
            + f", on {self.device}"
            + (f" and {self.group.size - 1} more" if self.group.size > 1 else "")
            + (f"; frozen: the first {counted(stages, 'stage')}" if stages else "")
            + (f"; a hidden layer of {settings.hidden:,}" if settings.hidden else "")
        )
        if (line := self.learner.loss.describe()) is not None:
            self.log(line)

    @property
    def is_paced(self) -> bool:
        """Whether a deadline decides how many steps there will be."""
        return self.pacer is not None and self.pacer.deadline is not None

    @property
    def image_size(self) -> int:
        """The image size of the current epoch. It never shrinks, even if `epochs` grows."""
        if self.size and self.step > len(self.history) * self.plan.steps_per_epoch:
            return self.size
        before = self.history[-1]["image_size"] if self.history else 0
        return max(before, self.settings.size_in(len(self.history)))

    def _read_images(self) -> None:
        """Read the images at the size of the current epoch."""
        started = time.monotonic()
        self.size = self.image_size
        keep = self.plan.steps >= self.plan.steps_per_epoch  # else most are not needed
        self.inputs.read_images(self.learner.set_image_size(self.size), keep)
        if self.pacer is not None and keep:
            self.pacer.costs.correct("reading", self.size, time.monotonic() - started)

    def _replan(self) -> None:
        """Have as many steps as fit before the deadline, if there is one."""
        if self.pacer is None:
            return
        per_epoch, epoch = self.plan.steps_per_epoch, len(self.history)
        pace = self.pacer.replan(per_epoch, epoch, self.step, self.plan.steps, self.size)
        if pace is None:
            return
        choice = Choice(self.pacer.sizes, pace)
        self.settings = with_pace(self.settings, choice, per_epoch)
        self.plan = Plan.of(self.settings, len(self.train_rows), self.group.size)
        self.settings.save(self.run / runs.CONFIG_FILE)

    def _check_interrupted(self) -> None:
        """Save and stop if interrupted. Only between steps is the state complete."""
        if self.group.any(self.interrupted.is_set()):
            self.save()
            model = self.run / runs.MODEL_FILE
            if self.group.first and self.step > 0 and not model.exists():
                save_model(self.learner.exported(), model)
            raise KeyboardInterrupt

    def _train_epoch(self, report: Callable[[Progress], None]) -> None:
        """Train what is left of the current epoch."""
        epoch = len(self.history)
        if self.image_size != self.learner.model.preprocessing.image_size:
            self.log(f"now training at {self.image_size} pixels")
            self._read_images()
        first = self.step - epoch * self.plan.steps_per_epoch
        batches = self._batches(epoch)[first:]
        lines = [line for line in self.history if line["image_size"] == self.image_size]
        val_map = lines[-1].get("val_map") if lines else None
        self.learner.set_modes()
        saved_at = planned_at = clock = time.monotonic()
        began = self.seconds
        inputs = self.inputs.augmented(list(batches), self.step)
        for number, (batch, images) in enumerate(zip(batches, inputs, strict=True), 1):
            loss = self._train_step(batch, images)
            self.step += 1
            self.loss_sum += loss
            now = time.monotonic()
            self.seconds += now - clock
            clock = now
            report(self._progress(first + number, val_map))
            self._check_interrupted()
            at_end = first + number == self.plan.steps_per_epoch  # planned anew after validation
            if self.pacer is not None and (at_end or now - planned_at > REPLAN_SECONDS):
                self.pacer.costs.correct("step", self.size, (self.seconds - began) / number)
                planned_at = now
                if not at_end:
                    self._replan()
            if self.step >= self.plan.steps:  # which may have become fewer
                break
            if now - saved_at > CHECKPOINT_SECONDS:
                self.save()
                saved_at = clock = time.monotonic()

    def _batches(self, epoch: int) -> NDArray[np.int64]:
        """The rows of each batch of an epoch, (steps, batch size), in random order."""
        order = np.random.default_rng(stable_seed(self.settings.seed, "order", epoch))
        steps, batch_size = self.plan.steps_in(epoch), self.plan.batch_size
        if self.is_paced:
            steps = self.plan.steps_per_epoch  # of which those are done that fit
        rows = order.permutation(self.train_rows)[: steps * batch_size]
        return rows.reshape(steps, batch_size)

    def _progress(
        self, steps_done: int, val_map: float | None, epoch_done: bool = False
    ) -> Progress:
        """How far training is, after so many steps of the current epoch."""
        epoch = len(self.history)
        before = self.history[-1]["train_seconds"] if self.history else 0.0
        rate = steps_done * self.plan.batch_size / max(self.seconds - before, 1e-9)
        return Progress(
            epoch=epoch + 1,
            epochs=self.plan.epochs,
            step=self.step,
            steps=self.plan.steps,
            loss=self.loss_sum / steps_done,
            images_per_second=rate,
            seconds_left=self.plan.images_left(self.step, epoch, self.image_size) / rate,
            val_map=val_map,
            epoch_done=epoch_done,
            share=self._share,
            is_paced=self.is_paced,
        )

    @property
    def _share(self) -> float:
        """The share of the training that is done, 0 to 1; it never falls."""
        step, steps = self.step, self.plan.steps
        return step / steps if self.pacer is None else self.pacer.share(step, steps)

    def _train_step(self, batch: NDArray[np.int64], inputs: torch.Tensor) -> float:
        """One step of the optimizer: `batch` are the rows of the whole batch, over all processes.

        `inputs` are those of this process's part of it. Returns the loss.
        """
        torch.manual_seed(step_seed(self.settings.seed, self.step) + self.group.rank)
        settings, steps = self.settings, self.plan.steps
        position = self.step if self.pacer is None else self.pacer.position(self.step, steps)
        self.learner.set_rates(schedule(position, steps, settings.warm_up, settings.schedule))
        targets = self.targets[torch.from_numpy(batch)].to(self.device)  # (B, C)
        loss, outputs, logits = self.learner.lose(inputs, targets, self._share)
        value: float = loss.item()
        if not math.isfinite(value):
            rates = ", ".join(f"{rate:.2g}" for rate in self.learner.rates)
            raise BitcodesError(
                f"the loss is {value} at step {self.step + 1} (epoch {len(self.history) + 1}, "
                f"learning rates {rates}); try a smaller --learning-rate and --head-learning-rate, "
                "for example a third, or --amp off. The last checkpoint is kept; "
                "--fresh starts over"
            )
        self.learner.learn(loss)
        if self.curves is not None:
            self.curves.step(self.step, value, self.learner.rates[0], outputs)
            if self.plan.ends_epoch(self.step):
                self.curves.distributions(self.step + 1, self.learner, outputs, logits)
        return value

    def _finish_epoch(self, report: Callable[[Progress], None]) -> None:
        started = time.monotonic()
        self.learner.share_buffers()
        score, error = self._validate() if len(self.val_rows) else (None, None)
        end = self._progress(self.plan.steps_in(len(self.history)), score, epoch_done=True)
        line: dict[str, Any] = {
            "epoch": end.epoch,
            "step": self.step,
            "image_size": self.image_size,
            "loss": end.loss,
        }
        if score is not None:
            line |= {"val_map": score, "val_error": error}
        if self.curves is not None:
            self.curves.epoch(end)
            self._save_models(kept_epoch([*self.history, line]) is line)
        line["images_per_second"] = round(end.images_per_second, 1)
        line["train_seconds"] = round(self.seconds, 1)
        line["validation_seconds"] = round(time.monotonic() - started, 1)
        self.history.append(line)
        self.loss_sum = 0.0
        if self.pacer is not None:
            self.pacer.costs.correct("epoch_end", self.size, time.monotonic() - started)
            if self.step == len(self.history) * self.plan.steps_per_epoch:  # not cut short
                self._replan()
        if self.curves is not None:
            write_metrics(self.run, self.history)
        self.save()
        report(end)

    def _save_models(self, is_model: bool) -> None:
        """Save the last weights as the model, or else in a file of their own."""
        last = self.run / runs.LAST_MODEL_FILE
        save_model(self.learner.exported(), self.run / runs.MODEL_FILE if is_model else last)
        if is_model:
            last.unlink(missing_ok=True)

    # -- validation ---------------------------------------------------------------------------

    def _validate(self) -> tuple[float, float]:
        """The mAP of validation images, ranked against training images, and its standard error."""
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
            model = self.learner.exported().eval()
            for inputs in self.inputs.batches(batches):
                self._check_interrupted()
                pooled = inputs.to(self.device)
                if not self.settings.freeze:
                    pooled = model.backbone(model.preprocessing.normalise(pooled))
                outputs.append(model.head(pooled).float().cpu().numpy())
        return np.concatenate(outputs)


@contextmanager
def interruptible(once: bool) -> Iterator[threading.Event]:
    """Turn SIGINT into an event, so that no step is cut in half. With `once`, a second one kills.

    torchrun forwards a SIGINT that the terminal sends to all processes, so it arrives twice there.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        if once:
            signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
