"""--check-leaks, of the commands that prepare data and evaluate on it."""

from pathlib import Path
from typing import Annotated

import typer

CheckLeaksOption = Annotated[
    bool,
    typer.Option(
        "--check-leaks",
        help="Also look for queries that are copies of training images, and list these pairs: the "
        "pixels decide. Encodes all of both with the built-in model, about 10 ms per image.",
    ),
]


def show_leaks(data: Path) -> None:
    """Print the queries of a prepared folder that are copies of training images."""
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.duplicates.leaks import find_leaks

    show(find_leaks(data, steps=progress))
