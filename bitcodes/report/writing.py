"""Writing what a command shows into files."""

from pathlib import Path

from bitcodes.errors import BitcodesError
from bitcodes.files import atomic_write, check_folder_of


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
