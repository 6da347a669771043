"""What the service writes to the log: lines for people, or a JSON document per line."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bitcodes.callbacks import Note
from bitcodes.choices import LogFormat

Access = Callable[[dict[str, Any]], None]
"""Called with the facts of each request."""


def json_note(message: str) -> None:
    """Write a line of the log as JSON on standard error."""
    write({"level": "info", "message": message})


def write(facts: dict[str, Any]) -> None:
    """Write facts as one line of JSON on standard error, with the time."""
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, **facts}), file=sys.stderr, flush=True)


def listeners(form: LogFormat, note: Note) -> tuple[Note, Access | None]:
    """What takes messages, and requests; as text, requests are not logged."""
    return (json_note, write) if form == "json" else (note, None)
