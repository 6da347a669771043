"""Show a result: as tables, as lines in a pipe, as a JSON document, as a page, as pictures."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitcodes.cli import console

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(
    result: Any,
    *,
    json: bool = False,
    html: Path | None = None,
    open_page: bool = False,
    pictures: bool = False,
) -> None:
    """Print a result on stdout, its remarks on stderr; with `html`, also write its page.

    `open_page` opens the page in the browser; without `html` it is a temporary file. `pictures`
    shows the hits of a search as pictures, if the terminal can do that.
    """
    from bitcodes.report import views

    for remark in views.remarks(result):
        console.note(remark)
    if html is not None or open_page:
        from bitcodes.cli.browser import write_and_open

        write_and_open(result, html, open_page)
    if json:
        console.print_json(result.to_dict())
        return
    parts = _pictures(result) if pictures else None
    if parts is not None:
        _print(parts)
        return
    lines = None if console.out.is_terminal else views.lines(result)
    if lines is None:
        _print(views.tables(result))
        return
    for line in lines:
        sys.stdout.write(line + "\n")
    heading = views.heading(result)
    if heading is not None:
        console.note(heading)


def _print(parts: "Iterable[RenderableType]") -> None:
    from bitcodes.report.links import WithoutLinks, has_links

    links = has_links(console.out)
    for part in parts:
        console.out.print(part if links else WithoutLinks(part))


def _pictures(result: Any) -> "Iterable[RenderableType] | None":
    """The hits as pictures; None, with a note, if the terminal cannot show any."""
    from bitcodes.report.pictures import find_screen, why_no_pictures

    reason = why_no_pictures(console.out)
    if reason is not None:
        console.note(f"note: no pictures, because {reason}; --open shows them in the browser")
        return None
    from bitcodes.report.gallery import gallery

    return gallery(result, find_screen(), console.out.width)
