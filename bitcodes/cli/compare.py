"""`bitcodes compare`: whether two images are copies, said by the exit status."""

import sys
from pathlib import Path

import typer

from bitcodes.cli.options import JsonOption, argument


def compare(
    one: Path = argument("A", "An image file."),
    other: Path = argument("B", "The image file to compare it with."),
    json: JsonOption = False,
) -> None:
    """Say whether two images are copies: one picture, perhaps changed.

    ```
    bitcodes compare a.jpg b.jpg
    if bitcodes compare a.jpg b.jpg > /dev/null; then echo copies; fi
    ```

    Copies may be resized, recompressed, cropped, framed, written on, mirrored or turned by
    quarters, or have other colours. Another shot of the same thing is no copy. It needs no code
    set and no model: the pixels decide.

    Exit status: 0 copies, 1 no copies, 2 error, as those of `cmp` and `grep`. Other commands exit
    with 1 for an error.
    """
    from bitcodes.cli.show import show
    from bitcodes.errors import BitcodesError
    from bitcodes.tasks.duplicates.compare import compare as task

    try:
        result = task(one, other)
    except BitcodesError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    show(result, json=json)
    raise typer.Exit(0 if result.are_copies else 1)
