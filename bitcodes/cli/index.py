"""`bitcodes index`: prepare a code set for faster searches."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import ForceOption, JsonOption


def index(
    codes: Annotated[Path, typer.Argument(help="The code set.")] = Path("codes.npy"),
    tables: Annotated[
        bool | None,
        typer.Option(
            "--tables/--no-tables",
            help="Whether to add tables. Default: from 1,000,000 distinct codes on, if they have "
            "128 bits at most.",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Build the index of a code set and save it beside it, in a folder (codes.index).

    The index keeps each distinct code once, with the rows that have it: where many images share a
    code, searches take a fraction of the time. Tables of the codes by their parts (multi-index
    hashing) let a search read only the codes that can be near: many times faster again in sets of
    millions, for which they take some 40 bytes a code. Results are the same, always.

    `search` uses the index by itself. After the code set has changed, run this again: if rows were
    only added, they are merged in.
    """
    from bitcodes.cli.show import show
    from bitcodes.tasks.index import build_index

    show(build_index(codes, tables=tables, force=force), json=json)
