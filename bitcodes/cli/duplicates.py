"""`bitcodes duplicates`: groups of images whose codes are the same, or nearly."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import JsonOption, ThreadsOption


class Keep(StrEnum):
    """Which image of a group to keep."""

    first = "first"
    largest = "largest"


def duplicates(
    codes: Annotated[Path, typer.Argument(help="The code set.")] = Path("codes.npy"),
    radius: Annotated[
        int,
        typer.Option(
            "--radius", min=0, help="Hamming distance up to which codes are taken for the same."
        ),
    ] = 0,
    keep: Annotated[
        Keep,
        typer.Option("--keep", help="Which image of a group to keep: first by path, or largest."),
    ] = Keep.first,
    json: JsonOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with thumbnails: one file, for any browser."),
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Find groups of near-duplicate images in a code set. Nothing is removed.

    ```
    bitcodes duplicates codes.npy --radius 2 --html duplicates.html
    ```

    Images are in one group if their codes are within the radius, directly or by a chain of others.
    Into a pipe or a file goes a line an image, parted by tabs: group, keep or duplicate, distance
    to the one to keep, path.
    """
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.duplicates import find_duplicates

    with progress("comparing codes") as report:
        result = find_duplicates(codes, radius, keep.value, threads, report)
    show(result, json=json, html=html)
