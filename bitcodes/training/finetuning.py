"""`finetune`: begins, resumes or finishes the training of one run."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitcodes import callbacks, runs
from bitcodes.datasets.dataset import read_dataset
from bitcodes.errors import ConfigError
from bitcodes.files import UNWRITABLE, lock
from bitcodes.models.engines import export_trained
from bitcodes.settings import ResolvedSettings, Settings
from bitcodes.sources.workers import default_workers
from bitcodes.training.beginning import check, lists_of, remove_lists, run_folder
from bitcodes.training.distributed import joined
from bitcodes.training.fitting import fit, fitted, images_to_fit, write_run
from bitcodes.training.instance import add_instance_bits, has_instance_bits
from bitcodes.training.pacing import Deadline, Pacer
from bitcodes.training.progress import Progress
from bitcodes.training.resolving import chosen_backbone, resolve, resolve_to_fit
from bitcodes.training.state import Checkpoint, clear, read_checkpoint, same_settings, sweep
from bitcodes.training.stopping import explained
from bitcodes.training.trainer import Trainer
from bitcodes.training.trial import pace_for
from bitcodes.training.validation import doubt, kept_epoch
from bitcodes.wording import quoted


@dataclass(frozen=True)
class Finetuned:
    """The result of `finetune`: `run` is the folder; `already` means nothing was left to do."""

    run: Path
    settings: Settings
    history: list[dict[str, Any]]
    already: bool

    @property
    def kept(self) -> dict[str, Any]:
        """The line of the history whose weights are the run's model."""
        return kept_epoch(self.history)


