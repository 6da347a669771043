"""The files of a folder and its subfolders."""

import os
from collections.abc import Callable, Iterator
from functools import cache

from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.item import File, Item, regular_stat
from bitcodes.sources.spool import Spool


def folder_images(root: str) -> Callable[[], Iterator[Item]]:
    """The images of a folder and its subfolders, to be gone through any number of times.

    The folder is walked once, and each image looked up once: later rounds give what was there then.
    """
    spool = Spool(_records(root))

    def items() -> Iterator[Item]:
        for line in spool:
            size, time, name = line[:-1].split(b" ", 2)
            path = name.replace(b"\0", b"\n").decode("utf-8", "surrogateescape")
            known = (int(size), int(time)) if size else None
            yield Item(path, File(os.path.join(root, path), known))  # noqa: PTH118

    return items


def walk_files(root: str) -> Iterator[tuple[str, bool]]:
    """Each file below `root`: its path relative to it, and whether it is taken for an image.

    An image is whatever has an image's suffix (IMAGE_SUFFIXES), even if it is a broken link or a
    pipe, so that reading it says why it is not one. A subfolder that cannot be listed stands for
    itself, for the same reason. Hidden files and folders are left out. Links are followed, but for
    a link to a folder within `root`, which is found by its own name.

    Paths have forward slashes and come in their order; the names of one folder at a time are in
    memory.
    """
    visits: set[tuple[int, int]] = set()
    own = cache(lambda: _own_folders(root))

    def is_new(path: str, is_link: bool) -> bool:
        status = os.stat(path)  # noqa: PTH116
        identity = status.st_dev, status.st_ino
        if identity in visits or (is_link and identity in own()):
            return False
        visits.add(identity)
        return True

    waiting = [iter([("", False)])]
    while waiting:
        path, is_link = next(waiting[-1], (None, False))
        if path is None:
            waiting.pop()
        elif path and not path.endswith("/"):
            yield path, os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122
        else:
            folder = os.path.join(root, path)  # noqa: PTH118
            try:
                if is_new(folder, is_link):
                    waiting.append(iter(_children(folder, path)))
            except OSError as error:
                if not path:
                    raise DataError(f"cannot read the folder {root}: {error.strerror}") from None
                yield path.rstrip("/"), True


def _records(root: str) -> Iterator[bytes]:
    """A line per image: size and time, both empty unless it is a regular file, and its path."""
    for path, is_image in walk_files(root):
        if is_image:
            known = regular_stat(os.path.join(root, path))  # noqa: PTH118
            name = path.encode("utf-8", "surrogateescape").replace(b"\n", b"\0")
            yield b"%d %d %s\n" % (*known, name) if known else b"  %s\n" % name


def _children(folder: str, prefix: str) -> list[tuple[str, bool]]:
    """What is in a folder: paths, which end with / for folders, and whether it is a link to one."""
    children = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if not entry.name.startswith("."):
                path = f"{prefix}{entry.name}{'/' * is_folder}"
                children.append((path, is_folder and entry.is_symlink()))
    children.sort()
    return children


def _own_folders(root: str) -> set[tuple[int, int]]:
    """The folders below `root`, without following links."""
    identities = set()
    for parent, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        status = os.stat(parent)  # noqa: PTH116
        identities.add((status.st_dev, status.st_ino))
    return identities
