"""How commands declare options, and the options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bitcodes.choices import DEVICE
from bitcodes.files import check_folder_of
from bitcodes.report.writing import check_page
from bitcodes.wording import number_in_words, shortened

_MOST = 10**9
"""No number of images, bits or processes is larger."""


def option(help: str, *names: str, default: Any = None, **details: Any) -> Any:
    """An option of a command, as the default of its parameter; `names` if it has other names."""
    return typer.Option(default, *names, help=help, **details)


def flag(name: str, help: str, panel: str | None = None) -> Any:
    """An option without a value, off by default; `panel` is the part of the help it stands in."""
    return typer.Option(False, name, help=help, rich_help_panel=panel)


def number(kind: type[int] | type[float], least: float, most: float | None = None) -> Any:
    """What an option needs to take numbers from `least` to `most`, both included.

    Anything else is wrong usage, and the error says what was expected and found.
    """

    def parse(text: str | float) -> float:
        try:
            value = kind(text)
        except (ValueError, OverflowError):
            value = None
        highest = _MOST if most is None else most
        if value is None or not least <= value <= highest:
            is_high = value is not None and value > highest
            expected = number_in_words(kind, ge=least, le=highest if is_high else most)
            raise typer.BadParameter(f"expected {expected}; found {shortened(repr(text), 40)}")
        return value

    return {"parser": parse, "metavar": "N" if kind is int else "X"}


def number_or_auto(least: int) -> Any:
    """What an option needs to take whole numbers from `least` on, or auto."""
    details = number(int, least)

    def parse(text: str) -> float | str:
        try:
            return "auto" if text == "auto" else details["parser"](text)
        except typer.BadParameter as error:
            raise typer.BadParameter(
                error.message.replace("; found", ", or auto; found", 1)
            ) from None

    return {**details, "parser": parse}


def output(path: Path | None) -> Path | None:
    """The path of an output, whose folder must be there: the callback of its option."""
    if path is not None:
        check_folder_of(path)
    return path


def page(path: Path | None) -> Path | None:
    """The path of a page to write, checked before the work: the callback of its option."""
    if path is not None:
        check_page(path)
    return output(path)


def _device(name: str) -> str:
    if DEVICE.fullmatch(name) is None:
        raise typer.BadParameter(f"expected auto, cpu, cuda, cuda:N or mps; found {name!r}")
    return name


def argument(metavar: str, help: str, default: Any = ..., **details: Any) -> Any:
    """An argument of a command, as the default of its parameter; required without a default."""
    return typer.Argument(default, metavar=metavar, help=help, **details)


_NEAREST = "Default: the nearest codes.npy, in the working folder or a folder above."
CodesArgument = Annotated[
    Path | None, typer.Argument(metavar="CODES", help=f"The code set. {_NEAREST}")
]
DatabaseArgument = Annotated[
    str | None,
    typer.Argument(metavar="CODES", help=f"The code set, or the URL of a database. {_NEAREST}"),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(help=f"Code set to search, or the URL of a database. {_NEAREST}", metavar="CODES"),
]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", help="Code set to write, a .npy file.", callback=output),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        help="Run (a folder that finetune wrote), model file, or built-in. Default: the newest "
        "run, runs/latest."
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document to standard output, and nothing else. In paths, backslashes "
        "and line ends are escaped, as in codes.paths.txt.",
    ),
]
OpenOption = Annotated[
    bool,
    typer.Option(
        "--open", help="Open the page in the browser. Without --html, it is a temporary file."
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(help="Write a page with thumbnails: one file for any browser.", callback=page),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Device that runs the model: auto, cpu, cuda, cuda:N or mps. auto takes a GPU for a "
        "model that was trained on one, but the CPU for a search, which then starts sooner.",
        callback=_device,
        metavar="NAME",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Processes that read images; 0 reads them in this process. Default: by the number of "
        "cores.",
        **number(int, least=0),
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(help="Threads that search. Default: all cores.", **number(int, least=1)),
]
BatchSizeOption = Annotated[
    int, typer.Option(help="Images that the model encodes at a time.", **number(int, least=1))
]
