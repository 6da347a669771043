"""The commands that benchmarks/kills.py kills, and the folders that they work in."""

import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

TIME = 1_700_000_000
"""Seconds, of every file."""

TINY = "tiny"
"""A backbone that takes no time; `register_tiny` makes it known."""

BUILT_IN = "--run built-in --bits 32 --batch-size 2"
TRAIN = (
    f"finetune --data data --run run --backbone {TINY} --bits 16 --image-size 32 --batch-size 4 "
    "--learning-rate 0.05 --device cpu --amp off --workers 0"
)
FIT = (
    f"finetune --data photos --run run --loss itq --backbone {TINY} --bits 8 --image-size 32 "
    "--device cpu --workers 0"
)
READ_SET = "info codes.npy --json", "search query.png --codes codes.npy -k 99 --json"


@dataclass(frozen=True)
class Case:
    """A command to kill, in a folder of photographs where others were run before."""

    name: str
    command: str
    before: tuple[str, ...] = ()
    change: Callable[[Path], None] | None = None
    """What changes in the folder after `before`."""
    readers: tuple[str, ...] = ()
    """Commands that must tell of the old state or of the new one, or end in a plain error."""
    steps: bool = False
    """Whether there are whole states between the old one and the new one, which readers may see."""
    refusal: str = ""
    """What the command says, run again, if its result is there already."""
    adds: str = ""
    """Which files a second run adds, as a regular expression of their names."""
    trains: bool = False
    """Whether it needs torch."""
    moves: bool = False
    """Whether it moves pictures: each must be there once at any moment, also on a full disk."""


def cases() -> list[Case]:
    """All of them."""
    return [*_encodings(), *_sets(), *_datasets(), *_trainings(), *_results(), *_moves()]


def _encodings() -> list[Case]:
    first = f"encode photos {BUILT_IN}"
    new = Case("encode", f"{first} --workers 0", readers=READ_SET)
    updated = replace(new, name="encode, images have changed", before=(first,), change=change)
    added = replace(updated, command=f"encode more {BUILT_IN} --append", change=None)
    two = (first, f"encode more {BUILT_IN} --append")
    return [
        new,
        replace(new, name="encode --workers 2", command=f"{first} --workers 2"),
        replace(new, name="encode an archive", command=f"encode more.tar {BUILT_IN} --workers 2"),
        updated,
        replace(
            updated,
            name="encode --features, images have changed",
            command=f"{first} --features --workers 2",
            before=(f"{first} --features",),
        ),
        replace(updated, name="encode, of what it was made from", command="encode --workers 0"),
        replace(added, name="encode --append a folder"),
        replace(
            added,
            name="encode --append an archive",
            command=f"encode more.tar {BUILT_IN} --append --workers 2",
        ),
        replace(
            updated,
            name="encode, of several that it was made from",
            command="encode --workers 0",
            before=two,
            steps=True,
        ),
        replace(
            updated,
            name="encode --force, other bits",
            command="encode photos --run built-in --bits 64 --force --workers 0",
        ),
    ]


def _sets() -> list[Case]:
    first = f"encode photos {BUILT_IN}"
    parts = tuple(f"{first} --part {part}/2 -o part{part}.npy" for part in (1, 2))
    joined = Case("merge", "merge part1.npy part2.npy", parts, readers=READ_SET)
    indexed = Case("index", "index", (first,), readers=READ_SET)
    return [
        replace(joined, refusal="exists already"),
        replace(
            joined,
            name="merge --force",
            command="merge part1.npy part2.npy --force",
            before=(*parts, "encode more --run built-in --bits 64"),
        ),
        indexed,
        replace(indexed, name="index --tables", command="index --tables"),
        replace(
            indexed,
            name="index --tables, codes were added",
            command="index --tables",
            before=(first, "index --tables", f"encode more {BUILT_IN} --append"),
        ),
    ]


def _datasets() -> list[Case]:
    folder = Case("prepare folder", "prepare folder photos data", readers=("dataset data",))
    return [
        folder,
        replace(folder, name="prepare folder again", before=(folder.command,), change=change),
        replace(folder, name="prepare demo", command="prepare demo data"),
        replace(folder, name="prepare cifar10", command="prepare cifar10 data --source cifar"),
        replace(
            folder,
            name="prepare cifar10 in place",
            command="prepare cifar10 cifar --source cifar",
            readers=("dataset cifar",),
        ),
    ]


def _trainings() -> list[Case]:
    prepared = "prepare folder pets data --queries 1"
    new = Case(
        "finetune",
        f"{TRAIN} --epochs 2",
        (prepared,),
        readers=("info run --json",),
        steps=True,
        trains=True,
    )
    fit = Case("finetune --loss itq", FIT, readers=new.readers, steps=True, trains=True)
    of_classes = f"{TRAIN} --epochs 2".replace("--data data", "--data pets")
    return [
        new,
        replace(new, name="finetune, class folders", command=of_classes, before=()),
        replace(
            new,
            name="finetune, more epochs",
            command=f"{TRAIN} --epochs 3",
            before=(prepared, f"{TRAIN} --epochs 2"),
        ),
        replace(
            new,
            name="finetune --fresh",
            command=f"{TRAIN} --epochs 2 --fresh",
            before=(prepared, f"{TRAIN} --epochs 1"),
        ),
        fit,
        replace(
            fit, name="finetune --loss itq --fresh", command=f"{FIT} --fresh", before=(FIT,),
            change=change,
        ),
    ]  # fmt: skip


