"""The files of a folder and its subfolders."""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache

from bitcodes.errors import DataError
from bitcodes.files import open_regular
from bitcodes.images.formats import IMAGE_SUFFIXES, begins_like_image
from bitcodes.sources.item import File, Item, regular_stat
from bitcodes.sources.left_out import LeftOut
from bitcodes.sources.spool import Spool
from bitcodes.sources.system_names import is_system_name

_NEARLY = re.compile(
    r"\.(?:avif|gif|heic|jpe?g|png|tiff?|webp)(?:[^a-z0-9.][^./]*|\.\d+)$", re.IGNORECASE
)
"""As programs name copies and downloads: a.jpg~, a.jpg_original, a.jpg?w=90, a.jpg.1."""
_HEAD = 64


def folder_images(
    root: str, all_files: bool = False, left_out: LeftOut | None = None
) -> Callable[[], Iterator[Item]]:
    """The images of a folder and its subfolders, to be gone through any number of times.

    The folder is walked once, and each image looked up once: later rounds give what was there then.
    `all_files` and `left_out` are as in walk_files.
    """
    spool = Spool(_records(root, all_files, left_out))

    def items() -> Iterator[Item]:
        for line in spool:
            size, time, name = line[:-1].split(b" ", 2)
            path = name.replace(b"\0", b"\n").decode("utf-8", "surrogatepass")
            known = (int(size), int(time)) if size else None
            yield Item(path, File(os.path.join(root, path), known))  # noqa: PTH118

    return items


def walk_files(
    root: str, all_files: bool = False, left_out: LeftOut | None = None
) -> Iterator[tuple[str, bool]]:
    """Each file below `root`: its path relative to it, and whether it is taken for an image.

    An image is whatever has an image's suffix (IMAGE_SUFFIXES), even if it is a broken link or a
    pipe, so that reading it says why it is not one. With `all_files`, so is a file without a
    suffix, or with one such as .jpg~, that begins like an image. A subfolder that cannot be listed
    stands for itself, for the same reason. Hidden files and folders, and those of systems
    (is_system_name), are left out, without `all_files`. Links are followed, but for a link to a
    folder within `root`, which is found by its own name. `left_out` counts what is not taken.

    Paths have forward slashes and come in their order; the names of one folder at a time are in
    memory.
    """
    left_out = LeftOut() if left_out is None else left_out
    visits: set[tuple[int, int]] = set()
    own = cache(lambda: _own_folders(root, all_files))

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
            yield path, _is_image(root, path, all_files, left_out)
        else:
            folder = os.path.join(root, path)  # noqa: PTH118
            try:
                if is_new(folder, is_link):
                    waiting.append(iter(_children(folder, path, all_files, left_out)))
            except OSError as error:
                if not path:
                    raise DataError(f"cannot read the folder {root}: {error.strerror}") from None
                yield path.rstrip("/"), True


def _is_image(root: str, path: str, all_files: bool, left_out: LeftOut) -> bool:
    """Whether to take a file for an image; counts it if it is one and is not taken."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if suffix in IMAGE_SUFFIXES:
        return True
    if (suffix == "" or _NEARLY.search(path)) and _begins_like_image(root, path):
        left_out.unnamed += not all_files
        return all_files
    left_out.add_other(suffix)
    return False


def _begins_like_image(root: str, path: str) -> bool:
    try:
        with open_regular(os.path.join(root, path)) as file:  # noqa: PTH118
            return begins_like_image(file.read(_HEAD))
    except (OSError, ValueError):
        return False


def _records(root: str, all_files: bool, left_out: LeftOut | None) -> Iterator[bytes]:
    """A line per image: size and time, both empty unless it is a regular file, and its path."""
    for path, is_image in walk_files(root, all_files, left_out):
        if is_image:
            known = regular_stat(os.path.join(root, path))  # noqa: PTH118
            name = path.encode("utf-8", "surrogatepass").replace(b"\n", b"\0")
            yield b"%d %d %s\n" % (*known, name) if known else b"  %s\n" % name


def _children(
    folder: str, prefix: str, all_files: bool, left_out: LeftOut
) -> list[tuple[str, bool]]:
    """What is in a folder: paths, which end with / for folders, and whether it is a link to one."""
    children = []
    parent = os.path.basename(os.path.dirname(folder))  # noqa: PTH119, PTH120 - it ends with /
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if not all_files and is_system_name(entry.name, parent):
                left_out.add_system(entry.name, is_folder)
            else:
                path = f"{prefix}{entry.name}{'/' * is_folder}"
                children.append((path, is_folder and entry.is_symlink()))
    children.sort()
    return children


def _own_folders(root: str, all_files: bool) -> set[tuple[int, int]]:
    """The folders below `root`, without following links."""
    identities = set()
    for parent, folders, _ in os.walk(root):
        above = os.path.basename(parent)  # noqa: PTH119
        folders[:] = [name for name in folders if all_files or not is_system_name(name, above)]
        status = os.stat(parent)  # noqa: PTH116
        identities.add((status.st_dev, status.st_ino))
    return identities
