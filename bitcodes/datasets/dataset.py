"""A prepared folder: lists of images to train on, to search for and to search in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.datasets.changing import finish_change
from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE, TRAIN_LIST, TRAIN_NAMES, read_description
from bitcodes.sources.lists import ImageList, read_list
from bitcodes.wording import counted, quoted

LIST_NAMES = {"train": TRAIN_LIST, "test": "test.txt", "database": "database.txt"}


@dataclass(frozen=True, repr=False)
class Dataset:
    """A prepared folder: images to train on, queries (test) and the database to search."""

    train: ImageList
    test: ImageList
    database: ImageList
    class_names: tuple[str, ...]
    train_class_names: tuple[str, ...]
    """The same, unless training has classes of its own."""
    protocol: str | None

    def __repr__(self) -> str:
        return (
            f"<Dataset: {counted(len(self.train), 'image')} to train on, "
            f"{counted(len(self.test), 'query', 'queries')}, {len(self.database):,} in the "
            f"database, {counted(len(self.class_names), 'class', 'classes')}>"
        )


def read_dataset(folder: Path) -> Dataset:
    """Read train.txt, test.txt (the queries), database.txt and dataset.json of a prepared folder.

    Raises DataError if a file is missing or malformed. For a folder of images that is not prepared
    yet, the message names the `bitcodes prepare` command to run.
    """
    check_lists(folder)
    lists = {key: read_list(folder / name) for key, name in LIST_NAMES.items()}
    description = read_description(folder) or {}
    _check_labels(folder, lists, TRAIN_NAMES in description)
    _check_counts(folder, lists, description)
    train = lists["train"].class_names
    # A list may miss a class and so have no names.
    names = {part.class_names for part in lists.values()} - {()}
    if TRAIN_NAMES in description:
        names -= {train}
    class_names = names.pop() if len(names) == 1 else ()
    protocol = description.get("protocol")
    return Dataset(
        **lists,
        class_names=class_names,
        train_class_names=train if TRAIN_NAMES in description else class_names,
        protocol=protocol if isinstance(protocol, str) else None,
    )


def _check_labels(folder: Path, lists: Mapping[str, ImageList], train_differs: bool) -> None:
    """Raise DataError if lists have no labels, or other numbers of them."""
    columns = {
        key: 0 if part.labels is None else part.labels.shape[1] for key, part in lists.items()
    }
    alike = [number for key, number in columns.items() if key != "train" or not train_differs]
    if len(set(alike)) > 1 or 0 in columns.values():
        numbers = ", ".join(f"{LIST_NAMES[key]} has {number}" for key, number in columns.items())
        raise DataError(
            f"{folder}: expected the same number of labels in all lists, found: {numbers}"
        )


def _check_counts(
    folder: Path, lists: Mapping[str, ImageList], description: Mapping[str, Any]
) -> None:
    """Raise DataError if lists have other numbers of images than dataset.json says."""
    counts = description.get("counts")
    for key, images in lists.items():
        count = counts.get(key, len(images)) if isinstance(counts, dict) else len(images)
        if count != len(images):
            raise DataError(
                f"{folder / LIST_NAMES[key]} has {counted(len(images), 'image')}, but "
                f"{DATASET_FILE} says {count!r}: they are of two versions. Run `bitcodes prepare` "
                f'again. If you have edited the list, correct "counts" in {DATASET_FILE}'
            )


def check_lists(folder: Path) -> None:
    """Raise DataError if a list file of a prepared folder is missing, or the folder."""
    finish_change(folder)
    if not folder.is_dir():
        raise DataError(
            f"there is no data folder {folder}; make one with `bitcodes prepare` "
            "(cifar10, folder, lists or demo), or name another one"
        )
    if missing := [name for name in LIST_NAMES.values() if not (folder / name).is_file()]:
        raise DataError(_unprepared(folder, missing))


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder` that hold images or folders, sorted, without hidden ones."""
    paths = [path for path in folder.iterdir() if path.name[0] != "."]
    return sorted(path.name for path in paths if path.is_dir() and _has_content(path))


def holds_images(folder: Path) -> bool:
    """Whether images lie in the folder itself, by their names."""
    with os.scandir(folder) as entries:
        return any(map(_is_image, entries))


def _has_content(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() or _is_image(entry) for entry in entries)


def _is_image(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return name[0] != "." and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _unprepared(folder: Path, missing: list[str]) -> str:
    classes = class_folders(folder)
    source, lists = quoted(folder), quoted(f"{folder}-lists")
    advice = "; make a data folder with `bitcodes prepare` (cifar10, folder, lists or demo)"
    if {"train", "test"} <= set(classes) and len(class_folders(folder / "train")) == 10:
        command = f"`bitcodes prepare cifar10 {source} --source {source}`"
        advice = (
            f". If it is CIFAR-10, run {command}, else `bitcodes prepare folder {source} {source}`"
        )
    elif len(classes) > 1:
        command = f"`bitcodes prepare folder {source} {lists}`"
        advice = f". It holds class folders: run {command} and use {lists}"
    return f"{folder} has no {', '.join(missing)}{advice}"
