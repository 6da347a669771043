"""The page of a result, and the browser that opens it."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from bitcodes.cli import console
from bitcodes.report.page import write_page
from bitcodes.report.pages import page


def write_and_open(result: Any, html: Path | None, open_page: bool) -> None:
    """Write the page of a result, to a temporary file if `html` is None, and open it if asked.

    A temporary page stays: the browser may read it at any time.
    """
    if html is None:
        html = Path(tempfile.mkdtemp(prefix="bitcodes-")) / "results.html"
    write_page(page(result), html)
    if open_page and _open(html):
        console.note(f"{html}: opened in the browser")
    elif open_page:
        console.note(f"{html}: no browser was found; open the page in one")
    else:
        console.note(f"{html}: open it in a browser")


def _open(file: Path) -> bool:
    try:
        return webbrowser.open(file.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False
