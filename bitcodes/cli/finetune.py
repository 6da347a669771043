"""`bitcodes finetune`."""

import os
import time
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bitcodes.cli import console
from bitcodes.cli.code_sets import CODES
from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.next_step import next_command
from bitcodes.cli.options import JsonOption, WorkersOption, argument, flag, number, option
from bitcodes.cli.setting_options import with_settings
from bitcodes.cli.training_progress import duration, reporting
from bitcodes.errors import ConfigError
from bitcodes.recipes import Recipe, gather_settings
from bitcodes.runs import MODEL_FILE, resolve_run
from bitcodes.wording import counted, from_here

if TYPE_CHECKING:
    from bitcodes.training import Finetuned


@with_settings
def finetune(
    options: dict[str, Any],
    *,
    folder: Path | None = argument("DATA", "The same as --data.", default=None, hidden=True),
    config: Path | None = option(
        "File of settings, .yaml or .json. Options override it. The config.yaml of a run repeats "
        "that run; the params.json of Learning-bit-codes-for-images works too."
    ),
    recipe: Recipe | None = option(
        "Named settings to start from. --config and options override them. predecessor: those of "
        "Learning-bit-codes-for-images."
    ),
    minutes: float | None = option(
        "Train for about this many minutes. A few steps are measured first, to choose the epochs "
        "and image sizes that fit.",
        **(number(float, least=0.1) | {"metavar": "M"}),
    ),
    run: Path | None = option("Folder of the run. Default: runs/DATA-BACKBONE-LOSS-BITS."),
    pretrained: bool | None = option(
        "Start with the published weights of the backbone, or with random weights. Default: on.",
    ),
    workers: WorkersOption = None,
    fresh: bool = flag("--fresh", "Start over and delete the files of the run."),
    as_json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Fine-tune a pretrained network with a hash layer on a dataset.

    `bitcodes finetune photos/` is short for `bitcodes finetune --data photos/`.

    Writes a run, a folder with the settings, the model, a checkpoint to resume from, and curves for
    TensorBoard (`tensorboard --logdir runs`). The model has the weights of the last epoch, or of an
    earlier one that was clearly better on held-out training images.

    Ctrl-C saves and stops. The same command continues where it stopped.

    On several GPUs, run `torchrun --nproc-per-node 4 -m bitcodes finetune ...`. Each GPU trains on
    its part of every batch.
    """
    started = time.monotonic()
    if folder is not None and options.setdefault("data", folder) != folder:
        raise typer.BadParameter("give one folder, as DATA or with --data", param_hint="DATA")
    if minutes is not None and (other := options.keys() & {"epochs", "max_steps"}):
        name = min(other).replace("_", "-")
        raise typer.BadParameter(
            f"it chooses the epochs; leave out --{name}", param_hint="--minutes"
        )
    if pretrained is not None:
        options["weights"] = _weights(options.get("weights"), pretrained)
    try:
        run_settings = gather_settings(recipe, config, options)
    except ConfigError as error:
        if config is not None:  # which may be what is wrong
            raise
        raise typer.BadParameter(str(error)) from None
    workers = run_settings.workers if workers is None else workers

    from bitcodes.training.beginning import check

    settings, choice = check(run_settings.settings)

    from bitcodes import training  # which loads torch
    from bitcodes.training.distributed import StoppedElsewhere, rank

    if rank() > 0:  # the first process reports
        try:
            training.finetune(settings, run, fresh=fresh, workers=workers)
        except (StoppedElsewhere, KeyboardInterrupt):
            raise typer.Exit(1) from None
        return
    for note in (run_settings.note, choice):
        if note is not None:
            console.note(note)
    with reporting() as (loading, report):
        result = training.finetune(
            settings,
            run,
            minutes=None if minutes is None else minutes - (time.monotonic() - started) / 60,
            fresh=fresh,
            workers=workers,
            report=report,
            loading=loading,
            log=console.note,
        )
    if as_json:
        console.print_json(
            {
                "run": str(result.run),
                "already_finished": result.already,
                "kept_epoch": result.kept["epoch"],
                "history": result.history,
            }
        )
    console.note(_summary(result, minutes))
    next_command(*_next_words(result))


def _summary(result: "Finetuned", asked_minutes: float | None) -> str:
    """What training did, in a line."""
    label_free = result.settings.label_free
    if result.already and label_free:
        return f"{result.run} is finished: nothing to do. Start over with --fresh."
    if result.already and asked_minutes is not None:
        return (
            f"{result.run} is finished, and --minutes plans a training from its beginning: to "
            f"train anew for {asked_minutes:g} minutes, add --fresh"
        )
    if result.already:
        return (
            f"{result.run} is finished ({counted(len(result.history), 'epoch')}): nothing to do. "
            "Train on with a larger --epochs, or start over with --fresh."
        )
    minutes = duration(result.history[-1]["train_seconds"])
    outcome = "" if label_free else f"; {_outcome(result)}"
    return f"finished {result.run} in {minutes} of training{outcome}"


def _next_words(result: "Finetuned") -> tuple[object, ...]:
    """What to run next: encode the images that the codes are for, with this run."""
    from bitcodes.datasets.dataset import LIST_NAMES

    data = result.settings.data
    database = data / LIST_NAMES["database"]
    images = from_here(database if database.is_file() else data)
    named = () if _is_newest(result.run) else ("--run", result.run)
    codes = _code_set_for(str(images), result.run)
    return "encode", images, *(() if codes == CODES else ("-o", codes)), *named


def _is_newest(run: Path) -> bool:
    try:
        return resolve_run(None) == run.resolve()
    except ConfigError:  # there is none: the folder may not be written to
        return False


def _code_set_for(images: str, run: Path) -> Path:
    """Where the codes of these images by this run go: not into a set that is anything else."""
    from bitcodes.models.modelfile import read_info
    from bitcodes.tasks.encoding.origin import is_made_of

    fingerprint = read_info(run / MODEL_FILE).fingerprint
    numbered = (f"{run.name}-{number}.npy" for number in count(2))
    for name in chain((str(CODES), "trained.npy", f"{run.name}.npy"), numbered):
        path = Path(name)
        if not os.path.lexists(path) or is_made_of(path, [images], fingerprint):
            return path
    raise AssertionError("numbers have no end")


def _outcome(result: "Finetuned") -> str:
    """Which epoch the model is of, and its score beside that of the last epoch."""
    last, model = result.history[-1], result.kept
    if "val_map" not in last:
        score = "validation mAP not measured (too few images); " if result.settings.val else ""
        return f"{score}the model is that of the last epoch"
    score = f"validation mAP {last['val_map']:.4f} after the last epoch"
    if model is last:
        return f"{score}, whose weights are the model"
    return f"{score}; the model is that of epoch {model['epoch']}, with {model['val_map']:.4f}"


def _weights(file: str | None, pretrained: bool) -> str:
    """The setting `weights` that --pretrained or --no-pretrained stands for."""
    if file is not None:
        raise typer.BadParameter(
            "give a file or --[no-]pretrained, not both", param_hint="--weights"
        )
    return "pretrained" if pretrained else "random"
