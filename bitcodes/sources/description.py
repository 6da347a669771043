"""dataset.json, which describes the lists of a prepared folder."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bitcodes.documents import read_json
from bitcodes.errors import DataError

DATASET_FILE = "dataset.json"
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
    names = value.get("class_names") if isinstance(value, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f'{file}: expected an object with "class_names", a list of names')
    return dict(value)


def recorded_names(folder: Path) -> tuple[str, ...]:
    """The class names that dataset.json in a folder gives, or none."""
    description = read_description(folder)
    return () if description is None else tuple(description["class_names"])


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
