"""Writing what a command shows into files."""

from pathlib import Path

from bitcodes.errors import BitcodesError, ConfigError
from bitcodes.files import atomic_write, check_folder_of, open_regular

_OF_A_PAGE = b'<meta name="generator" content="bitcodes">'
"""Near the beginning of each page."""


def check_page(file: Path) -> None:
    """Raise ConfigError unless `file` is a name for a page, and has no other file.

    A slip of the hand must replace neither a photograph nor the page of somebody else.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{file}: expected the name of a page, which ends in .html")
    check_replaceable(file, "page", _OF_A_PAGE, within=200)


def check_replaceable(file: Path, what: str, mark: bytes, within: int = -1) -> None:
    """Raise ConfigError if `file` is there without `mark` in its first `within` bytes (-1: all).

    `what` names the file's kind in the error, such as "page".
    """
    try:
        with open_regular(file) as old:
            is_ours = mark in old.read(within)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"the {what} {file} cannot be written: {error.strerror}") from error
    if not is_ours:
        raise ConfigError(
            f"{file} is there already, and was not made by bitcodes: name another file, or remove "
            "this one"
        )


def write_whole(content: bytes, file: Path, what: str) -> None:
    """Write a file whole or not at all into a folder that is there; raises BitcodesError.

    `what` names the file's kind in the error, such as "page".
    """
    check_folder_of(file)
    try:
        with atomic_write(file) as out:
            out.write(content)
    except OSError as error:
        raise BitcodesError(f"the {what} {file} cannot be written: {error.strerror}") from error
