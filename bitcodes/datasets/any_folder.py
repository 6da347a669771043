"""What a folder gives to training: prepared lists, classes, or images without classes."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from bitcodes.datasets.class_folders import DEFAULT_QUERIES, divided_folder
from bitcodes.datasets.dataset import LIST_NAMES, check_lists, class_folders, holds_images
from bitcodes.errors import DataError
from bitcodes.losses import LossName
from bitcodes.settings import Settings
from bitcodes.wording import quoted

LABEL_FREE_BITS = 128
_LONGEST_CODE = 1024
_DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")  # 2010, 2010-05, 20100523
_MOST_NAMES = 8  # of classes, in a message


class Contents(StrEnum):
    """What a data folder holds."""

    LISTS = "lists"
    CLASSES = "classes"
    DATES = "dates"
    IMAGES = "images"


def contents(folder: Path) -> Contents:
    """What lies in a data folder; raises DataError if there is none, or if lists are missing.

    Class folders are two or more folders, beside no images. Folders that are named by years or
    dates are albums rather than classes.
    """
    if not folder.is_dir() or any((folder / name).is_file() for name in LIST_NAMES.values()):
        check_lists(folder)
        return Contents.LISTS
    try:
        if divided_folder(folder) is not None:
            return Contents.CLASSES
        names = class_folders(folder)
        if len(names) < 2 or holds_images(folder):
            return Contents.IMAGES
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from None
    return Contents.DATES if all(map(_DATE.fullmatch, names)) else Contents.CLASSES


def fit_to_data(settings: Settings) -> tuple[Settings, str | None]:
    """The settings for what lies in their data folder, and a note on what was chosen.

    Images without classes are fitted without labels, unless the settings name a loss. A label-free
    loss has 128 bits by default, and no instance bits; long codes have fewer of them than usual.
    Raises DataError if the loss needs labels and there are none.
    """
    chosen = settings.model_fields_set
    note = None
    if not settings.label_free:
        kind = contents(settings.data)
        if kind == Contents.IMAGES or (kind == Contents.DATES and "loss" not in chosen):
            _check_one_level(settings.data)
            if "loss" in chosen:
                raise DataError(_without_classes(settings))
            settings = settings.model_copy(update={"loss": LossName.ITQ})
            note = _why_label_free(settings.data, kind)
    if settings.label_free and "bits" not in chosen:
        settings = settings.model_copy(update={"bits": LABEL_FREE_BITS})
    if "instance_bits" not in chosen:
        room = 0 if settings.label_free else _LONGEST_CODE - settings.bits
        fitting = min(settings.instance_bits, room)
        settings = settings.model_copy(update={"instance_bits": fitting})
    return settings, note


def describe_classes(folder: Path, class_names: Sequence[str], lists: Path) -> tuple[str, str]:
    """What was made of class folders, in two lines, and how to fit without labels instead."""
    more = len(class_names) - _MOST_NAMES
    names = ", ".join(class_names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    test = divided_folder(folder)
    queries = f"{DEFAULT_QUERIES:.0%} of each are" if test is None else f"{test}/ is"
    return (
        f"classes: {names} (the folders in {folder}); to fit without them: --loss itq",
        f"{queries} kept as queries for `bitcodes evaluate`; the others are trained on and "
        f"searched; the lists are in {lists}",
    )


def _check_one_level(folder: Path) -> None:
    """Raise DataError if the only thing in a folder is a folder with classes."""
    inner = [folder / name for name in class_folders(folder)]
    if len(inner) == 1 and not holds_images(folder) and contents(inner[0]) != Contents.IMAGES:
        raise DataError(
            f"{folder} holds one folder, and that holds several: did you mean "
            f"--data {quoted(inner[0])}? To fit to all images without labels: --loss itq"
        )


def _without_classes(settings: Settings) -> str:
    return (
        f"{settings.data} has no class folders, and loss '{settings.loss}' needs labels: expected "
        "at least two folders of images, one per class; sort the images into such folders, or fit "
        "without labels: --loss itq"
    )


def _why_label_free(folder: Path, kind: Contents) -> str:
    """The note on a choice of `fit_to_data`."""
    if kind == Contents.DATES:
        names = class_folders(folder)
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return (
            f"the folders in {folder} are dates ({some}), so the images are fitted without labels "
            "(--loss itq); if they are classes: --loss csq"
        )
    return f"{folder} has no class folders, so its images are fitted without labels (--loss itq)"
