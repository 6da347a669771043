"""What the service writes to the log: lines for people, or a JSON document per line."""

import sys
from collections.abc import Callable
from typing import Any

from bitcodes.callbacks import Note
from bitcodes.choices import LogFormat
from bitcodes.loglines import json_line

Access = Callable[[dict[str, Any]], None]
"""Called with the facts of each request."""


def json_note(message: str) -> None:
    """Write a line of the log as JSON on standard error."""
    write({"level": "info", "message": message})


def write(facts: dict[str, Any]) -> None:
    """Write facts as one line of JSON on standard error, with the time."""
    print(json_line(facts), end="", file=sys.stderr, flush=True)


def listeners(form: LogFormat, note: Note) -> tuple[Note, Access | None]:
    """What takes messages, and requests; as text, requests are not logged."""
    return (json_note, write) if form == "json" else (note, None)
