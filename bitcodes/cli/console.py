"""What every command prints through: results on stdout, progress and logs on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderableType,
    RenderHook,
    RenderResult,
)
from rich.segment import Segment

from bitcodes.callbacks import Progress
from bitcodes.cli.log import log
from bitcodes.wording import escape_in_json, shown


class _Safe:
    """Something to print, without the control characters in its text but line ends."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            if segment.control:
                yield segment
            else:
                lines = segment.text.split("\n")
                yield Segment("\n".join(map(shown, lines)), segment.style)


class _Sanitizer(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Safe(renderable) for renderable in renderables]


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)
    console.push_render_hook(_Sanitizer())
    return console


out, err = _console(stderr=False), _console(stderr=True)

_PLAIN_LINE_SECONDS, _NOTEBOOK_SECONDS = 10.0, 0.2


def print_json(value: Any) -> None:
    r"""Print one JSON document on stdout, plain: never coloured, never wrapped.

    Control characters, also those above ASCII, are written as `\uXXXX`, and so is all but ASCII
    where standard output has another encoding than UTF-8, which JSON needs.
    """
    is_utf_8 = (sys.stdout.encoding or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")
    text = json.dumps(value, indent=2, ensure_ascii=not is_utf_8, allow_nan=False)
    sys.stdout.write("\n".join(map(escape_in_json, text.split("\n"))) + "\n")


def note(message: str) -> None:
    """Print one line of information on stderr, as it is (no markup)."""
    err.print(shown(message), markup=False)


@contextmanager
def progress(description: str) -> Iterator[Progress]:
    """Show the progress of a long task; yields the function that gets `(done, total)`.

    Pass it to a function of the library: `with progress("encoding") as report: encode(...,
    progress=report)`. Shows a bar on a terminal, a line that changes in a notebook, and a line
    every ten seconds elsewhere, with the time; each has the rate and the time left.
    """
    if err.is_terminal:
        from bitcodes.cli.bars import bars_with_rates  # what is no terminal needs none

        with bars_with_rates(err) as shown:
            bar = shown.add_task(description, total=None)
            yield lambda done, total: shown.update(bar, completed=done, total=total)
    elif err.is_jupyter:
        yield _lines(description, _notebook_line(description), _NOTEBOOK_SECONDS, last=True)
    else:
        yield _lines(description, log, _PLAIN_LINE_SECONDS, last=False)


class Rate:
    """How many images are done per second, by the counts that are reported.

    Images that were done before the first report do not count. If fewer are done than before, the
    work begins anew.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._first = self._before = 0

    def at(self, done: int) -> float:
        """The rate so far, now that so many are done; 0 while it is not known."""
        now = time.monotonic()
        if self._began is None or done < self._before:
            self._began, self._first = now, done
        self._before = done
        return (done - self._first) / (now - self._began) if now > self._began else 0.0


def _notebook_line(text: str) -> Callable[..., None]:
    """Shows a line below the cell; the function returned changes it."""
    from IPython import display

    module: Any = display  # it has no types
    handle = module.display({"text/plain": text}, raw=True, display_id=True)
    return lambda text, **_: handle.update({"text/plain": text}, raw=True)


def _lines(description: str, show: Callable[..., None], seconds: float, *, last: bool) -> Progress:
    """Progress as lines of text, one every so many seconds, and a `last` one when all is done."""
    shown = time.monotonic()
    measured = Rate()

    def report(done: int, total: int | None) -> None:
        nonlocal shown
        rate = measured.at(done)
        now = time.monotonic()
        if now - shown < seconds and not (last and done == total):
            return
        shown = now
        of = "" if total is None else f"/{total}"
        speed = f", {rate:.0f}/s" if rate > 0 else ""
        left = f", {(total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
        message = f"{description}: {done}{of}{speed}{left}"
        show(message, step=description, done=done, total=total, per_second=round(rate, 1))

    return report
