"""`bitcodes prepare`: a data folder of images and lists, which finetune and evaluate read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitcodes.choices import Protocol
from bitcodes.cli.console import progress
from bitcodes.cli.help import Command
from bitcodes.cli.leaks import CheckLeaksOption, show_leaks
from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.next_step import command, next_command
from bitcodes.cli.options import JsonOption, argument, flag, number, option
from bitcodes.cli.show import show
from bitcodes.cli.usage import Commands

if TYPE_CHECKING:
    from bitcodes.datasets.prepared import Prepared


class _Datasets(Commands):
    def instead_of_path(self, args: Sequence[str]) -> str | None:
        """A folder in place of a command: perhaps one of class folders."""
        folder = Path(args[0])
        if not folder.is_dir():
            return None
        rest = args[1:] or (Path("data", folder.resolve().name),)
        words = command("prepare", "folder", args[0], *rest)
        return f"a folder; to prepare it, if it holds class folders: {words}"


app = typer.Typer(
    cls=_Datasets,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    help="Prepare a data folder: lists of images to train on, to query with and to search.",
)


SeedOption = Annotated[
    int | None,
    typer.Option(help="Random seed of the choice of images. Default: 0.", **number(int, least=0)),
]


@app.command(cls=Command)
def cifar10(
    out: Path = argument("OUT", "Data folder to write.", Path("data/cifar10")),
    source: Path | None = option(
        "Your copy of CIFAR-10: cifar-10-python.tar.gz; or a folder, .tar, .tar.gz, "
        ".tar.xz or .zip with train/CLASS/ and test/CLASS/, or with train/, test/ and the lists "
        "train.txt, test.txt and database.txt. The lists are used as they are, unless you name a "
        "protocol. Default: download it."
    ),
    protocol: Protocol | None = option(
        "How to divide the images. full: train on the 50,000 training images and search them; "
        "query with the 10,000 test images. low-data: per class, 100 of the 6,000 images are "
        "queries and 500 are for training; search all 59,000 images that are no queries. "
        "low-data-54k: the same, but do not search the training images. coarse: as full, but "
        "train on two classes, animals and vehicles. unseen: train on 500 images per class of "
        "seven classes; query and search as full. Default: full."
    ),
    split: int | None = option(
        "With the protocol unseen: which three classes are not trained on. No class is in two "
        "splits. Default: 1.",
        **number(int, least=1, most=3),
    ),
    seed: SeedOption = None,
    check_leaks: CheckLeaksOption = False,
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """CIFAR-10: 60,000 pictures of 32 x 32 pixels in 10 classes.

    The images are copied, so you can move the folder, or use it as --source for another protocol.
    A downloaded archive is stored beside it.
    """
    from bitcodes.datasets.cifar10 import prepare_cifar10

    _check_one_document(check_leaks, json)
    with progress("images") as report:
        prepared = prepare_cifar10(out, source, protocol, seed, report, split)
    _finish(prepared, check_leaks, json)


@app.command(cls=Command)
def folder(
    source: Path = argument("SOURCE", "Folder with one folder of images per class."),
    out: Path = argument("OUT", "Data folder to write."),
    queries: float | None = option(
        "Queries per class: a share below 1, or a number of images. Default: 0.1.",
        **number(float, least=0),
    ),
    train: float | None = option(
        "Training images per class, without the queries: a share below 1, or a number of images. "
        "Default: all.",
        **number(float, least=0),
    ),
    seed: SeedOption = None,
    check_leaks: CheckLeaksOption = False,
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Your own images, sorted into class folders.

    Writes only lists into OUT; the images stay in SOURCE. If SOURCE has the folders train/ and
    test/ (or val/), the images stay divided in this way. Run the command again to add new images.
    """
    from bitcodes.datasets.class_folders import prepare_folder

    _check_one_document(check_leaks, json)
    _finish(prepare_folder(source, out, queries, train, seed), check_leaks, json)


@app.command(cls=Command)
def lists(
    source: Path = argument("SOURCE", "Folder with train.txt, test.txt and database.txt."),
    out: Path = argument("OUT", "Data folder to write."),
    root: Path | None = option(
        "Folder that the paths in the lists start from. If an image is not there, folders at the "
        "beginning of its path are left out, one after another. Default: SOURCE and the working "
        "folder."
    ),
    drop_queries: bool = flag(
        "--drop-queries",
        "Leave queries (the images of test.txt) out of train.txt and database.txt. Default: a "
        "query in another list is an error.",
    ),
    check_leaks: CheckLeaksOption = False,
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Lists of other hashing projects: ImageNet-100, NUS-WIDE, MS-COCO or your own.

    Reads lists in the layout of HashNet, DeepHash-pytorch and CSQ: a line per image with its path,
    then a 0 or 1 for each class, or the class number. Writes only lists into OUT. The images stay
    where they are.

    If the numbers of images and classes are those of a published protocol, OUT records its name,
    and `evaluate` shows the figure of the papers first (mAP@1000 or mAP@5000).
    """
    from bitcodes.datasets.list_folders import prepare_lists

    _check_one_document(check_leaks, json)
    _finish(prepare_lists(source, out, root, drop_queries), check_leaks, json)


@app.command(cls=Command)
def demo(
    out: Path = argument("OUT", "Data folder to write.", Path("data/demo")),
    seed: SeedOption = None,
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """The built-in demo set: 3,000 small drawings in 10 classes, made in seconds."""
    from bitcodes.datasets.demo import prepare_demo

    with progress("pictures") as report:
        prepared = prepare_demo(out, seed, report)
    _finish(prepared, False, json)


def _check_one_document(check_leaks: bool, json: bool) -> None:
    if check_leaks and json:
        raise typer.BadParameter("use it or --json, not both", param_hint="--check-leaks")


def _finish(prepared: "Prepared", check_leaks: bool, json: bool) -> None:
    from bitcodes.report import prepared_views  # noqa: F401 - for `show`

    show(prepared, json=json)
    if check_leaks:
        show_leaks(prepared.folder)
    if not json:
        next_command("finetune", "--data", prepared.folder)