def _results() -> list[Case]:
    trained = ("prepare folder pets data --queries 1", f"{TRAIN} --epochs 1")
    evaluate = "evaluate run --workers 0 --report report.html"
    parts = tuple(f"info run/evaluation/{part}.npy --json" for part in ("queries", "database"))
    first = Case("evaluate", evaluate, trained, readers=parts, steps=True, trains=True)
    export = Case(
        *("export", "export model.onnx --run run", trained),
        readers=("info model.onnx --json",),
        refusal="exists already",
        trains=True,
    )
    search = "search query.png --codes codes.npy --html page.html"
    return [
        first,
        replace(first, name="evaluate, stored codes", before=(*trained, evaluate)),
        export,
        replace(
            export,
            name="export --force",
            command="export model.onnx --run run --force",
            before=(*trained, "export model.onnx --run built-in"),
            refusal="",
        ),
        Case("search --html", search, (f"encode photos {BUILT_IN}",)),
        Case(
            "search --copy-to",
            "search query.png --codes codes.npy -k 4 --copy-to copies",
            (f"encode photos {BUILT_IN}",),
            adds=r"copies/.* \(\d+\)\.png",
        ),
    ]


def _moves() -> list[Case]:
    encoded = f"encode photos {BUILT_IN}"
    there = "duplicates --radius 12 --keep first --move-to moved --yes"
    back = "duplicates --undo moved/undo-1.json --yes"
    move = Case("duplicates --move-to", there, (encoded,), moves=True)
    undo = replace(
        move,
        name="duplicates --undo",
        command=back,
        before=(encoded, there),
        refusal="there is no such file",
    )
    linked = f"{there} --link symbolic"
    return [
        move,
        replace(move, name="duplicates --move-to --link", command=linked),
        undo,
        replace(undo, name="duplicates --undo, of links", before=(encoded, linked)),
    ]


# --- the working folder ---


def make_folder(folder: Path) -> None:
    """Two classes of photographs, one of them damaged; more of them, also as an archive."""
    for name in ("cat", "dog"):
        for number in range(6):
            _picture(folder / f"photos/{name}/{number}.png")
            _picture(folder / f"pets/{name}/{number}.png")
    _write(folder / "photos/cat/damaged.png", b"\x89PNG\r\n\x1a\n, and no more")
    for number in range(3):
        _picture(folder / f"more/bird/{number}.png")
    _picture(folder / "query.png")
    with tarfile.open(folder / "more.tar", "w") as tar:
        for file in sorted((folder / "more/bird").iterdir()):
            tar.add(file, f"bird/{file.name}")
    os.utime(folder / "more.tar", (TIME, TIME))
    from bitcodes.datasets import cifar10

    for name in cifar10.CLASSES:
        for half, count in cifar10.PER_CLASS.items():
            for number in range(count):
                _picture(folder / f"cifar/{half}/{name}/{number}.png", (32, 32))


def change(folder: Path) -> None:
    """One photograph changes, one is new, one is gone, and the damaged one is repaired."""
    _picture(folder / "photos/cat/0.png", (40, 30), seed=1)
    _picture(folder / "photos/cat/6.png")
    _picture(folder / "photos/cat/damaged.png")
    (folder / "photos/dog/3.png").unlink()


def _picture(file: Path, size: tuple[int, int] = (48, 36), seed: int = 0) -> None:
    rng = np.random.default_rng([seed, *str(file).encode()[-24:]])
    cells = rng.integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
    cells[..., 0] //= 1 + 3 * ("cat" in file.parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells.repeat(4, 0).repeat(4, 1)).save(file)
    os.utime(file, (TIME + seed, TIME + seed))


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    os.utime(file, (TIME, TIME))


def copy(source: Path, target: Path) -> None:
    """Make a folder equal to another, times included."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


# --- what the commands need in a process ---


def make_small() -> None:
    """Let the data sets that bitcodes makes be of a few images."""
    from bitcodes.datasets import cifar10, demo

    cifar10.PER_CLASS = {"train": 2, "test": 1}
    demo.TRAIN_PER_CLASS, demo.TEST_PER_CLASS = 2, 1


def load(chosen: Sequence[Case]) -> None:
    """Import what the commands need, so that each process forked later starts at once."""
    import importlib

    names = [
        "cli.encode",
        "cli.search",
        "tasks.encoding.encode",
        "tasks.searching.search",
        "report.views",
    ]
    names += ["tasks.duplicates.finding", "tasks.duplicates.acting", "report.tables"]
    names += ["datasets.class_folders", "models.onnx", "metrics.scoring", "hamming.index"]
    if any(case.trains for case in chosen):
        names += ["training", "models.exporting", "report.evaluation_views", "tasks.evaluate"]
    for name in names:
        importlib.import_module(f"bitcodes.{name}")
    for name in ("onnxruntime", "numba", "filelock"):
        importlib.import_module(name)
    if any(case.trains for case in chosen):
        for name in ("torch._dynamo", "torch.onnx", "onnxscript", "torch.utils.tensorboard"):
            importlib.import_module(name)
        register_tiny()
        from bitcodes.training import trainer

        trainer.CHECKPOINT_SECONDS = -1.0  # save after each step, so that there is much to resume


def register_tiny() -> None:
    """Add the backbone `TINY`."""
    import torch
    from torch import nn

    from bitcodes.images.transforms import Preprocessing
    from bitcodes.models.backbones import BACKBONES, Backbone

    def build(image_size: int) -> nn.Sequential:
        layers = nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU()
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1))

    def weights(image_size: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return build(image_size).state_dict()

    def preprocessing(size: int) -> Preprocessing:
        half = (0.5, 0.5, 0.5)
        return Preprocessing(image_size=size, mean=half, std=half)

    BACKBONES[TINY] = Backbone(32, build, preprocessing, 64, pretrained=weights)
