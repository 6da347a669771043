"""Writing a data folder: whole or not at all, with its lists checked, once for its settings."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitcodes.datasets.changing import changed_together, remove_left
from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.errors import BitcodesError, DataError
from bitcodes.files import check_folder_of, lock, write_json_atomic
from bitcodes.sources.description import DATASET_FILE, TRAIN_NAMES, read_description
from bitcodes.sources.lists import Labels, write_list
from bitcodes.wording import as_utf8, counted

DATA = "data"
"""The folder for data folders, in the working folder; it is made when it is needed."""

Division = Mapping[str, Sequence[str]]
"""The paths of one class's images that are in each list, by the keys of LIST_NAMES."""


@dataclass(frozen=True)
class Prepared:
    """A data folder that is ready: its dataset.json, and whether it is new."""

    folder: Path
    description: dict[str, Any]
    state: Literal["new", "updated", "unchanged"]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        about = self.description
        return {
            "folder": as_utf8(str(self.folder)),
            "state": self.state,
            "protocol": about.get("protocol"),
            "counts": about["counts"],
            "classes": len(about["class_names"]),
            "notes": [*self.notes],
        }


def check_settings(
    out: Path,
    settings: Mapping[str, object],
    advice: str = "name another folder, or delete this one",
) -> Prepared | None:
    """The folder `out` if it was prepared with `settings`, None if there is nothing yet.

    A setting that is None may be anything. Removes what a killed process left. Raises DataError,
    which ends with `advice`, if `out` was prepared with other settings, and if it holds something
    else.
    """
    remove_left(out)
    if _staging(out).exists():
        with suppress(BitcodesError), _locked(out):  # another process prepares it
            pass
    description = read_description(out)
    if description is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(
                f"{out} exists and was not made by `bitcodes prepare`; name another folder"
            )
        return None
    other = [
        f"{key} {description.get(key)!r}, not {value!r}"
        for key, value in settings.items()
        if value is not None and description.get(key) != value
    ]
    if other:
        raise DataError(f"{out} is already prepared with {', and '.join(other)}; {advice}")
    return Prepared(out, description, "unchanged")


def make_folder(folder: Path, data: Path) -> None:
    """Make a folder for the data folder `data`; raises DataError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the data folder {data}: {error.strerror}") from None


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` if the block succeeds and vanishes if it fails.

    Parents are made within data/ only.
    Raises BitcodesError if another process is preparing it. Deletes what a killed process left.
    """
    check_folder_of(out, made=DATA)
    out = out.absolute()
    with _locked(out) as new:
        new.mkdir()
        yield new
        if out.exists():
            out.rmdir()  # empty, as check_settings saw
        new.rename(out)


def _staging(out: Path) -> Path:
    out = out.absolute()
    return out.parent / f".{out.name}.staging"


@contextmanager
def _locked(out: Path) -> Iterator[Path]:
    """Lock the staging folder of `out`, and yield the path of a folder in it that is not there."""
    staging = _staging(out)
    make_folder(staging, out)
    new = staging / "new"
    try:
        with lock(staging / "lock", f"the data folder {out}"):
            if new.exists():
                shutil.rmtree(new)
            try:
                yield new
            finally:
                shutil.rmtree(new, ignore_errors=True)
    finally:
        with suppress(OSError):  # another process prepares it
            staging.rmdir()


def write_dataset(
    folder: Path,
    classes: Mapping[str, Division],
    settings: Mapping[str, object],
    trained_as: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write train.txt, test.txt, database.txt and dataset.json, all or none; returns the last.

    `trained_as` gives a name for each class under which it is trained on, if that is another one.
    Raises DataError if a query (test) is also in train or database, or if a list is empty.
    """
    lists = {}
    names = {key: [*classes] for key in LIST_NAMES}
    if trained_as is not None:
        names["train"] = [*trained_as]
        settings = {**settings, TRAIN_NAMES: [*dict.fromkeys(trained_as)]}
    for key in LIST_NAMES:
        parts = [division[key] for division in classes.values()]
        places = {name: place for place, name in enumerate(dict.fromkeys(names[key]))}
        numbers = [places[name] for name, part in zip(names[key], parts, strict=True) for _ in part]
        lists[key] = [*chain(*parts)], one_hot(numbers, len(places))
    return write_lists(folder, lists, [*classes], settings)


def write_lists(
    folder: Path,
    lists: Mapping[str, tuple[Sequence[str], Labels | None]],
    class_names: Sequence[str],
    settings: Mapping[str, object],
) -> dict[str, Any]:
    """The same as write_dataset for paths and their labels, by the keys of LIST_NAMES."""
    for key, name in LIST_NAMES.items():
        if not lists[key][0]:
            raise DataError(f"{folder}: {name} would be empty")
    queries = set(lists["test"][0])
    for key in ("train", "database"):
        if shared := queries & set(lists[key][0]):
            raise DataError(
                f"{folder}: {counted(len(shared), 'query', 'queries')} in both "
                f"{LIST_NAMES['test']} and {LIST_NAMES[key]} (such as {min(shared)}); scores would "
                "be too good to be true"
            )
    counts = {key: len(lists[key][0]) for key in LIST_NAMES}
    names = [as_utf8(name) for name in class_names]
    description = {**settings, "counts": counts, "class_names": names}
    with changed_together(folder) as new:
        for key, name in LIST_NAMES.items():
            write_list(new / name, *lists[key])
        write_json_atomic(new / DATASET_FILE, description)
    return description


def write_around(
    folder: Path,
    before: Prepared | None,
    write: Callable[[], dict[str, Any]],
    notes: tuple[str, ...],
) -> Prepared:
    """The data folder `folder` after `write` has written its lists; the images lie elsewhere.

    `before` is what `check_settings` found. A folder that is new vanishes if `write` fails.
    """
    out = folder.absolute()
    is_new = not out.exists()
    make_folder(out, folder)
    old = _contents(out)
    try:
        description = write()
    except BaseException:
        if is_new:
            with suppress(OSError):  # something is in it
                out.rmdir()
        raise
    state: Literal["new", "updated", "unchanged"] = "new"
    if before is not None:
        state = "unchanged" if _contents(out) == old else "updated"
    return Prepared(folder, description, state, notes)


def _contents(folder: Path) -> list[bytes]:
    files = [folder / name for name in LIST_NAMES.values()]
    return [file.read_bytes() if file.exists() else b"" for file in files]


def listed_path(path: Path, out: Path) -> str:
    """A path as a list in `out` has it: relative inside `out`, else absolute; forward slashes."""
    return (path.relative_to(out) if path.is_relative_to(out) else path).as_posix()


def one_hot(classes: Sequence[int], number: int) -> Labels:
    """Class numbers (N,) as one-hot labels uint8 (N, number)."""
    return np.eye(number, dtype=np.uint8)[np.asarray(classes, np.intp)]
