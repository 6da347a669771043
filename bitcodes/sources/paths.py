"""Paths as lists and code sets keep them: with forward slashes on every system."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from bitcodes.codes.paths import with_slashes
from bitcodes.errors import DataError
from bitcodes.wording import from_here

_URL = re.compile(r"[^/\\]{2,}://")  # a single letter is a drive of Windows


def absolute(path: str | Path) -> str:
    """The absolute path, with forward slashes; links stay, which Path.resolve would follow."""
    return with_slashes(os.path.abspath(path))  # noqa: PTH100


def below(path: str, base: str | Path) -> str:
    """An absolute path, made relative to `base` if it lies below it, with forward slashes."""
    path, prefix = with_slashes(path), with_slashes(str(base)).rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else path


def is_remote(path: str) -> bool:
    """Whether it is a URL."""
    return _URL.match(path) is not None


def is_there(path: str) -> bool:
    """Whether an image is still there, as far as a look at its file or its archive tells."""
    if is_remote(path):
        return True
    while path and not os.path.lexists(path):
        path = path.rpartition("/")[0]
    return bool(path) and not os.path.isdir(path)  # noqa: PTH112


def joined(root: str, path: str) -> str:
    """Where `path` lies, which is relative to the folder, archive or URL `root`, or absolute."""
    return path if is_remote(path) else with_slashes(os.path.join(root, path))  # noqa: PTH118


def folder_of(root: str) -> str:
    """The folder, or the URL, that a file or an archive of the name `root` lies in."""
    head = root.split("?")[0].rstrip("/").rpartition("/")[0]
    return head if is_remote(root) else with_slashes(os.path.dirname(root))  # noqa: PTH120


def names_of(source: str | Path | Iterable[str | Path]) -> list[str]:
    """The names of images, folders or lists: one name, or several.

    Raises DataError for what is no name, such as an image in memory.
    """
    try:
        several = [source] if isinstance(source, str | Path) else list(source)
        return [os.fspath(name) for name in several]
    except TypeError as error:
        raise DataError(
            f"expected names of images, folders or lists ({error}). For images in memory: encode "
            "them with encode_images, and make a code set of them with "
            "CodeSet.from_arrays(pack_outputs(encoded.outputs), bits)"
        ) from None


def name_from_here(name: str) -> str:
    """A path, relative to the working folder if it lies below it; a URL as it is."""
    return name if is_remote(name) else str(from_here(Path(name)))


def place_from_here(root: str | None, path: str) -> str:
    """Where an image lies, or the damaged archive `root` itself, as `name_from_here` names it."""
    if root is None:
        return path
    return name_from_here(place(root, path))


def place(root: str, path: str) -> str:
    """Where an image lies, or the damaged archive `root` itself, which has its own name in it."""
    is_root = root.rpartition("/")[2] == path and not os.path.isdir(root)  # noqa: PTH112
    return root if is_root else joined(root, path)


def quote_path(path: str) -> str:
    """A path for messages: quoted, and printable whatever bytes are in it."""
    return repr(path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