def finetune(
    settings: Settings,
    run: Path | str | None = None,
    *,
    minutes: float | None = None,
    fresh: bool = False,
    workers: int | None = None,
    report: Callable[[Progress], None] | None = None,
    loading: callbacks.Progress | None = None,
    log: callbacks.Note | None = None,
) -> Finetuned:
    """Train a hash model with these settings in the folder `run`, by default one in runs/.

    An unfinished run with the same settings is resumed, and ends with the weights that it would
    have without the stop (bit for bit on a CPU). A finished run is returned as it is, or trained on
    if `settings.epochs` has grown. `fresh` starts over.

    The data is a prepared folder, or one of class folders: then the run keeps lists of them. If it
    is a folder of images without classes, and the settings name no loss, the loss is "itq".

    With `minutes`, a few steps are measured, and epochs and image sizes chosen, and planned anew on
    the way, so that all ends after about so many minutes. How much fits depends on the machine and
    what else it does, so two such runs differ; the settings saved with one say what was done.

    The losses without labels ("itq", "itq-nn", "lsh") take any folder of images as data and fit the
    hash layer at once. They use no settings of training, and no `minutes`.

    Processes that torchrun started train together, each on its part of every batch. The first one
    writes and reports.

    SIGINT (Ctrl-C) saves the state, in the first epoch also as a model, and raises
    KeyboardInterrupt. Raises ConfigError if the folder holds a run of other settings, DataError for
    a bad dataset, BitcodesError if the loss is not finite or another process trains in this folder.
    """
    deadline = None if minutes is None else Deadline.after(minutes)
    settings, note = check(settings)
    run = None if run is None else Path(run)
    run = run or runs.RUNS / runs.run_name(settings)
    with joined() as group, ExitStack() as stack:
        if not group.first:
            report = loading = log = None
        report, loading, log = report or _ignore, loading or _ignore, log or _ignore
        if note is not None:
            log(note)
        if settings.label_free and deadline is not None:
            log("--minutes is not needed: without labels, each image is read once")
        if group.size > 1 and (settings.freeze or settings.label_free):
            raise ConfigError(
                "a frozen backbone takes seconds an epoch: one process is enough; "
                "leave out torchrun"
            )
        if deadline is not None and not settings.label_free:
            _check_paced(settings, group.size)
        workers = max(1, default_workers() // group.here) if workers is None else workers
        stack.enter_context(explained(run, log))
        if settings.label_free:  # all at once, so that there is nothing to resume
            before = _begin(run, settings, fresh, stack)
            images = images_to_fit(settings.data)
            if before is not None and (line := fitted(run, images)) is not None:
                return Finetuned(run, before, [line], already=True)
            _check_weights(before or settings)
            settings = before or resolve_to_fit(settings, images)
            done = fit(settings, images, workers, loading, log)
            _make_newest(run, log)
            write_run(run, settings, done, log)
            return Finetuned(run, settings, [done.line], already=False)

        def begin() -> tuple[Settings | None, Path]:
            before = _begin(run, settings, fresh, stack)
            _check_weights(before or settings)
            return before, lists_of(run, settings, before is not None, log)

        def prepare() -> tuple[ResolvedSettings, Checkpoint | None, Pacer | None]:
            checkpoint = None
            if before is not None:
                checkpoint = read_checkpoint(run, folder, dataset.train)
            # A plan that nothing was trained by is made anew: of what is usual, not of itself.
            planned = deadline is not None and checkpoint is None
            chosen = settings if planned or before is None else before
            resolved = resolve(chosen, dataset.train, log)
            if checkpoint is not None and checkpoint.pace:
                return resolved, checkpoint, Pacer.resume(checkpoint.pace, deadline)
            if deadline is None:
                return resolved, checkpoint, None
            if checkpoint is not None:
                raise ConfigError(f"{run} was begun without --minutes; start over with --fresh")
            paced, pacer = pace_for(settings, resolved, dataset, deadline, workers, log)
            return paced, None, pacer

        before, folder = group.first_does(begin)
        dataset = read_dataset(folder)
        resolved, checkpoint, pacer = group.first_does(prepare)
        whole = not resolved.instance_bits or has_instance_bits(run)
        if whole and checkpoint is not None and _finished(resolved, checkpoint.history):
            if group.first and (run / runs.MODEL_FILE).is_file():
                export_trained(run / runs.MODEL_FILE, log)  # if it was killed before this
            return Finetuned(run, resolved, checkpoint.history, already=True)
        trainer = Trainer(resolved, run, dataset, checkpoint, group, workers, loading, log, pacer)
        if group.first:
            if checkpoint is None:
                clear(run)
            else:
                trainer.go_on(checkpoint)
            resolved.save(run / runs.CONFIG_FILE)
            _make_newest(run, log)
        trainer.train(report)
        if group.first:
            if resolved.instance_bits:
                add_instance_bits(trainer)
            export_trained(run / runs.MODEL_FILE, log)
            if few := doubt(len(trainer.train_rows), len(trainer.val_rows), run):
                log(few)
        return Finetuned(run, resolved, trainer.history, already=False)


def _begin(run: Path, settings: Settings, fresh: bool, stack: ExitStack) -> Settings | None:
    """Lock the folder until `stack` ends; the settings of its run if that is to go on."""
    stack.enter_context(run_folder(run))
    stack.enter_context(lock(run / ".lock", f"run {run}"))
    stack.callback(remove_lists, run)
    sweep(run)
    again = not fresh and (run / runs.CONFIG_FILE).exists()
    return same_settings(settings, run) if again else None


def _make_newest(run: Path, log: callbacks.Note) -> None:
    """Make runs/latest point to the run, if the working folder may be written to."""
    try:
        runs.set_latest(run)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        latest = runs.RUNS / runs.LATEST
        log(f"cannot write {latest} ({error.strerror}): name this run with --run {quoted(run)}")


def _check_paced(settings: Settings, processes: int) -> None:
    """Raise ConfigError for what a number of minutes does not go with."""
    if processes > 1:
        raise ConfigError("--minutes trains with one process; with torchrun, give --epochs")
    if settings.epochs != "auto" or settings.max_steps:
        raise ConfigError("--minutes chooses the epochs: leave out --epochs and --max-steps")


def _check_weights(settings: Settings) -> None:
    """Raise ModelError if the weights of the backbone cannot be had; downloads them."""
    if settings.weights == "random":
        return
    backbone = chosen_backbone(settings)
    size = settings.image_size
    size = backbone.default_image_size if size == "auto" else int(np.max(size))
    if isinstance(settings.weights, Path):
        backbone.read(settings.weights, size)
    else:
        backbone.pretrained(size)


def _finished(settings: ResolvedSettings, history: list[dict[str, Any]]) -> bool:
    """Whether these epochs are all; of those that were begun, each is a line once it has ended."""
    last = history[-1]["step"] if history else 0
    return len(history) >= settings.epochs or 0 < settings.max_steps <= last


def _ignore(*progress: object) -> None:
    """The callback where there is none."""
