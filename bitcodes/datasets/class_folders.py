"""Lists for images in class folders; the images stay where they are."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitcodes.datasets.dataset import LIST_NAMES, class_folders
from bitcodes.datasets.prepared import Prepared, check_settings, write_dataset
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.sources.description import DATASET_FILE
from bitcodes.sources.folders import walk_files

DEFAULT_QUERIES = 0.1

_TEST_FOLDERS = ("test", "val", "valid", "validation")
_Division = dict[str, list[str]]  # paths by the keys of LIST_NAMES


def prepare_folder(
    source: Path,
    out: Path,
    queries: float | None = None,
    train: float | None = None,
    seed: int | None = None,
) -> Prepared:
    """Write train.txt, test.txt (queries) and database.txt for `source`/<class>/ into `out`.

    Per class, `queries` images (a share below 1, default 0.1, or a number) become queries. The
    others are the database, and `train` of them (a share or a number, default all) are trained on.
    SHA-256 of seed, class and path decides which ones, so new images hardly change the division.
    If `source` has train/ and test/ (or val/) with class folders, these are the database and the
    queries, and `queries` must be None. Paths in the lists are relative for images inside `out`,
    otherwise absolute. Running it again with the same settings adds new images.
    Raises DataError for fewer than two classes, and for classes that are too small.
    """
    folder, source, out = out, source.absolute(), out.absolute()
    if not source.is_dir():
        raise DataError(f"no such folder: {source}")
    test = _test_folder(source)
    if test is not None and queries is not None:
        raise DataError(f"{source} has its queries in {test}/: do not ask for a number of queries")
    for amount in (queries, train):
        _check_amount(amount)
    request: dict[str, Any] = {"name": source.name, "protocol": "folder"}
    request |= {"source": source.as_posix()}
    request |= {"queries": queries, "train": train, "seed": seed}
    if out == source and not (out / DATASET_FILE).exists():
        before = None
    else:
        before = check_settings(out, request)
    settings = _settle(request, {} if before is None else before.description)
    if test is not None:
        settings["queries"] = test
        names, divisions, notes = _keep_division(source, test, settings)
    else:
        names, divisions, notes = _divide(source, settings)
    items: dict[str, list[tuple[str, int]]] = {key: [] for key in LIST_NAMES}
    for label, division in enumerate(divisions):
        for key, paths in division.items():
            items[key] += [(_listed(path, out), label) for path in paths]
    out.mkdir(parents=True, exist_ok=True)
    old = _contents(out)
    description = write_dataset(out, items, names, settings)
    prepared = Prepared(folder, description, "new", tuple(notes))
    if before is None:
        return prepared
    return replace(prepared, state="unchanged" if _contents(out) == old else "updated")


def _settle(request: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in the request; else those of the last time; else the defaults."""
    defaults = {"queries": DEFAULT_QUERIES, "train": None, "seed": 0}
    explicit = {key: value for key, value in request.items() if value is not None}
    return {**defaults, **{key: last[key] for key in defaults if key in last}, **explicit}


def _test_folder(source: Path) -> str | None:
    """The folder of queries in a source that is already divided, else None."""
    folders = class_folders(source)
    if "train" not in folders or not set(folders) <= {"train", *_TEST_FOLDERS}:
        return None
    return next((name for name in _TEST_FOLDERS if name in folders), None)


def _divide(
    source: Path, settings: Mapping[str, Any]
) -> tuple[list[str], list[_Division], list[str]]:
    """Class names, the images of each class divided among the lists, and notes for the user."""
    classes, notes = _read_classes(source)
    divisions = []
    for name, paths in classes.items():
        order = hash_order(settings["seed"], name, paths)
        number = _number(settings["queries"], len(paths))
        if number >= len(paths) > 1 or number > len(paths):
            raise DataError(
                f"{source / name}: {len(paths)} images cannot give {number} queries and a database"
            )
        if number == 0 or len(paths) == 1:
            number = 0
            notes.append(f"the class {name} has {len(paths)} images: none of them is a query")
        rest = order[number:]
        train = _trained(source / name, rest, settings["train"])
        division = {"train": train, "test": order[:number], "database": rest}
        divisions.append(
            {
                key: [(source / name / paths[i]).as_posix() for i in sorted(indices)]
                for key, indices in division.items()
            }
        )
    return list(classes), divisions, notes


def _keep_division(
    source: Path, test: str, settings: Mapping[str, Any]
) -> tuple[list[str], list[_Division], list[str]]:
    """Like _divide, for a source with its database in train/ and its queries in test/."""
    classes, notes = _read_classes(source / "train")
    queries, more_notes = _read_classes(source / test)
    if unknown := sorted(set(queries) - set(classes)):
        raise DataError(f"{source}: {test}/ has classes that train/ lacks: {', '.join(unknown)}")
    divisions = []
    for name, paths in classes.items():
        folder = source / "train" / name
        order = hash_order(settings["seed"], name, paths)
        train = _trained(folder, order, settings["train"])
        divisions.append(
            {
                "train": [(folder / paths[i]).as_posix() for i in sorted(train)],
                "test": [
                    (source / test / name / path).as_posix() for path in queries.get(name, [])
                ],
                "database": [(folder / path).as_posix() for path in paths],
            }
        )
    return list(classes), divisions, notes + more_notes


def _read_classes(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The images of every class folder, relative to it, and notes on other files."""
    classes: dict[str, list[str]] = {}
    notes = []
    others = 0
    for name in class_folders(folder):
        files = list(walk_files(str(folder / name)))
        images = [path for path, is_image in files if is_image]
        others += len(files) - len(images)
        if images:
            classes[name] = images
        else:
            notes.append(f"no images in {folder / name}: left out")
    if others:
        notes.append(f"{others:,} files in {folder} have no image's name: left out")
    if len(classes) < 2:
        raise DataError(
            f"{folder}: expected at least two folders of images, one a class, found "
            f"{', '.join(classes) or 'none'}"
        )
    return classes, notes


def _trained(folder: Path, rest: list[int], train: float | None) -> list[int]:
    number = len(rest) if train is None else _number(train, len(rest))
    if number > len(rest) or number == 0:
        raise DataError(f"{folder}: expected 1 to {len(rest)} images to train on, found {number}")
    return rest[:number]


def _check_amount(amount: float | None) -> None:
    if amount is not None and not (0 < amount < 1 or (amount >= 1 and amount % 1 == 0)):
        raise DataError(f"expected a share between 0 and 1 or a whole number, found {amount}")


def _number(amount: float, of: int) -> int:
    """A share below 1 or a number, as a number."""
    return max(1, int(amount * of + 0.5)) if amount < 1 else int(amount)


def _listed(path: str, out: Path) -> str:
    """A path as a list has it: relative inside `out`, else absolute; with forward slashes."""
    return Path(path).relative_to(out).as_posix() if Path(path).is_relative_to(out) else path


def _contents(folder: Path) -> list[bytes]:
    files = [folder / name for name in LIST_NAMES.values()]
    return [file.read_bytes() if file.exists() else b"" for file in files]
