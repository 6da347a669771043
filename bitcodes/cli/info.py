"""`bitcodes info`: what a code set or a run holds."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import JsonOption


def info(
    what: Annotated[
        Path, typer.Argument(metavar="CODES|RUN", help="A code set, a run or a model file.")
    ] = Path("codes.npy"),
    json: JsonOption = False,
) -> None:
    """Say what a code set, a run or a model file holds; of a code set, verify the checksums.

    ```
    bitcodes info codes.npy
    ```
    """
    from bitcodes.cli.show import show
    from bitcodes.tasks.info import describe

    show(describe(what), json=json)
