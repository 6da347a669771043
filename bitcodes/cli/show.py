"""Show a result: as tables, as lines in a pipe, as a JSON document, and as a page."""

import sys
from pathlib import Path
from typing import Any

from bitcodes.cli import console


def show(result: Any, *, json: bool = False, html: Path | None = None) -> None:
    """Print a result on stdout, its remarks on stderr; with `html`, also write its page."""
    from bitcodes.report import views

    for remark in views.remarks(result):
        console.note(remark)
    if html is not None:
        from bitcodes.report.page import write_page
        from bitcodes.report.pages import page

        write_page(page(result), html)
        console.note(f"{html}: open it in a browser")
    if json:
        console.print_json(result.to_dict())
        return
    lines = None if console.out.is_terminal else views.lines(result)
    if lines is None:
        for part in views.tables(result):
            console.out.print(part)
        return
    for line in lines:
        sys.stdout.write(line + "\n")
    heading = views.heading(result)
    if heading is not None:
        console.note(heading)
