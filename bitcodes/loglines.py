"""Lines of a log for programs: a JSON document each."""

import json
import time
from datetime import UTC, datetime
from typing import Any


def json_line(facts: dict[str, Any]) -> str:
    """Facts as one line of JSON, with the time: UTC, in milliseconds."""
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": now, **facts}) + "\n"
