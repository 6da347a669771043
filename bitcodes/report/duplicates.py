"""Near-duplicates on a terminal, and as plain lines for other programs."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bitcodes.codes.paths import escape
from bitcodes.report.text import path_from_here, printable
from bitcodes.tasks.duplicates import Duplicates

_SHOWN_GROUPS = 50
_SHOWN_IMAGES = 10
"""The most in tables; lines and JSON hold everything."""


def duplicate_tables(result: Duplicates) -> Iterator[RenderableType]:
    """A heading, and the groups as one table: the image to keep, then its duplicates."""
    yield Text(result.describe(), style="dim")
    if not result.groups:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("group", justify="right")
    table.add_column("")
    table.add_column("distance", justify="right")
    table.add_column("path", overflow="fold")
    for number, images in enumerate(result.groups[:_SHOWN_GROUPS], 1):
        for place, image in enumerate(images[:_SHOWN_IMAGES]):
            table.add_row(
                Text("" if place else f"{number}"),
                Text("duplicate") if place else Text("keep", style="green"),
                Text(f"{image.distance}" if place else ""),
                Text(
                    printable(path_from_here(image.path, image.file)), style="" if place else "bold"
                ),
            )
        if len(images) > _SHOWN_IMAGES:
            more = f"and {len(images) - _SHOWN_IMAGES:,} more"
            table.add_row(Text(), Text(), Text(), Text(more, style="dim"))
    yield Text()
    yield table
    if len(result.groups) > _SHOWN_GROUPS:
        hidden = len(result.groups) - _SHOWN_GROUPS
        yield Text(f"and {hidden:,} more groups: --json or a pipe has them all", style="dim")


def duplicate_lines(result: Duplicates) -> Iterator[str]:
    r"""One tab-separated line per image: group, keep or duplicate, distance, path.

    Paths are escaped as in codes.paths.txt, tabs as `\t`.
    """
    for number, images in enumerate(result.groups, 1):
        for place, image in enumerate(images):
            role = "duplicate" if place else "keep"
            path = escape(path_from_here(image.path, image.file)).replace("\t", "\\t")
            yield f"{number}\t{role}\t{image.distance}\t{path}"
