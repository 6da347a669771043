"""`bitcodes finetune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitcodes.cli import console
from bitcodes.cli.options import JsonOption, WorkersOption
from bitcodes.cli.training_progress import duration, reporting

if TYPE_CHECKING:
    from bitcodes.config import Settings
    from bitcodes.training import Finetuned


def finetune(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of a prepared dataset (see `bitcodes prepare`); for a loss without labels "
            "any folder of images. [required, here or in --config]",
            show_default=False,
        ),
    ] = None,
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
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Pretrained network to start from: alexnet, or any of these libraries' as "
            "torchvision/resnet50 or timm/vit_small_patch16_224. [default: tf_efficientnet_lite0]",
            rich_help_panel="Model",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights for the backbone from a file: .safetensors, .pth, for bvlc_alexnet .npy; "
            "a model of bitcodes will do. [default: pretrained, those published for it, downloaded "
            "if they do not come with a package]",
            rich_help_panel="Model",
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
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Width of a layer between backbone and hash layer, trained from random weights. "
            "[default: auto, 1024 with --freeze, else 0, none]",
            rich_help_panel="Model",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="What training minimises. csq, dpn, ortho: pull codes to a center for each class; "
            "ce, greedy: classify through it; hashnet, dch: bring pairs of a class together. "
            "Without labels and in seconds, for any folder of images: itq, itq-nn, lsh. "
            "[default: csq]",
            rich_help_panel="Model",
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            help="Length of a code. [default: 48]",
            rich_help_panel="Model",
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Pixels on a side that the network sees; several, such as 64,128, each for an "
            "equal share of the epochs. [default: auto, by the images' own size: 128 for small "
            "ones, up to what the backbone was trained with; half of it for the first epochs]",
            rich_help_panel="Model",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the training images. A finished run trains on when given more. "
            "[default: auto, 10 for 50,000 images, 32 for 5,000; 30 with --freeze]",
            rich_help_panel="Training",
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps to stop after, if the epochs have more; 0: no such limit. [default: 0]",
            rich_help_panel="Training",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images in a training step. [default: 32]",
            rich_help_panel="Training",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="sgd or adamw. [default: auto, adamw for networks with layer norms, else sgd]",
            rich_help_panel="Training",
        ),
    ] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option(
            help="Peak learning rate of the backbone and of a hidden layer: warm-up, then cosine "
            "to zero. [default: auto, in a batch of 64: 0.05, without batch norms 0.01; with layer "
            "norms 0.0001]",
            rich_help_panel="Training",
        ),
    ] = None,
    head_learning_rate: Annotated[
        str | None,
        typer.Option(
            help="Peak learning rate of hash layer and classifier. [default: auto, 0.02 to 0.5 by "
            "the loss, without batch norms a fifth of it; with layer norms 0.001]",
            rich_help_panel="Training",
        ),
    ] = None,
    weight_decay: Annotated[
        str | None,
        typer.Option(
            help="Penalty on the weights. [default: auto, 0.0005, with layer norms 0.05]",
            rich_help_panel="Training",
        ),
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(
            help="Share of the steps in which the learning rates rise to their peaks. "
            "[default: 0.1]",
            rich_help_panel="Training",
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Probability spread over all classes, in ce, greedy and ortho. [default: 0.0]",
            rich_help_panel="Training",
        ),
    ] = None,
    dither: Annotated[
        float | None,
        typer.Option(
            help="Share of the outputs' range over which the bits' thresholds are spread, in csq: "
            "codes then tell how sure the network is. 0: all at zero. [default: 0.9]",
            rich_help_panel="Training",
        ),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            help="Decay, a step, of averaged weights, which are validated and saved in place of "
            "the last step's; such as 0.99. 0: off. [default: 0.0]",
            rich_help_panel="Training",
        ),
    ] = None,
    freeze_norms: Annotated[
        bool | None,
        typer.Option(
            "--freeze-norms/--no-freeze-norms",
            help="Keep the statistics of batch norms as they were pretrained. "
            "[default: no-freeze-norms]",
            show_default=False,
            rich_help_panel="Training",
        ),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(
            help="Nesterov momentum; 0: plain SGD. [default: 0.9]",
            rich_help_panel="Training",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Learning rates after warm-up: cosine, down to zero, or constant. "
            "[default: cosine]",
            rich_help_panel="Training",
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of the features that a step leaves out before the hash layer, and in the "
            "backbone's own dropout layers; 0: as the backbone has it. [default: 0.0]",
            rich_help_panel="Training",
        ),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Change training images at random, as the next four say. [default: augment]",
            show_default=False,
            rich_help_panel="Augmentation",
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror half of them. [default: flip]",
            show_default=False,
            rich_help_panel="Augmentation",
        ),
    ] = None,
    shift: Annotated[
        float | None,
        typer.Option(
            help="Shift them by up to this share of their side. [default: 0.125]",
            rich_help_panel="Augmentation",
        ),
    ] = None,
    zoom: Annotated[
        float | None,
        typer.Option(
            help="Enlarge them, so that up to this share of their side is cut off. "
            "[default: auto, 0.2 for fewer than 20,000 images, else 0.0]",
            rich_help_panel="Augmentation",
        ),
    ] = None,
    rand_augment: Annotated[
        float | None,
        typer.Option(
            help="Two random changes to each (RandAugment), of this strength, to 10. "
            "[default: auto, 4 for fewer than 20,000 images, else 0.0]",
            rich_help_panel="Augmentation",
        ),
    ] = None,
    freeze: Annotated[
        bool | None,
        typer.Option(
            "--freeze/--no-freeze",
            help="Train only what follows the backbone, on features computed once and kept in "
            "runs/.features: seconds an epoch. [default: no-freeze]",
            show_default=False,
            rich_help_panel="Training",
        ),
    ] = None,
    freeze_stages: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Keep the first N stages of the backbone as they are, its stem with them, and "
            "train the others: faster steps. [default: auto, three of seven: 1 of ResNets' 4; 0 "
            "where there are none]",
            rich_help_panel="Training",
        ),
    ] = None,
    retrain: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers of the backbone to train from random weights while its others stay "
            "frozen, such as fc6,fc7. [default: none, all learn, from the weights that they have]",
            rich_help_panel="Training",
        ),
    ] = None,
    val: Annotated[
        float | None,
        typer.Option(
            help="Share of the training list held out to choose the epoch that is kept; 0 trains "
            "on everything and keeps the last. [default: 0.05]",
            rich_help_panel="Training",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of everything random. [default: 0]",
            rich_help_panel="Training",
        ),
    ] = None,
    summary_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps between two points of TensorBoard's curves. [default: 20]",
            rich_help_panel="Training",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda, cuda:N or mps. [default: auto]",
            rich_help_panel="Machine",
        ),
    ] = None,
    amp: Annotated[
        str | None,
        typer.Option(
            help="Mixed precision: off or bfloat16. [default: auto, bfloat16 where a trial at the "
            "start finds it faster]",
            rich_help_panel="Machine",
        ),
    ] = None,
    compile_: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Compile the training step: minutes at the start, then faster steps on a CUDA "
            "card. [default: no-compile]",
            show_default=False,
            rich_help_panel="Machine",
        ),
    ] = None,
    workers: WorkersOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, discarding what is in the run folder.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a pretrained network with a hash layer on a dataset.

    Writes a run: the settings, the weights, chosen by mean average precision on held-out training
    images, the state to resume from, and curves for TensorBoard (`tensorboard --logdir runs`).

    On several GPUs: `torchrun --nproc-per-node 4 -m bitcodes finetune ...`, each with its part of
    every batch.

    Ctrl-C saves and stops; the same command goes on where it stopped.
    """
    flags = {
        "data": data,
        "backbone": backbone,
        "weights": weights if pretrained is None else _weights(weights, pretrained),
        "hidden": hidden,
        "loss": loss,
        "bits": bits,
        "image_size": image_size,
        "epochs": epochs,
        "max_steps": max_steps,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "head_learning_rate": head_learning_rate,
        "weight_decay": weight_decay,
        "warm_up": warm_up,
        "label_smoothing": label_smoothing,
        "dither": dither,
        "ema": ema,
        "freeze_norms": freeze_norms,
        "momentum": momentum,
        "schedule": schedule,
        "dropout": dropout,
        "augment": augment,
        "flip": flip,
        "shift": shift,
        "zoom": zoom,
        "rand_augment": rand_augment,
        "freeze": freeze,
        "freeze_stages": freeze_stages,
        "retrain": retrain,
        "val": val,
        "seed": seed,
        "summary_steps": summary_steps,
        "device": device,
        "amp": amp,
        "compile": compile_,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    settings, calls, note = _settings(recipe, config, given)
    workers = calls if workers is None else workers

    from bitcodes import training
    from bitcodes.losses import LABEL_FREE
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
    if done.already and done.settings.loss in LABEL_FREE:
        console.note(f"{done.run} is finished: nothing to do. Start over with --fresh.")
    elif done.already:
        console.note(
            f"{done.run} is finished ({len(done.history)} epochs): nothing to do. "
            "Train on with a larger --epochs, or start over with --fresh."
        )
    else:
        minutes = duration(done.history[-1]["train_seconds"])
        outcome = "" if done.settings.loss in LABEL_FREE else f"; {_outcome(done)}"
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
) -> "tuple[Settings, int | None, str | None]":
    """The settings, how many processes read images if the file says so, and a note on the file."""
    from bitcodes.config import Settings, read_settings_file
    from bitcodes.recipes import find_recipe, is_params, read_params

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
    from bitcodes.data.lists import LIST_NAMES, read_list
    from bitcodes.errors import ConfigError

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
