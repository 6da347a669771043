"""Paths and names as people see them: on one line, and from where they are."""

from pathlib import Path

from bitcodes.codes.paths import escape
from bitcodes.wording import shown


def printable(text: str) -> str:
    r"""A path or a name on one line, with control characters escaped: `\x1b` for escape."""
    return shown(escape(text))


def path_from_here(path: str, file: Path | None) -> str:
    """A path that works from the working folder if `file` is known, else the one in the set."""
    if file is None:
        return path
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
