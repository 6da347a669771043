"""dataset.json, which describes the lists of a prepared folder."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bitcodes.documents import read_json
from bitcodes.errors import DataError

DATASET_FILE = "dataset.json"
TRAIN_LIST = "train.txt"
TRAIN_NAMES, UNSEEN = "train_class_names", "unseen_classes"
"""What dataset.json calls the classes of train.txt, where they are other ones than those of the
queries and the database; and the classes of these that are not in train.txt."""
STAGING, COMMIT = ".dataset.staging", "commit"
"""The folder in which new files of a prepared folder wait, and the file in it that makes them count
(see datasets/changing.py)."""


def newest(file: Path) -> Path:
    """Where a file of a prepared folder lies: in the staging folder if a change was interrupted."""
    staged = file.parent / STAGING / file.name
    is_there = all(map(os.path.exists, (staged.with_name(COMMIT), staged)))  # which never raises
    return staged if is_there else file


def read_description(folder: Path) -> dict[str, Any] | None:
    """What dataset.json of a prepared folder says, or None where there is none."""
    file = folder / DATASET_FILE
    try:
        value = read_json(newest(file), DataError)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(value, dict) or not _are_names(value.get("class_names")):
        raise DataError(f'{file}: expected an object with "class_names", a list of names')
    for key in (TRAIN_NAMES, UNSEEN):
        if not _are_names(value.get(key, [])):
            raise DataError(f'{file}: expected "{key}" to be a list of names')
    return dict(value)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def recorded_names(file: Path) -> tuple[str, ...]:
    """The class names of a list file that dataset.json beside it gives, or none.

    They are those of all lists, unless train.txt has classes of its own.
    """
    description = read_description(file.parent) or {}
    own = description.get(TRAIN_NAMES) if file.name == TRAIN_LIST else None
    return tuple(own or description.get("class_names", ()))


def recorded_unseen(folder: Path) -> tuple[str, ...]:
    """The classes that training does not see, by dataset.json in a folder; none if all are seen.

    Raises DataError for one that is no class of the data set.
    """
    description = read_description(folder) or {}
    unseen = tuple(description.get(UNSEEN, ()))
    if others := [name for name in unseen if name not in description["class_names"]]:
        raise DataError(
            f'{folder / DATASET_FILE}: expected names of "class_names" in "{UNSEEN}"; found '
            f"{others[0]!r}"
        )
    return unseen


def recorded_metric(folder: Path, known: Collection[str]) -> str | None:
    """The figure that counts most for a data set, by dataset.json in its folder; None for none.

    Raises DataError if it is not one of the `known` figures.
    """
    metric = (read_description(folder) or {}).get("metric")
    if metric is not None and metric not in known:
        raise DataError(
            f'{folder / DATASET_FILE}: expected "metric" to be one of {", ".join(known)}; '
            f"found {metric!r}"
        )
    return metric
