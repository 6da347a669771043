"""Writing what a command shows into files."""

from pathlib import Path

from bitcodes.errors import BitcodesError, ConfigError
from bitcodes.files import atomic_write, check_folder_of, check_replaceable

_OF_A_PAGE = b'<meta name="generator" content="bitcodes">'
"""Near the beginning of each page."""


def check_page(file: Path) -> None:
    """Raise ConfigError unless `file` is a name for a page, and has no other file.

    A slip of the hand must replace neither a photograph nor the page of somebody else.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{file}: expected the name of a page, which ends in .html")
    check_replaceable(file, "page", _OF_A_PAGE, within=200)


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
