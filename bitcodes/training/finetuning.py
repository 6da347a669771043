"""`finetune`: begins, resumes or finishes the training of one run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes import config
from bitcodes.config import Settings
from bitcodes.data.lists import read_dataset
from bitcodes.errors import ConfigError
from bitcodes.files import lock
from bitcodes.training.loop import Progress, Trainer
from bitcodes.training.resolving import resolve
from bitcodes.training.resuming import clear, reconcile, sweep


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
        sweep(run)
        if fresh or not (run / config.CONFIG_FILE).exists():
            settings, saved = resolve(settings, dataset.train), None
        else:
            settings, saved = reconcile(settings, run, dataset)
        if saved is not None and len(saved["history"]) >= settings.epochs:
            return Finetuned(run, settings, saved["history"], already=True)
        trainer = Trainer(settings, run, dataset, workers, loading, log or (lambda line: None))
        if saved is None:
            clear(run)
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
