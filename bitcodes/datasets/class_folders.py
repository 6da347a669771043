"""Lists for images in class folders; the images stay where they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitcodes.datasets.dataset import class_folders
from bitcodes.datasets.prepared import (
    DATA,
    Division,
    Prepared,
    check_settings,
    listed_path,
    write_around,
    write_dataset,
)
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.files import check_folder_of
from bitcodes.sources.description import DATASET_FILE
from bitcodes.sources.folders import walk_files
from bitcodes.wording import as_utf8, counted

DEFAULT_QUERIES = 0.1

_TEST_FOLDERS = ("test", "val", "valid", "validation")


def prepare_folder(
    source: Path | str,
    out: Path | str,
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
    folder, source, out = Path(out), Path(source).absolute(), Path(out).absolute()
    if not source.is_dir():
        raise DataError(f"no such folder: {source}")
    test = divided_folder(source)
    if test is not None and queries is not None:
        raise DataError(f"{source} has its queries in {test}/: leave out --queries")
    for amount in (queries, train):
        _check_amount(amount)
    request = {
        "name": as_utf8(source.name),
        "protocol": "folder",
        "source": as_utf8(source.as_posix()),
    }
    options = {"queries": queries, "train": train, "seed": seed}
    before = None
    if out != source or (out / DATASET_FILE).exists():
        before = check_settings(out, {**request, **options})
    last = {} if before is None else before.description
    settings = {**_settle(options, last), **request}
    if test is not None:
        settings["queries"] = test
    check_folder_of(folder, made=DATA)
    divisions, notes = _divide(source, test, out, settings)
    return write_around(
        folder, before, lambda: write_dataset(out, divisions, settings), tuple(notes)
    )


def _settle(options: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """The options; where they are None, those of the last time; else the defaults."""
    settings: dict[str, Any] = {"queries": DEFAULT_QUERIES, "train": None, "seed": 0}
    for source in (last, options):
        settings |= {key: source[key] for key in settings if source.get(key) is not None}
    return settings


def divided_folder(source: Path) -> str | None:
    """The folder of queries in a source that is already divided into train/ and it, else None."""
    folders = class_folders(source)
    if "train" not in folders or not set(folders) <= {"train", *_TEST_FOLDERS}:
        return None
    return next((name for name in _TEST_FOLDERS if name in folders), None)


def _divide(
    source: Path, test: str | None, out: Path, settings: Mapping[str, Any]
) -> tuple[dict[str, Division], list[str]]:
    """The images of each class divided among lists in `out`, and notes for the user.

    With `test`, the queries are all images in that folder, and the others those in train/.
    """
    base = source if test is None else source / "train"
    classes, notes = _read_classes(base)
    queries: dict[str, list[str]] = {}
    if test is not None:
        queries, more_notes = _read_classes(source / test)
        notes += more_notes
        if unknown := sorted(set(queries) - set(classes)):
            names = ", ".join(unknown)
            raise DataError(f"{source}: {test}/ has classes that train/ lacks: {names}")
    divisions: dict[str, Division] = {}
    for name, paths in classes.items():
        folder = base / name
        order = hash_order(settings["seed"], name, paths)
        number = 0 if test else _query_count(folder, settings["queries"], len(paths), notes)
        rest = order[number:]
        rows = {"train": _trained(folder, rest, settings["train"]), "test": order[:number]}
        divisions[name] = division = {
            key: [listed_path(folder / paths[i], out) for i in sorted(indices)]
            for key, indices in {**rows, "database": rest}.items()
        }
        if test is not None:
            images = queries.get(name, [])
            division["test"] = [listed_path(source / test / name / path, out) for path in images]
    if not any(division["test"] for division in divisions.values()):
        raise DataError(
            f"{source}: each class has one image, and needs at least 2: one as a query, and one "
            "to be found. Add images, or put the queries into test/CLASS/ and the others into "
            "train/CLASS/"
        )
    return divisions, notes


def _query_count(folder: Path, amount: float, images: int, notes: list[str]) -> int:
    """How many images of a class become queries; a class that is too small adds a note."""
    number = _number(amount, images)
    if number >= images > 1 or number > images:
        raise DataError(
            f"{folder}: {counted(images, 'image')} cannot give {number} queries and a database"
        )
    if number == 0 or images == 1:
        notes.append(
            f"the class {folder.name} has {counted(images, 'image')}: none of them is a query"
        )
        return 0
    return number


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
        notes.append(f"{counted(others, 'file')} in {folder} without an image's name: left out")
    if len(classes) < 2:
        raise DataError(
            f"{folder}: expected at least two folders of images, one per class, found "
            f"{', '.join(classes) or 'none'}"
        )
    return classes, notes


def _trained(folder: Path, rest: list[int], train: float | None) -> list[int]:
    number = len(rest) if train is None else _number(train, len(rest))
    if number > len(rest) or number == 0:
        raise DataError(
            f"{folder}: expected 1 to {counted(len(rest), 'image')} to train on, found {number}"
        )
    return rest[:number]


def _check_amount(amount: float | None) -> None:
    if amount is not None and not (0 < amount < 1 or (amount >= 1 and amount % 1 == 0)):
        raise DataError(
            "--queries, --train: expected a share between 0 and 1 or a whole number, found "
            f"{amount}"
        )


def _number(amount: float, of: int) -> int:
    """A share below 1 or a number, as a number."""
    return max(1, int(amount * of + 0.5)) if amount < 1 else int(amount)
