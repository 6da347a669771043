"""Writing what a command shows into files."""

from pathlib import Path

from bitcodes.errors import BitcodesError
from bitcodes.files import atomic_write


def write_whole(content: bytes, file: Path, what: str) -> None:
    """Write a file whole or not at all, and make its folder; raises BitcodesError.

    `what` names the file's kind in the error, such as "page".
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as out:
            out.write(content)
    except OSError as error:
        raise BitcodesError(f"the {what} {file} cannot be written: {error.strerror}") from error
