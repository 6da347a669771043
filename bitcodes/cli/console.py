"""What every command prints through: results on stdout, progress and logs on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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

ProgressCallback = Callable[[int, int | None], None]

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

_PLAIN_LINE_SECONDS, _NOTEBOOK_SECONDS = 10.0, 0.2


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, plain: never coloured, never wrapped."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def note(message: str) -> None:
    """Print one line of information on stderr, as it is (no markup)."""
    err.print(message, markup=False)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def progress(description: str) -> Iterator[ProgressCallback]:
    """Show the progress of a long task; yields the function that gets `(done, total)`.

    Pass it to a function of the library: `with progress("encoding") as report: encode(...,
    progress=report)`. Shows a bar on a terminal, a line that changes in a notebook, and a line
    every ten seconds elsewhere, each with rate and time left.
    """
    if not err.is_terminal:
        yield _notebook_line(description) if err.is_jupyter else _plain_lines(description)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bars:
        bar = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _plain_lines(description: str) -> ProgressCallback:
    """Prints a line every ten seconds."""
    line = _Line(description)
    printed = line.started

    def report(done: int, total: int | None) -> None:
        nonlocal printed
        text = line.text(done, total)
        if time.monotonic() - printed >= _PLAIN_LINE_SECONDS:
            printed = time.monotonic()
            note(text)

    return report


def _notebook_line(description: str) -> ProgressCallback:
    """Shows a line below the cell, and changes it a few times per second."""
    from IPython import display

    module: Any = display  # it has no types
    line = _Line(description)
    handle = module.display({"text/plain": description}, raw=True, display_id=True)
    shown = line.started

    def report(done: int, total: int | None) -> None:
        nonlocal shown
        text = line.text(done, total)
        if done == total or time.monotonic() - shown >= _NOTEBOOK_SECONDS:
            shown = time.monotonic()
            handle.update({"text/plain": text}, raw=True)

    return report


class _Line:
    """Progress as a line of text. Images that were done before the first report have no rate."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._first: int | None = None
        self.started = time.monotonic()

    def text(self, done: int, total: int | None) -> str:
        """How many are done, how many per second, and the time left."""
        self._first = done if self._first is None else self._first
        seconds = time.monotonic() - self.started
        rate = (done - self._first) / seconds if seconds else 0.0
        of = "" if total is None else f"/{total}"
        left = f", {(total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
        return f"{self._description}: {done}{of}, {rate:.0f}/s{left}"
