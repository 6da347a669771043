"""`finetune`: begins, resumes or finishes the training of one run."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes import runs
from bitcodes.datasets.dataset import read_dataset
from bitcodes.errors import ConfigError
from bitcodes.files import lock
from bitcodes.settings import ResolvedSettings, Settings
from bitcodes.sources.workers import default_workers
from bitcodes.training.distributed import joined
from bitcodes.training.fitting import fit, fitted, images_to_fit, write_run
from bitcodes.training.progress import Progress
from bitcodes.training.resolving import resolve, resolve_to_fit
from bitcodes.training.resuming import clear, same_settings, sweep
from bitcodes.training.state import Checkpoint, read_checkpoint
from bitcodes.training.trainer import Trainer
from bitcodes.training.validation import kept_epoch


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
    run: Path | None = None,
    *,
    fresh: bool = False,
    workers: int | None = None,
    report: Callable[[Progress], None] | None = None,
    loading: Callable[[int, int | None], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> Finetuned:
    """Train a hash model with these settings in the folder `run`, by default one in runs/.

    An unfinished run with the same settings is resumed, and ends with the weights that it would
    have without the stop (bit for bit on a CPU). A finished run is returned as it is, or trained on
    if `settings.epochs` has grown. `fresh` starts over.

    The losses without labels ("itq", "itq-nn", "lsh") take any folder of images as data and fit the
    hash layer at once. They use no settings of training.

    Processes that torchrun started train together, each on its part of every batch. The first one
    writes and reports.

    SIGINT (Ctrl-C) saves the state and raises KeyboardInterrupt. Raises ConfigError if the folder
    holds a run of other settings, DataError for a bad dataset, BitcodesError if the loss is not
    finite or another process trains in this folder.
    """
    run = run or runs.RUNS / runs.run_name(settings)
    with joined() as group, ExitStack() as stack:
        if not group.first:
            report = loading = log = None
        log = log or (lambda line: None)
        if group.size > 1 and (settings.freeze or settings.loss.label_free):
            raise ConfigError(
                "a frozen backbone takes seconds an epoch: one process is enough; "
                "leave out torchrun"
            )
        if settings.loss.label_free:
            return _fit(settings, run, fresh, workers, loading, log)
        dataset = read_dataset(settings.data)

        def prepare() -> tuple[ResolvedSettings, Checkpoint | None]:
            _make_folder(run)
            stack.enter_context(lock(run / ".lock", f"run {run}"))
            sweep(run)
            if fresh or not (run / runs.CONFIG_FILE).exists():
                return resolve(settings, dataset.train, log), None
            resumed = resolve(same_settings(settings, run), dataset.train, log)
            return resumed, read_checkpoint(run, resumed, dataset.train)

        resolved, checkpoint = group.first_does(prepare)
        if checkpoint is not None and _finished(resolved, checkpoint.history):
            return Finetuned(run, resolved, checkpoint.history, already=True)
        trainer = Trainer(resolved, run, dataset, checkpoint, group, workers, loading, log)
        if group.first:
            if checkpoint is None:
                clear(run)
            else:
                trainer.go_on(checkpoint)
            resolved.save(run / runs.CONFIG_FILE)
            runs.set_latest(run)
        trainer.train(report or (lambda progress: None))
        return Finetuned(run, resolved, trainer.history, already=False)


def _fit(
    settings: Settings,
    run: Path,
    fresh: bool,
    workers: int | None,
    loading: Callable[[int, int | None], None] | None,
    log: Callable[[str], None],
) -> Finetuned:
    """The same for a loss without labels: all at once, so that there is nothing to resume."""
    images = images_to_fit(settings.data)
    _make_folder(run)
    with lock(run / ".lock", f"run {run}"):
        sweep(run)
        if fresh or not (run / runs.CONFIG_FILE).exists():
            settings = resolve_to_fit(settings, images)
        else:
            settings = same_settings(settings, run)
            if (line := fitted(run, images)) is not None:
                return Finetuned(run, settings, [line], already=True)
        workers = default_workers() if workers is None else workers
        model, line = fit(settings, images, workers, loading, log)
        write_run(run, settings, model, line)
        runs.set_latest(run)
        return Finetuned(run, settings, [line], already=False)


def _finished(settings: ResolvedSettings, history: list[dict[str, Any]]) -> bool:
    """Whether these epochs are all; of those that were begun, each is a line once it has ended."""
    last = history[-1]["step"] if history else 0
    return len(history) >= settings.epochs or 0 < settings.max_steps <= last


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run folder {run}: {error.strerror}") from None
