"""`bitcodes prepare`: images made into a data folder that finetune and evaluate read."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitcodes.cli import console

if TYPE_CHECKING:
    from bitcodes.datasets.prepared import Prepared

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    help="Make a data folder: images, lists of what to train on, query and search.",
)


class Protocol(StrEnum):
    """How CIFAR-10 is divided; the values are what users type."""

    FULL = "full"
    LOW_DATA = "low-data"
    LOW_DATA_54K = "low-data-54k"
    UNSEEN = "unseen"


SeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="Another seed, another choice of images. Default: 0."),
]


@app.command()
def cifar10(
    out: Annotated[Path, typer.Argument(help="The data folder to make.")] = Path("data/cifar10"),
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="CIFAR-10 as you have it, instead of downloading it: cifar-10-python.tar.gz; or a "
            "folder, .tar, .tar.gz, .tar.xz or .zip with train/CLASS/ and test/CLASS/, or "
            "with train/, test/ and the lists train.txt, test.txt and database.txt, which are "
            "kept unless you name a protocol.",
        ),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            "--protocol",
            help="full: train on and search the 50,000 training images, query with the 10,000 test "
            "images. low-data: of each class's 6,000 images 100 are queries, 500 train, and all "
            "59,000 but the queries are searched. low-data-54k: the same, without the training "
            "images in the database. unseen: 500 images of each of seven classes train, the other "
            "three are queried and searched. Default: full.",
        ),
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(
            "--split",
            min=1,
            max=3,
            help="Which three classes the protocol unseen keeps from training; no class is in two "
            "splits. Default: 1.",
        ),
    ] = None,
    seed: SeedOption = None,
) -> None:
    """CIFAR-10: 60,000 pictures of 32 x 32 pixels in 10 classes.

    The images are copied, so the folder can be moved, and it can be the source of another one with
    another protocol. A downloaded archive is kept beside it.
    """
    from bitcodes.datasets.cifar10 import prepare_cifar10

    with console.progress("images") as progress:
        done = prepare_cifar10(
            out, source, None if protocol is None else protocol.value, seed, progress, split
        )
    _tell(out, done)


@app.command()
def folder(
    source: Annotated[Path, typer.Argument(help="A folder that holds a folder of images a class.")],
    out: Annotated[Path, typer.Argument(help="The data folder to make.")],
    queries: Annotated[
        float | None,
        typer.Option(
            "--queries",
            min=0.0,
            help="Images of each class to query with: a share below 1, or a number. Default: 0.1.",
        ),
    ] = None,
    train: Annotated[
        float | None,
        typer.Option(
            "--train",
            min=0.0,
            help="Images of each class to train on, of those that are not queries: a share below "
            "1, or a number. Default: all.",
        ),
    ] = None,
    seed: SeedOption = None,
) -> None:
    """Your own images, sorted into class folders.

    The images stay where they are; OUT holds the lists. A source with train/ and test/ (or val/)
    folders keeps that division. Run it again to take in new images.
    """
    from bitcodes.datasets.class_folders import prepare_folder

    _tell(out, prepare_folder(source, out, queries, train, seed))


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="The data folder to make.")] = Path("data/demo"),
    seed: SeedOption = None,
) -> None:
    """The built-in demo set: 3,000 small drawn pictures in 10 classes, made in seconds."""
    from bitcodes.datasets.demo import prepare_demo

    with console.progress("pictures") as progress:
        done = prepare_demo(out, seed, progress)
    _tell(out, done)


def _tell(out: Path, done: "Prepared") -> None:
    for text in done.notes:
        console.note(f"note: {text}")
    state = {"new": "ready", "updated": "updated", "unchanged": "already prepared"}[done.state]
    counts = {key: f"{number:,}" for key, number in done.description["counts"].items()}
    names = done.description["class_names"]
    console.out.print(
        f"{out} is {state}: {counts['train']} images to train on, {counts['test']} queries, "
        f"{counts['database']} in the database, {len(names)} classes "
        f"(protocol {done.description.get('protocol')})",
        markup=False,
    )
    console.out.print(f"next: bitcodes finetune --data {out}", markup=False)
