"""Fine-tuning: from a prepared dataset and settings to a run."""

import hashlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from bitcodes import config
from bitcodes.codes.pack import pack_outputs
from bitcodes.config import Settings, stable_seed
from bitcodes.data.lists import Dataset, ImageList, read_dataset
from bitcodes.data.loading import TrainingImages, default_workers
from bitcodes.data.splits import hash_order
from bitcodes.data.transforms import augment
from bitcodes.errors import BitcodesError, ConfigError, DataError, ImageError, ModelError
from bitcodes.files import atomic_write, lock
from bitcodes.hamming.index import HammingIndex
from bitcodes.images import open_image
from bitcodes.losses import LOSSES, HashLoss
from bitcodes.metrics.ranking import average_precision, mean_over_queries
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device, save_model
from bitcodes.models.hashing import HashModel

CHECKPOINT_SECONDS = 300.0
WARM_UP = 0.1  # share of the steps in which the learning rate rises from zero to its peak
MAX_VALIDATION = 2000  # images held out
MAX_RANKED = 5000  # training images that they are ranked against
_SCALARS_EVERY = 20  # steps between two points of a TensorBoard curve
_EVAL_BATCH = 128
_CHECKPOINT_KEYS = frozenset(
    {"model", "loss", "optimizer", "step", "history", "loss_sum", "seconds", "best_map"}
    | {"data", "events"}
)


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
    best_map: float | None
    epoch_done: bool


@dataclass(frozen=True)
class Finetuned:
    """What `finetune` leaves: `run` is the folder; `already` says that nothing was left to do."""

    run: Path
    settings: Settings
    history: list[dict[str, Any]]
    already: bool


