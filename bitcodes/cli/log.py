"""Standard error of a command: text for people, or JSON lines for programs."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, TextIO

import typer

from bitcodes.choices import LogFormat
from bitcodes.wording import shown


class _Log:
    """A stream that takes what a command writes to standard error.

    What cannot be written is lost: neither a full disk nor a reader that has gone ends the work.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""  # the beginning of one, of JSON lines
        self.is_json = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether it is a terminal, which shows bars and colours."""
        return not self.is_json and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write text; as JSON, each line that it completes."""
        if not self.is_json:
            return self._write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self.write_facts(line)
        return len(text)

    def write_facts(self, message: str, **facts: Any) -> None:
        """Write a line of JSON: a message, and what it says as facts."""
        from bitcodes.loglines import json_line

        self._write(json_line({"level": "info", "message": message, **facts}))

    def flush(self) -> None:
        """Let nothing wait to be written."""
        with suppress(OSError):
            self._stream.flush()

    def _write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)


@contextmanager
def logging() -> Iterator[None]:
    """Have what is written to standard error go through a log."""
    before = sys.stderr
    sys.stderr = _Log(before or open(os.devnull, "w"))  # noqa: PTH123, SIM115
    try:
        yield
    finally:
        sys.stderr = before


def log(message: str, **facts: Any) -> None:
    """Write how far long work is, with the time; as JSON, with the facts of the message, too."""
    if isinstance(sys.stderr, _Log) and sys.stderr.is_json:
        sys.stderr.write_facts(message, **facts)
    else:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), shown(message), file=sys.stderr, flush=True)


def log_error(problem: object) -> None:
    """Write why a command ends."""
    if isinstance(sys.stderr, _Log) and sys.stderr.is_json:
        sys.stderr.write_facts(str(problem), level="error")
    else:
        print(f"error: {problem}", file=sys.stderr)


def _set_format(form: LogFormat) -> LogFormat:
    if isinstance(sys.stderr, _Log):
        sys.stderr.is_json = form == "json"
    return form


LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        help="What standard error gets: text for people, or json, one document per line with the "
        "time, the message, and how much is done at which rate.",
        callback=_set_format,
        is_eager=True,
    ),
]
