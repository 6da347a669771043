"""`bitcodes duplicates`: groups of images with the same codes, or nearly the same."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import HtmlOption, JsonOption, ThreadsOption


class Keep(StrEnum):
    """Which image of a group to keep."""

    first = "first"
    largest = "largest"


def duplicates(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="The code set.")] = Path(
        "codes.npy"
    ),
    radius: Annotated[
        int,
        typer.Option("--radius", min=0, help="Largest Hamming distance between near-duplicates."),
    ] = 0,
    keep: Annotated[
        Keep,
        typer.Option(
            "--keep",
            help="Which image of a group to keep: the first by path, or the largest in pixels.",
        ),
    ] = Keep.first,
    json: JsonOption = False,
    html: HtmlOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Find groups of near-duplicate images in a code set. No file is changed.

    ```
    bitcodes duplicates codes.npy --radius 2 --html duplicates.html
    ```

    Two images are in one group if their codes are within the radius, directly or through a chain
    of other images. When piped, prints one tab-separated line per image: group, keep or duplicate,
    distance to the image to keep, path.
    """
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.duplicates import find_duplicates

    with progress("comparing codes") as report:
        result = find_duplicates(codes, radius, keep.value, threads, report)
    show(result, json=json, html=html)
