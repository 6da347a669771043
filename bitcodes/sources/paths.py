"""Paths as lists and code sets keep them: with forward slashes on every system."""

import os
from pathlib import Path

from bitcodes.codes.paths import with_slashes


def absolute(path: str | Path) -> str:
    """The absolute path, with forward slashes; links stay, which Path.resolve would follow."""
    return with_slashes(os.path.abspath(path))  # noqa: PTH100


def below(path: str, base: str | Path) -> str:
    """An absolute path, made relative to `base` if it lies below it, with forward slashes."""
    path, prefix = with_slashes(path), with_slashes(str(base)).rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else path


def quote_path(path: str) -> str:
    """A path for messages: quoted, and printable whatever bytes are in it."""
    return repr(path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
