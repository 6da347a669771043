"""Bars that show progress on a terminal."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def bars(console: Console, *columns: ProgressColumn) -> Progress:
    """Bars on the terminal that vanish at the end; `columns` stand after each."""
    text = TextColumn("{task.description}", markup=False)
    return Progress(text, BarColumn(), *columns, console=console, transient=True)


def bars_with_rates(console: Console) -> Progress:
    """Bars with how much is done, how much that is per second, and the time left."""
    return bars(console, MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
