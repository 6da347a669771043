"""The files of a folder and its subfolders."""

import os
from collections.abc import Iterator
from pathlib import Path

from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES


def find_images(folder: Path) -> list[str]:
    """Paths of the images in a folder and its subfolders, relative to it and sorted.

    An image is whatever has an image's suffix (IMAGE_SUFFIXES), even if it is a broken link or a
    pipe, so that reading it says why it is not one. A subfolder that cannot be listed stands for
    itself, for the same reason. Hidden files and folders are left out; links are followed.
    """
    return [path for path, is_image in walk_files(str(folder)) if is_image]


def walk_files(root: str) -> Iterator[tuple[str, bool]]:
    """Each file below `root`: its path, and whether find_images takes it for an image.

    In the order of the paths, with the names of one folder at a time in memory. A link to a folder
    within `root` is left out, for that folder is found by its own name.
    """
    seen: set[tuple[int, int]] = set()
    own: set[tuple[int, int]] | None = None  # the folders below root, without following links

    def is_new(path: str, is_link: bool) -> bool:
        nonlocal own
        status = os.stat(path)  # noqa: PTH116
        identity = status.st_dev, status.st_ino
        if is_link:
            if own is None:
                own = _own_folders(root)
            if identity in own:
                return False
        if identity in seen:
            return False
        seen.add(identity)
        return True

    waiting: list[Iterator[tuple[str, str, bool]]] = [iter([("", "folder", False)])]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            continue
        path, kind, is_link = step
        absolute = os.path.join(root, path)  # noqa: PTH118
        if kind != "folder":
            yield path, kind == "image"
            continue
        try:
            if is_new(absolute, is_link):
                waiting.append(iter(_listed(absolute, path)))
        except OSError as error:
            if not path:
                raise DataError(f"cannot read the folder {root}: {error.strerror}") from None
            yield path.rstrip("/"), True


def below(path: str, base: str | Path) -> str:
    """An absolute path, made relative to `base` if it lies below it."""
    prefix = os.path.join(base, "")  # noqa: PTH118 - ends with one separator
    return path[len(prefix) :] if path.startswith(prefix) else path


def _listed(folder: str, prefix: str) -> list[tuple[str, str, bool]]:
    """What is in a folder: path, whether image, folder or other file, and whether it is a link."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if is_folder:
                found.append((f"{prefix}{entry.name}/", "folder", entry.is_symlink()))
            else:
                suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
                kind = "image" if suffix in IMAGE_SUFFIXES else "other"
                found.append((prefix + entry.name, kind, False))
    found.sort()
    return found


def _own_folders(root: str) -> set[tuple[int, int]]:
    found = set()
    for parent, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        status = os.stat(parent)  # noqa: PTH116
        found.add((status.st_dev, status.st_ino))
    return found
