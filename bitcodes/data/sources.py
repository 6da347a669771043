"""What a user names to be encoded: images, folders, list files, or paths on standard input."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitcodes.data.lists import ImageList, parse_list, read_list, shown
from bitcodes.errors import DataError
from bitcodes.images import IMAGE_SUFFIXES

LIST_SUFFIXES = frozenset({".list", ".lst", ".txt"})


def find_images(folder: Path) -> list[str]:
    """Paths of the images in a folder and its subfolders, relative to it and sorted.

    An image is whatever has an image's suffix (IMAGE_SUFFIXES), even if it is a broken link or a
    pipe, so that reading it says why it is not one. A subfolder that cannot be listed stands for
    itself, for the same reason. Hidden files and folders are left out; links are followed.
    """
    return walk_images(folder)[0]


def walk_images(folder: Path) -> tuple[list[str], list[str]]:
    """The images of find_images, and the other files, which have not an image's suffix."""
    images: list[str] = []
    others: list[str] = []
    seen: set[tuple[int, int]] = set()  # links can lead round in circles
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            status = os.stat(folder / prefix)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder / prefix) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = prefix + entry.name
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        # Links last, so that a folder goes by its own name and not by a link's.
                        waiting.insert(0 if entry.is_symlink() else len(waiting), f"{path}/")
                    elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                        images.append(path)
                    else:
                        others.append(path)
        except OSError as error:
            if not prefix:
                raise DataError(f"cannot read the folder {folder}: {error.strerror}") from None
            images.append(prefix.rstrip("/"))
    return sorted(images), sorted(others)


def open_source(
    arguments: Sequence[str], root: Path | None = None, stdin: bytes | None = None
) -> ImageList:
    """The images that `arguments` name, in their order: images, folders, list files (.txt) and "-".

    "-" stands for `stdin`, the bytes of a list file. A single folder or list is its own root;
    otherwise paths are relative to `root` (default: the working folder) where they lie below it.
    Relative paths inside a list are taken from `root`, if given, else from the list's folder;
    those of `stdin` from `root` or the working folder.
    Raises DataError for what is not there, for a folder without images, for a malformed list and
    for labelled and unlabelled sources together.
    """
    if not arguments:
        raise DataError("no images named: expected images, folders, list files or -")
    parts = [_open_one(argument, root, stdin) for argument in arguments]
    if len(parts) == 1:
        return parts[0]
    base = (Path.cwd() if root is None else root).absolute()
    widths = {None if part.labels is None else part.labels.shape[1] for part in parts}
    if len(widths) > 1:
        found = ", ".join(
            f"{shown(argument)} has {'none' if part.labels is None else part.labels.shape[1]}"
            for argument, part in zip(arguments, parts, strict=True)
        )
        raise DataError(f"expected the same number of labels in all sources, found: {found}")
    labels = [part.labels for part in parts if part.labels is not None]
    names = {part.class_names for part in parts}
    return ImageList(
        [below(os.path.join(part.root, path), base) for part in parts for path in part.paths],  # noqa: PTH118
        np.concatenate(labels) if labels else None,
        base,
        names.pop() if len(names) == 1 else (),
    )


def _open_one(argument: str, root: Path | None, stdin: bytes | None) -> ImageList:
    base = (Path.cwd() if root is None else root).absolute()
    if argument == "-":
        return parse_list(stdin or b"", "standard input", base)
    path = Path(argument)
    if path.is_dir():
        images = find_images(path)
        if not images:
            suffixes = " ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(f"no images in the folder {shown(argument)} (looked for {suffixes})")
        return ImageList(images, None, path.absolute())
    if not os.path.lexists(path):
        raise DataError(f"no such file or folder: {shown(argument)}")
    if path.suffix.lower() in LIST_SUFFIXES:
        return read_list(path, root)
    return ImageList([below(str(path.absolute()), base)], None, base)


def below(path: str, base: str | Path) -> str:
    """An absolute path, made relative to `base` if it lies below it."""
    prefix = os.path.join(base, "")  # noqa: PTH118 - ends with one separator
    return path[len(prefix) :] if path.startswith(prefix) else path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
