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

_PLAIN_LINE_SECONDS = 10.0


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
    """Show how far a long job is; yields the callable that the library reports `(done, total)` to.

    A bar with rate and time left on a terminal; elsewhere a plain line every ten seconds.
    """
    if err.is_terminal:
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
        return

    started = last = time.monotonic()
    first: int | None = None

    def report(done: int, total: int | None) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first is None else first
        if now - last < _PLAIN_LINE_SECONDS:
            return
        last = now
        rate = (done - first) / (now - started)
        of = "" if total is None else f"/{total}"
        left = f", {(total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
        note(f"{description}: {done}{of}, {rate:.0f}/s{left}")

    yield report
