"""`bitcodes finetune`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitcodes.cli import console
from bitcodes.cli.options import JsonOption, WorkersOption
from bitcodes.cli.training_progress import duration, reporting
from bitcodes.settings import Settings, read_settings_file

if TYPE_CHECKING:
    from bitcodes.training import Finetuned


_PANELS = {
    "Model": ("backbone", "weights", "hidden", "loss", "bits", "image_size"),
    "Training": (
        *("epochs", "max_steps", "batch_size", "optimizer", "learning_rate", "head_learning_rate"),
        *("weight_decay", "warm_up", "schedule", "momentum", "dropout", "label_smoothing"),
        *("dither", "ema", "freeze", "freeze_stages", "freeze_norms", "retrain", "val", "seed"),
        "summary_steps",
    ),
    "Augmentation": ("augment", "flip", "shift", "zoom", "rand_augment"),
    "Machine": ("device", "amp", "compile"),
}


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every setting, as Typer reads it; they come as `flags`."""
    parameters = dict(inspect.signature(command).parameters)
    del parameters["flags"]
    settings = {name: _option(name, panel) for panel in _PANELS for name in _PANELS[panel]}
    order = {"data": _option("data"), **parameters, **settings}
    for name in ("pretrained", "workers", "fresh", "as_json"):
        order[name] = order.pop(name)
    typed: Any = command
    typed.__signature__ = inspect.Signature(list(order.values()))
    return command


def _option(name: str, panel: str | None = None) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kind: Any = field.annotation if field.annotation in (bool, int, float, Path) else str
    extra: Any = field.json_schema_extra or {}
    flag = name.replace("_", "-")
    if field.is_required():
        told = "required, here or in --config"
    else:
        value = ("" if field.default else "no-") + flag if kind is bool else field.default
        told = f"default: {value}" + (f", {extra['auto']}" if extra["auto"] else "")
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=f"{field.description} [{told}]",
        metavar=extra.get("metavar") or {int: "N", float: "X"}.get(kind),
        show_default=False,
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[kind | None, option],
    )


@_with_settings
def finetune(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Settings from a .yaml or .json file; flags win over it. A run's own "
            "config.yaml repeats that run.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Settings to start from, over which --config and flags win. seed: those of "
            "Learning-bit-codes-for-images, whose params.json --config understands.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Folder of the run. Default: runs/DATA-BACKBONE-LOSS-BITS, from the settings.",
        ),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="Start the backbone with its published weights, or with random ones.",
            show_default=False,
            rich_help_panel="Model",
        ),
    ] = None,
    workers: WorkersOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, discarding what is in the run folder.")
    ] = False,
    as_json: JsonOption = False,
    **flags: Any,
) -> None:
    """Fine-tune a pretrained network with a hash layer on a dataset.

    Writes a run: the settings, the weights, chosen by mean average precision on held-out training
    images, the state to resume from, and curves for TensorBoard (`tensorboard --logdir runs`).

    On several GPUs: `torchrun --nproc-per-node 4 -m bitcodes finetune ...`, each with its part of
    every batch.

    Ctrl-C saves and stops; the same command goes on where it stopped.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if pretrained is not None:
        given["weights"] = _weights(given.get("weights"), pretrained)
    settings, calls, note = _settings(recipe, config, given)
    workers = calls if workers is None else workers

    from bitcodes import training
    from bitcodes.training.distributed import StoppedElsewhere, rank

    if rank() > 0:  # the first process does the telling
        try:
            training.finetune(settings, run, fresh=fresh, workers=workers)
        except (StoppedElsewhere, KeyboardInterrupt):
            raise typer.Exit(1) from None
        return
    if note is not None:
        console.note(note)
    try:
        with reporting() as (loading, report):
            done = training.finetune(
                settings,
                run,
                fresh=fresh,
                workers=workers,
                report=report,
                loading=loading,
                log=console.note,
            )
    except KeyboardInterrupt:
        console.note("interrupted; the same command goes on where this stopped")
        raise
    if as_json:
        console.print_json(
            {
                "run": str(done.run),
                "already_finished": done.already,
                "kept_epoch": done.kept["epoch"],
                "history": done.history,
            }
        )
    if done.already and done.settings.label_free:
        console.note(f"{done.run} is finished: nothing to do. Start over with --fresh.")
    elif done.already:
        console.note(
            f"{done.run} is finished ({len(done.history)} epochs): nothing to do. "
            "Train on with a larger --epochs, or start over with --fresh."
        )
    else:
        minutes = duration(done.history[-1]["train_seconds"])
        outcome = "" if done.settings.label_free else f"; {_outcome(done)}"
        console.note(f"finished {done.run} in {minutes} of training{outcome}")


def _outcome(done: "Finetuned") -> str:
    """The last epoch beside the one that validation chose: the better for having been chosen."""
    last, kept = done.history[-1], done.kept
    if "val_map" not in last:
        return "the model is that of the last epoch"
    score = f"validation mAP {last['val_map']:.4f} after the last epoch"
    if kept is last:
        return f"{score}, whose weights are the model"
    return f"{score}; the model is that of epoch {kept['epoch']}, with {kept['val_map']:.4f}"


def _settings(
    recipe: str | None, config: Path | None, flags: dict[str, Any]
) -> tuple[Settings, int | None, str | None]:
    """The settings, how many processes read images if the file says so, and a note on the file."""
    from bitcodes.predecessor.params import find_recipe, is_params, read_params

    values = {} if config is None else read_settings_file(config)
    where = "settings" if config is None else f"{config} and flags"
    if not is_params(values):
        base = {} if recipe is None else find_recipe(recipe)
        return Settings.build(base | values | flags, where), None, None

    params = read_params(values, str(config))
    base = find_recipe(recipe or "seed")
    settings = Settings.build(base | params.settings | flags, where)
    note = f"{config}: settings of Learning-bit-codes-for-images, over --recipe {recipe or 'seed'}"
    if params.ignored:
        note += f"; without meaning here: {', '.join(params.ignored)}"
    if params.classes is not None:
        _check_classes(settings.data, params.classes, str(config))
    return settings, params.workers, note


def _check_classes(data: Path, classes: int, where: str) -> None:
    """Raise ConfigError if the training list has another number of classes than a file says."""
    from bitcodes.errors import ConfigError
    from bitcodes.sources.lists import LIST_NAMES, read_list

    listed = data / LIST_NAMES["train"]
    labels = read_list(listed, check_exists=False).labels if listed.is_file() else None
    if labels is not None and labels.shape[1] != classes:
        raise ConfigError(
            f"{where}: 'num_classes' is {classes}, but {listed} has labels of {labels.shape[1]} "
            "classes: put it right or leave it out"
        )


def _weights(file: str | None, pretrained: bool) -> str:
    """The setting `weights` that --pretrained or --no-pretrained stands for."""
    if file is not None:
        raise typer.BadParameter(
            "give a file or --[no-]pretrained, not both", param_hint="--weights"
        )
    return "pretrained" if pretrained else "random"
