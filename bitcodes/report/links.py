"""Names that a terminal opens when they are clicked (OSC 8), where it can."""

import os
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from bitcodes.report.text import printable


def linked(text: str, file: Path | None, style: str = "") -> Text:
    """A text on one line that leads to `file`, if there is such a file."""
    link = None
    if file is not None and os.path.lexists(file):
        link = Path(os.path.abspath(file)).as_uri()  # noqa: PTH100 - keeps links of the system
    return Text().append(printable(text), Style.parse(style) + Style(link=link))


def has_links(console: Console) -> bool:
    """Whether links may be printed: on a terminal that is neither plain nor without colours."""
    return console.is_terminal and not console.no_color and not console.is_dumb_terminal


class WithoutLinks:
    """What it holds, as it is but for the links."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from Segment.strip_links(console.render(self._content, options))