def finetune(
    settings: Settings,
    run: Path | None = None,
    *,
    fresh: bool = False,
    workers: int | None = None,
    report: Callable[[Progress], None] | None = None,
    loading: Callable[[int, int | None], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> Finetuned:
    """Train a hash model as `settings` say, in the folder `run` (default: runs/<made from them>).

    An unfinished run of the same settings is resumed and ends with the weights that it would have
    had without the stop (bit for bit on a CPU); a finished one is returned as it is, or trained
    on if `settings.epochs` has grown. `fresh` starts over.

    SIGINT (Ctrl-C) saves the state and raises KeyboardInterrupt. Raises ConfigError if the folder
    holds a run of other settings, DataError for a bad dataset, BitcodesError if the loss is not
    finite or another process trains in this folder.
    """
    run = run or config.RUNS / config.run_name(settings)
    dataset = read_dataset(settings.data)
    _make_folder(run)
    with lock(run / ".lock", f"run {run}"):
        _sweep(run)
        if fresh or not (run / config.CONFIG_FILE).exists():
            settings, saved = _resolve(settings, dataset.train), None
        else:
            settings, saved = _reconcile(settings, run, dataset)
        if saved is not None and len(saved["history"]) >= settings.epochs:
            return Finetuned(run, settings, saved["history"], already=True)
        trainer = _Trainer(settings, run, dataset, workers, loading, log or (lambda line: None))
        if saved is None:
            _clear(run)
        else:
            trainer.restore(saved)
        settings.save(run / config.CONFIG_FILE)
        config.set_latest(run)
        trainer.train(report or (lambda progress: None))
        return Finetuned(run, settings, trainer.history, already=False)


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run folder {run}: {error.strerror}") from None


_FILES = (config.CHECKPOINT_FILE, config.MODEL_FILE, config.METRICS_FILE, config.CONFIG_FILE)


def _clear(run: Path) -> None:
    """Remove what training writes into a run, and nothing else."""
    for path in [*(run / name for name in _FILES), *run.glob("events.out.tfevents.*")]:
        path.unlink(missing_ok=True)


def _sweep(run: Path) -> None:
    """Remove the half-written files that a killed process left."""
    for name in _FILES:
        for path in run.glob(f".{name}.*.tmp"):
            path.unlink()


def _reconcile(
    settings: Settings, run: Path, dataset: Dataset
) -> tuple[Settings, dict[str, Any] | None]:
    """The settings as the run in that folder has them, and the state to resume it from, if any."""
    before = config.load_settings(run)
    chosen = before.to_dict()
    # What was chosen automatically then is what automatic means now.
    asked = {
        key: chosen[key] if value == "auto" else value for key, value in settings.to_dict().items()
    }
    settings = Settings.build(asked)
    differences = settings.differences(before)
    if settings.epochs > before.epochs:
        differences.pop("epochs")  # training on
    if differences:
        lines = [
            f"  {key}: {old!r} in the run, {new!r} now" for key, (new, old) in differences.items()
        ]
        raise ConfigError(
            f"{run} holds a run made with other settings:\n" + "\n".join(lines) + "\n"
            "repeat its settings, choose another folder with --run, or start over with --fresh"
        )
    path = run / config.CHECKPOINT_FILE
    if not path.exists():
        return settings, None
    saved = _read_checkpoint(path)
    if saved["data"] != _data_digest(dataset.train):
        raise DataError(
            f"{settings.data / 'train.txt'} has changed since {run} was begun; "
            "restore it, choose another folder with --run, or start over with --fresh"
        )
    return settings, saved


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle have many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: cannot be read ({reason}); start over with --fresh") from None
    if not isinstance(saved, dict) or not saved.keys() >= _CHECKPOINT_KEYS:
        raise ModelError(
            f"{path}: is not a checkpoint that finetune wrote; start over with --fresh"
        )
    return saved


def _resolve(settings: Settings, train: ImageList) -> Settings:
    values = settings.to_dict()
    device = choose_device(settings.device)
    values["device"] = str(device)
    if settings.amp == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        values["amp"] = "bfloat16" if fast else "off"
    if settings.image_size == "auto":
        values["image_size"] = _image_size_for(
            train, find_backbone(settings.backbone).default_image_size
        )
    return Settings.build(values)


def _image_size_for(images: ImageList, largest: int) -> int:
    """Median of the images' shorter sides, at least 64 (enlarging pays), at most `largest`."""
    rows = np.linspace(0, len(images) - 1, min(25, len(images))).astype(int)
    sides = [_shorter_side(images.absolute_path(int(row))) for row in rows]
    return min(largest, max(64, int(np.median(sides)) // 32 * 32))


def _shorter_side(path: Path) -> int:
    try:
        return min(open_image(path).size)
    except ImageError as error:
        raise DataError(
            f"{path}: {error}; repair the file or take its line out of the list"
        ) from None


def _data_digest(images: ImageList) -> str:
    digest = hashlib.sha256("\0".join(map(str, images.paths)).encode("utf-8", "surrogateescape"))
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()


class _Trainer:
    """The state of one training: what a checkpoint saves, and the data it goes through."""

    def __init__(
        self,
        settings: Settings,
        run: Path,
        dataset: Dataset,
        workers: int | None,
        loading: Callable[[int, int | None], None] | None,
        log: Callable[[str], None],
    ) -> None:
        assert isinstance(settings.image_size, int)
        self.settings = settings
        self.run = run
        self.log = log
        train = dataset.train
        if train.labels is None:
            raise DataError(
                f"{settings.data / 'train.txt'} has no labels; loss '{settings.loss}' needs them: "
                "expected `path 0 1 0 ...` with a one-hot or multi-hot vector on every line"
            )
        self.data_digest = _data_digest(train)
        self.labels: NDArray[np.uint8] = train.labels  # (N, C)
        self.device = choose_device(settings.device)
        spec = find_backbone(settings.backbone)
        preprocessing = spec.preprocessing(settings.image_size)

        torch.manual_seed(stable_seed(settings.seed, "weights"))
        self.model = HashModel(
            settings.backbone, settings.bits, preprocessing, dataset.class_names, pretrained=True
        ).to(self.device)
        multi_label = bool((self.labels.sum(axis=1) != 1).any())
        self.loss: HashLoss = LOSSES[settings.loss](
            settings.bits, self.labels.shape[1], multi_label, settings.seed
        ).to(self.device)
        self.optimizer = self._make_optimizer()

        self.train_rows, self.val_rows, self.ranked_rows = _split(
            len(train), settings.val, settings.seed
        )
        paths = [train.absolute_path(row) for row in range(len(train))]
        workers = default_workers() if workers is None else workers
        self.images = TrainingImages(paths, preprocessing, workers, loading)
        self.targets = torch.from_numpy(self.labels.astype(np.float32))  # (N, C)
        self.features: torch.Tensor | None = None  # (2, N, D), with --freeze

        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.loss_sum = 0.0  # over the steps of the epoch under way
        self.seconds = 0.0  # spent training, over all sessions
        self.best_map = -1.0

        size = min(settings.batch_size, len(self.train_rows))
        self.batch_size = size
        self.steps_per_epoch = len(self.train_rows) // size
        self.steps = self.steps_per_epoch * settings.epochs

    def _make_optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        self.model.backbone.requires_grad_(not settings.freeze)
        head = [*self.model.hash_layer.named_parameters(), *self.loss.named_parameters()]
        backbone = [] if settings.freeze else [*self.model.backbone.named_parameters()]
        groups = []
        for named, rate in [
            (backbone, settings.learning_rate),
            (head, settings.head_learning_rate),
        ]:
            # Biases and the scales of norms are not shrunk.
            for decay in (True, False):
                chosen = [p for _, p in named if (p.ndim > 1) == decay]
                if chosen:
                    penalty = settings.weight_decay if decay else 0.0
                    groups.append(
                        {"params": chosen, "lr": rate, "peak": rate, "weight_decay": penalty}
                    )
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)

    # -- saving and resuming ------------------------------------------------------------------

    def save(self) -> None:
        """Write checkpoint.pt: everything that the rest of the training depends on."""
        self.board.flush()
        state = {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "history": self.history,
            "loss_sum": self.loss_sum,
            "seconds": self.seconds,
            "best_map": self.best_map,
            "data": self.data_digest,
            "events": {path.name: path.stat().st_size for path in self._event_files()},
        }
        with atomic_write(self.run / config.CHECKPOINT_FILE) as file:
            torch.save(state, file)

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from what `save` wrote."""
        self.model.load_state_dict(saved["model"])
        self.loss.load_state_dict(saved["loss"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        self.history = saved["history"]
        self.loss_sum = saved["loss_sum"]
        self.seconds = saved["seconds"]
        self.best_map = saved["best_map"]
        # Steps after the checkpoint are done again: what was logged of them goes.
        for path in self._event_files():
            size = saved["events"].get(path.name, 0)
            if size == 0:
                path.unlink()
            elif path.stat().st_size > size:
                with path.open("r+b") as file:
                    file.truncate(size)
        self._write_metrics()
        self.log(
            f"resuming at epoch {len(self.history) + 1} of {self.settings.epochs}, "
            f"step {self.step} of {self.steps}"
        )

    def _event_files(self) -> list[Path]:
        return sorted(self.run.glob("events.out.tfevents.*"))

    def _write_metrics(self) -> None:
        with atomic_write(self.run / config.METRICS_FILE, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in self.history)

    # -- training -----------------------------------------------------------------------------

    def train(self, report: Callable[[Progress], None]) -> None:
        """Train to the end; on SIGINT save and raise KeyboardInterrupt."""
        self._describe()
        self.board = SummaryWriter(str(self.run), flush_secs=30)
        try:
            with _interruptible() as self.interrupted:
                if self.settings.freeze:
                    self.features = self._compute_features()
                while len(self.history) < self.settings.epochs:
                    self._train_epoch(report)
                    self._finish_epoch(report)
        finally:
            self.board.close()

    def _describe(self) -> None:
        self.log(
            f"{len(self.train_rows)} images to train on, {len(self.val_rows)} to validate, "
            f"{self.settings.image_size} pixels, {self.settings.bits} bits, on {self.device}"
        )
        for name, value in self.loss.describe().items():
            self.log(f"{name}: {value:g}")

    def _check_interrupted(self) -> None:
        """Called between steps, where the state is whole: never save anywhere else."""
        if self.interrupted.is_set():
            self.save()
            raise KeyboardInterrupt

    def _train_epoch(self, report: Callable[[Progress], None]) -> None:
        """Train what is left of the epoch under way."""
        epoch = len(self.history)
        order = np.random.default_rng(stable_seed(self.settings.seed, "order", epoch))
        rows = order.permutation(self.train_rows)[: self.steps_per_epoch * self.batch_size]
        batches = rows.reshape(self.steps_per_epoch, self.batch_size)
        begun = self.step - epoch * self.steps_per_epoch
        val_map = self.history[-1].get("val_map") if self.history else None
        self.model.train()
        self.model.backbone.train(not self.settings.freeze)
        self.loss.train()
        saved_at = clock = time.monotonic()
        inputs = self._inputs(batches[begun:])
        for number, (batch, images) in enumerate(zip(batches[begun:], inputs, strict=True), 1):
            loss = self._train_step(batch, images)
            self.step += 1
            self.loss_sum += loss
            now = time.monotonic()
            self.seconds += now - clock
            clock = now
            done = begun + number
            rate = self._images_per_second(done)
            report(self._progress(self.loss_sum / done, rate, val_map, epoch_done=False))
            self._check_interrupted()
            if now - saved_at > CHECKPOINT_SECONDS:
                self.save()
                saved_at = clock = time.monotonic()

    def _progress(
        self, loss: float, rate: float, val_map: float | None, epoch_done: bool
    ) -> Progress:
        return Progress(
            epoch=len(self.history) + 1,
            epochs=self.settings.epochs,
            step=self.step,
            steps=self.steps,
            loss=loss,
            images_per_second=rate,
            seconds_left=(self.steps - self.step) * self.batch_size / rate,
            val_map=val_map,
            best_map=self.best_map if self.best_map >= 0 else None,
            epoch_done=epoch_done,
        )

    def _images_per_second(self, steps_done: int) -> float:
        began = self.history[-1]["train_seconds"] if self.history else 0.0
        return steps_done * self.batch_size / max(self.seconds - began, 1e-9)

    def _inputs(self, batches: NDArray[np.int64]) -> Iterator[torch.Tensor]:
        """What the model takes of each batch: uint8 images, or features with --freeze."""
        if self.features is None:
            yield from self.images.batches(batches)
            return
        for batch in batches:
            yield self.features[:, torch.from_numpy(batch)]

    def _train_step(self, batch: NDArray[np.int64], inputs: torch.Tensor) -> float:
        """One step of SGD; every random number in it comes from the seed and the step."""
        seed = stable_seed(self.settings.seed, "step", self.step)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        factor = _schedule(self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        targets = self.targets[torch.from_numpy(batch)].to(self.device)  # (B, C)
        with torch.autocast(self.device.type, torch.bfloat16, self.settings.amp == "bfloat16"):
            outputs = self._outputs(inputs.to(self.device), generator)  # (B, K)
        loss, logits = self.loss(outputs.float(), targets)
        value: float = loss.item()
        if not math.isfinite(value):
            self._stop_not_finite(value)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.step % _SCALARS_EVERY == 0:
            self.board.add_scalar("train/loss", value, self.step)
            self.board.add_scalar(
                "train/learning_rate", self.settings.learning_rate * factor, self.step
            )
        if (self.step + 1) % self.steps_per_epoch == 0:
            self._log_distributions(outputs.detach().float(), logits.detach())
        return value

    def _outputs(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if self.features is not None:  # (2, B, D): of each image and of its mirror image
            mirrored = torch.rand(inputs.shape[1], generator=generator) < 0.5
            choose = mirrored.to(inputs.device) & torch.tensor(self.settings.augment)
            return self.model.hash_features(torch.where(choose[:, None], inputs[1], inputs[0]))
        images = augment(inputs, generator) if self.settings.augment else inputs
        outputs: torch.Tensor = self.model(self.model.preprocessing.normalise(images))
        return outputs

    def _stop_not_finite(self, value: float) -> None:
        rates = ", ".join(f"{group['lr']:.2g}" for group in self.optimizer.param_groups)
        raise BitcodesError(
            f"the loss is {value} at step {self.step + 1} (epoch {len(self.history) + 1}, learning "
            f"rates {rates}); try a smaller --learning-rate and --head-learning-rate (a third), "
            "or --amp off. The state before it is kept: --fresh starts over"
        )

    def _finish_epoch(self, report: Callable[[Progress], None]) -> None:
        loss = self.loss_sum / self.steps_per_epoch
        rate = self._images_per_second(self.steps_per_epoch)
        started = time.monotonic()
        line: dict[str, Any] = {"epoch": len(self.history) + 1, "step": self.step, "loss": loss}
        score = None
        if len(self.val_rows):
            score = self._validate()
            line["val_map"] = score
            self.board.add_scalar("val/map", score, self.step)
        self.board.add_scalar("train/epoch_loss", loss, self.step)
        self.board.add_scalar("train/images_per_second", rate, self.step)
        if score is None or score >= self.best_map:  # of equals, the one that trained longer
            self.best_map = -1.0 if score is None else score
            save_model(self.model, self.run / config.MODEL_FILE)
        line["images_per_second"] = round(rate, 1)
        line["train_seconds"] = round(self.seconds, 1)
        line["validation_seconds"] = round(time.monotonic() - started, 1)
        done = self._progress(loss, rate, score, epoch_done=True)
        self.history.append(line)
        self.loss_sum = 0.0
        self._write_metrics()
        self.save()
        report(done)

    def _log_distributions(self, outputs: torch.Tensor, logits: torch.Tensor) -> None:
        """TensorBoard's histograms, once an epoch, from its last step."""
        trained = [*self.model.named_parameters(), *self.loss.named_parameters("loss")]
        for name, parameter in trained:
            if parameter.requires_grad:
                self.board.add_histogram(f"weights/{name}", parameter.detach(), self.step + 1)
                if parameter.grad is not None:
                    self.board.add_histogram(f"gradients/{name}", parameter.grad, self.step + 1)
        self.board.add_histogram("train/logits", logits, self.step + 1)
        self.board.add_histogram("train/hash_outputs", outputs, self.step + 1)
        balance = (outputs > 0).float().mean(dim=0)  # (K,) share of ones
        self.board.add_histogram("train/bit_balance", balance, self.step + 1)

    # -- validation ---------------------------------------------------------------------------

    def _validate(self) -> float:
        """Rank the images held out: their mAP against a fixed sample of the others."""
        queries = pack_outputs(self._encode(self.val_rows))
        database = pack_outputs(self._encode(self.ranked_rows))
        total, relevant = HammingIndex(database, self.settings.bits).count(
            queries, labels=self.labels[self.ranked_rows], query_labels=self.labels[self.val_rows]
        )
        score = mean_over_queries(average_precision(total, relevant))
        return 0.0 if math.isnan(score) else score

    def _encode(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Hash outputs (len(rows), K) of images by row, without augmentation."""
        batches = [rows[i : i + _EVAL_BATCH] for i in range(0, len(rows), _EVAL_BATCH)]
        outputs = []
        with torch.inference_mode():
            self.model.eval()
            for batch, images in zip(batches, self.images.batches(batches), strict=True):
                self._check_interrupted()
                if self.features is not None:
                    features = self.features[0, torch.from_numpy(batch)].to(self.device)
                    outputs.append(self.model.hash_features(features).cpu().numpy())
                else:
                    pixels = self.model.preprocessing.normalise(images.to(self.device))
                    outputs.append(self.model(pixels).float().cpu().numpy())
        return np.concatenate(outputs)

    def _compute_features(self) -> torch.Tensor:
        """Features of every image and of its mirror image, float32 (2, N, D)."""
        self.log("computing the features of all images once")
        features = torch.empty(2, len(self.images), self.model.feature_dim)
        rows = np.arange(len(self.images))
        batches = [rows[i : i + _EVAL_BATCH] for i in range(0, len(rows), _EVAL_BATCH)]
        self.model.eval()
        with torch.inference_mode():
            for batch, images in zip(batches, self.images.batches(batches), strict=True):
                self._check_interrupted()
                pixels = self.model.preprocessing.normalise(images.to(self.device))
                for view, shown in enumerate((pixels, pixels.flip(-1))):
                    features[view, torch.from_numpy(batch)] = (
                        self.model.backbone(shown).float().cpu()
                    )
        return features


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: up linearly, then down along half a cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _split(
    count: int, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, rows held out, and training rows that those are ranked against.

    In hash order, so that the split is the same everywhere. Coding an image costs about a fifth of
    training on it: a quarter of the epoch is 5 % of its time. More is ranked only where more is
    held out than that allows; at least two images are left to train on.
    """
    if count < 2:
        raise DataError(f"expected at least 2 images to train on, found {count}")
    order = np.array(hash_order(seed, "validation", [str(row) for row in range(count)]))
    held = min(MAX_VALIDATION, int(share * count), count - 2)
    if held == 0:
        return np.arange(count), order[:0], order[:0]
    ranked = min(MAX_RANKED, max(count // 4 - held, held))
    return np.sort(order[held:]), np.sort(order[:held]), np.sort(order[held : held + ranked])


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first SIGINT into an event, so that no step is cut in half; a second one kills."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
