"""`bitcodes merge`: code sets of one model into one."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import ForceOption


def merge(
    sets: Annotated[list[Path], typer.Argument(help="Code sets, in the order of their rows.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The code set to write, a .npy file.")
    ] = Path("codes.npy"),
    force: ForceOption = False,
) -> None:
    """Join code sets of one model into one.

    ```
    bitcodes merge part1.npy part2.npy -o codes.npy
    ```

    All must be of the same model, engine, dtype and decoding, with the same sidecars. The parts
    that encode --part made give the same set as encoding all at once.
    """
    from bitcodes.cli.console import out as console
    from bitcodes.cli.console import progress
    from bitcodes.codes.codeset import CodeSet
    from bitcodes.codes.merge import merge as merge_sets

    opened = [CodeSet.open(path) for path in sets]
    with progress("merging") as report:
        made = merge_sets(opened, out, force=force, progress=report)
    console.print(f"{out}: {made.count:,} codes of {made.bits} bits", markup=False)
