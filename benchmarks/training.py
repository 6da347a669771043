"""What a training step costs: loading and augmentation beside the rest of it, and ways to speed up.

    python benchmarks/training.py --data data/cifar10 [--device auto] [--sizes 64 96 128]
        [--backbone auto] [--no-pretrained] [--batch-size 32] [--rounds 3] [--compile] [--out FILE]

A step as finetune does it, of images that lie in memory, against the same step on a fixed tensor:
the difference is what loading, moving, augmenting and normalising them costs. Then the fixed step
alone with bfloat16, with frozen batch norms, with no frozen stages, in larger batches, and with
--compile on request. Times are medians over rounds, in each of which every kind does eight steps:
so many batches are augmented at once, or fewer if they are large. Prints the tables and writes
them, by default to benchmarks/results/<date>-training.md.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import processor

from bitcodes.datasets.dataset import Dataset, read_dataset
from bitcodes.machine import core_count
from bitcodes.settings import Settings, backbone_name
from bitcodes.sources.workers import default_workers
from bitcodes.training.distributed import Group
from bitcodes.training.resolving import resolve
from bitcodes.training.trainer import Trainer

RESULTS = Path(__file__).resolve().parent / "results"
IMAGES = 2048
STEPS = 8  # as many as are augmented at once
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {"augment": False},
    "flip and shift (default for many images)": {},
    "with zoom": {"zoom": 0.2},
    "with zoom and RandAugment (default for few)": {"zoom": 0.2, "rand_augment": 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a prepared dataset")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 160])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--no-pretrained", action="store_true", help="needs no weights")
    parser.add_argument("--rounds", type=int, default=3, help=f"times {STEPS} steps of each kind")
    parser.add_argument("--compile", action="store_true", help="takes minutes on a CPU")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / f"{date.today():%Y-%m-%d}-training.md"
    )
    arguments = parser.parse_args()
    base = {
        "data": arguments.data,
        "device": arguments.device,
        "amp": "off",
        "batch_size": arguments.batch_size,
        "backbone": arguments.backbone,
        "weights": "random" if arguments.no_pretrained else "pretrained",
        "val": 0,
        "zoom": 0,
        "rand_augment": 0,
    }
    dataset = few(read_dataset(arguments.data))
    backbone = backbone_name(Settings.build(base))
    lines = [
        f"# The cost of a training step, {date.today():%Y-%m-%d}",
        "",
        f"torch {version('torch')}, timm {version('timm')}, Python {platform.python_version()}; "
        f"{processor()}, {core_count()} cores, {torch.get_num_threads()} threads"
        + (f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")
        + f". {backbone}, batches of {arguments.batch_size} unless said.",
        "",
        "| pixels | augmentation | step, ms | on a fixed tensor, ms | loading and augmentation |",
        "| --- | --- | --- | --- | --- |",
    ]
    for size in arguments.sizes:
        steps = {"fixed": fixed_step(dataset, {**base, "image_size": size})}
        for name, values in AUGMENTATIONS.items():
            steps[name] = full_step(dataset, {**base, "image_size": size, **values})
        times = in_turn(steps, arguments.rounds)
        for name in AUGMENTATIONS:
            share = (times[name] - times["fixed"]) / times[name]
            lines.append(
                f"| {size} | {name} | {1000 * times[name]:.1f} | {1000 * times['fixed']:.1f} "
                f"| {share:.1%} |"
            )
            print(lines[-1], flush=True)

    lines += ["", "| pixels | the step on a fixed tensor | images/s |", "| --- | --- | --- |"]
    variants: dict[str, dict[str, Any]] = {
        "float32": {},
        "bfloat16": {"amp": "bfloat16"},
        "--freeze-norms": {"freeze_norms": True},
        "--freeze-stages 0": {"freeze_stages": 0},
        f"batches of {2 * arguments.batch_size}": {"batch_size": 2 * arguments.batch_size},
    }
    if arguments.compile:
        variants["--compile"] = {"compile": True}
        variants["bfloat16, --compile"] = {"amp": "bfloat16", "compile": True}
    for size in arguments.sizes:
        steps = {
            name: fixed_step(dataset, {**base, "image_size": size, **values})
            for name, values in variants.items()
        }
        for name, seconds in in_turn(steps, arguments.rounds).items():
            images = variants[name].get("batch_size", arguments.batch_size)
            lines.append(f"| {size} | {name} | {images / seconds:.1f} |")
            print(lines[-1], flush=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print(f"written: {arguments.out}")


def few(dataset: Dataset) -> Dataset:
    """Enough of the training images to draw batches from."""
    train = dataset.train
    rows = np.linspace(0, len(train) - 1, min(IMAGES, len(train))).astype(int)
    assert train.labels is not None
    paths, labels = [train.paths[row] for row in rows], train.labels[rows]
    return replace(dataset, train=replace(train, paths=paths, labels=labels))


def make_trainer(dataset: Dataset, values: dict[str, Any]) -> Trainer:
    settings = resolve(Settings.build(values), dataset.train, print)
    run = Path(tempfile.gettempdir())
    trainer = Trainer(
        settings, run, dataset, None, Group(), default_workers(), lambda done, total: None, print
    )
    trainer.learner.set_modes()
    return trainer


def full_step(dataset: Dataset, values: dict[str, Any]) -> Callable[[], None]:
    """Steps of finetune: take the images of a batch, move and augment them, train."""
    full = make_trainer(dataset, values)
    rng = np.random.default_rng(0)

    def steps() -> None:
        size = full.plan.batch_size
        rows = [rng.choice(full.train_rows, size, replace=False) for _ in range(STEPS)]
        for batch, images in zip(rows, full.inputs.augmented(rows, full.step), strict=True):
            full._train_step(batch, images)
            full.step = 1

    return steps


def fixed_step(dataset: Dataset, values: dict[str, Any]) -> Callable[[], None]:
    """The same on one batch, prepared before."""
    fixed = make_trainer(dataset, values)
    learner = fixed.learner
    batch = fixed.train_rows[: fixed.plan.batch_size]
    images = next(fixed.inputs.batches(batch[None])).to(fixed.device)
    pixels = learner.model.preprocessing.normalise(images).contiguous(
        memory_format=torch.channels_last
    )
    learner.outputs = learner.forward  # which takes the pixels as they are

    def steps() -> None:
        for _ in range(STEPS):
            fixed._train_step(batch, pixels)
            fixed.step = 1

    return steps


def in_turn(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Seconds of each step, the median of `rounds` after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number > 0:
                times[name].append((time.perf_counter() - started) / STEPS)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
