"""Paths and names as people see them: on one line, and from where they are."""

import re
from pathlib import Path

from bitcodes.codes.paths import escape

# Control characters, and those that change the direction of the text around them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""A path or a name on one line, with control characters escaped: `\x1b` for escape."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], escape(text))


def path_from_here(path: str, file: Path | None) -> str:
    """A path that works from the working folder if `file` is known, else the one in the set."""
    if file is None:
        return path
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
