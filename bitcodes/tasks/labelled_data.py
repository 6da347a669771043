"""The images of an evaluation: a dataset's lists of queries and database, or class folders."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bitcodes.builtin import built_in_bits, built_in_name
from bitcodes.errors import BitcodesError, ConfigError
from bitcodes.runs import LISTS, data_folder, load_settings, resolve_run
from bitcodes.wording import command

LIST_FILES = ("test.txt", "database.txt", "dataset.json")
"""The lists that an evaluation reads, and what describes them."""


@dataclass(frozen=True)
class LabelledData:
    """The folder `named`, and the one that has its lists: itself, or one of the run."""

    named: Path
    folder: Path


def run_and_data(
    run: Path | str | None, data: Path | str | None
) -> tuple[Path | str, LabelledData]:
    """The run's folder, or the name of the built-in model; and the data to evaluate it on.

    That is by default what the run was trained on, and for the built-in model, what the newest run
    was trained on. Raises ConfigError.
    """
    bits = built_in_bits(run)
    if bits is not None and data is not None:
        return built_in_name(bits), LabelledData(Path(data), Path(data))
    if bits is not None:
        try:
            return built_in_name(bits), _data_of(resolve_run(None))
        except ConfigError:
            raise ConfigError(
                "the built-in model was trained on no images of yours: name, as its data (--data), "
                "a folder of images in class folders or a prepared dataset"
            ) from None
    folder = resolve_run(None if run is None else Path(run))
    own = _data_of(folder)
    if data is None or Path(data).resolve() == own.named.resolve():
        return folder, own
    return folder, LabelledData(Path(data), Path(data))


def _data_of(run: Path) -> LabelledData:
    settings = load_settings(run)
    return LabelledData(settings.data, data_folder(run, settings))


def lists_of(data: LabelledData, place: Path) -> tuple[Path, list[str]]:
    """The folder of the lists, and what to know of them; those of class folders go into `place`.

    They are made anew each time, so that new images are in them. Raises ConfigError for images
    without classes, DataError for other folders without lists.
    """
    if all((data.folder / name).is_file() for name in LIST_FILES[:2]):
        return data.folder, []
    from bitcodes.datasets.any_folder import Contents, contents
    from bitcodes.datasets.class_folders import DEFAULT_QUERIES, divided_folder, prepare_folder

    kind = contents(data.folder)
    if kind == Contents.LISTS:
        return data.folder, []
    if kind != Contents.CLASSES:
        reason = "has no class folders" if kind == Contents.IMAGES else "has folders of dates"
        raise ConfigError(
            f"{data.folder} {reason}, and figures of quality need labels. If you have the images "
            "in a folder per class, name the folder that holds these:",
            f"  {command('evaluate', '--data', 'CLASS-FOLDERS')}",
        )
    make_place(place)
    lists = place / LISTS
    shutil.rmtree(lists, ignore_errors=True)
    prepared = prepare_folder(data.folder, lists)
    test = divided_folder(data.folder)
    queries = f"{DEFAULT_QUERIES:.0%} of the images of each class" if test is None else f"{test}/"
    database = "the others" if test is None else "train/"
    notes = [f"queries are {queries} in {data.folder}; {database} are the database"]
    return lists, [f"{note[0].upper()}{note[1:]}." for note in (*notes, *prepared.notes)]


def make_place(folder: Path) -> None:
    """Make the folder for the codes of an evaluation; BitcodesError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BitcodesError(
            f"{folder}, the folder for the codes of the evaluation, cannot be created "
            f"({error.strerror}); encode test.txt and database.txt elsewhere and evaluate with "
            "--queries and --database"
        ) from error
