"""The errors that users see: the CLI prints them and exits 1; any other exception is a bug."""

from pathlib import Path
from typing import Self

from bitcodes.wording import shown

_LONGEST = 5000  # characters of a line of a message: a path has up to 4,096
_END = 200  # of which the last say what to do


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind if it has none."""
    if isinstance(error, KeyError):  # whose message is the key alone
        return f"{error} is missing"
    return (str(error).splitlines() or [""])[0] or type(error).__name__


class BitcodesError(Exception):
    """What the user can put right; the message says what, where, expected, found, what to do.

    Each argument is a line of the message. Names and values in it may hold anything: control
    characters are escaped, and lines of more than 5,000 characters lose their middle.
    """

    def __init__(self, *lines: object) -> None:
        super().__init__("\n".join(_bounded(shown(line)) for line in lines))


def _bounded(line: str) -> str:
    """A line of a message without its middle, if a name in it has any length."""
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST - _END]}... ({len(line):,} characters) ...{line[-_END:]}"


class FileInUseError(BitcodesError):
    """A program has a file open, and the system does not change open files (Windows)."""


class ConfigError(BitcodesError):
    """A setting is unknown, of the wrong type, out of range, or contradicts a run."""


class DataError(BitcodesError):
    """A dataset, a list file or a source is missing or malformed."""


class ImageError(DataError):
    """An image cannot be read; the message is the reason."""


class CodeSetError(BitcodesError):
    """A code set is damaged, inconsistent, or of another model than the one it meets."""

    @classmethod
    def damaged(cls, file: Path | str, problem: object) -> Self:
        """The error for a file of a set that is not what it should be."""
        what_to_do = "the file is damaged or of another kind, copy or encode the set again"
        return cls(f"{file}: {problem}; {what_to_do}")


class ModelError(BitcodesError):
    """Weights or a checkpoint are missing, damaged, or do not fit."""
