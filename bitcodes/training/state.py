"""What a training keeps in its run folder: a checkpoint to resume from, and settings."""

import hashlib
import json
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from bitcodes import runs
from bitcodes.errors import ConfigError, DataError, ModelError, first_line
from bitcodes.files import atomic_write
from bitcodes.models.torch_files import load_torch
from bitcodes.settings import Settings
from bitcodes.sources.lists import ImageList
from bitcodes.training.schema import CheckpointValues
from bitcodes.unpickle import RefusedPickle
from bitcodes.wording import shortened

_FILES = (
    *(runs.CHECKPOINT_FILE, runs.MODEL_FILE, runs.EXPORT_FILE, runs.LAST_MODEL_FILE),
    *(runs.METRICS_FILE, runs.CONFIG_FILE),
)
_CODES = Path(runs.FITTED_CODES).stem
_LONGEST = 300  # characters of a reason


@dataclass
class Checkpoint:
    """What checkpoint.pt holds; its fields are the keys of the file."""

    model: dict[str, torch.Tensor]
    loss: dict[str, torch.Tensor]
    average: dict[str, Any] | None  # of `AveragedWeights`
    optimizer: dict[str, Any]
    step: int  # steps done, over all epochs
    history: list[dict[str, Any]]  # the lines of metrics.jsonl
    loss_sum: float  # over the steps of the current epoch
    seconds: float  # spent in training steps
    data: str  # `data_digest` of the training list
    events: dict[str, int]  # bytes of each TensorBoard file
    pace: dict[str, Any] = field(default_factory=dict)  # of a `Pacer`

    def write(self, run: Path) -> None:
        """Write the file, whole or not at all."""
        with atomic_write(run / runs.CHECKPOINT_FILE) as file:
            torch.save(vars(self), file)


def read_checkpoint(run: Path, lists: Path, train: ImageList) -> Checkpoint | None:
    """The checkpoint of a run on the images of train.txt in `lists`; None if there is none yet.

    Raises ModelError if the file is damaged, DataError if it is of a training on other images.
    """
    path = run / runs.CHECKPOINT_FILE
    if not path.exists():
        return None
    if not path.is_file():
        raise ModelError(f"{path}: expected a file, found a folder or a device")
    try:
        values = load_torch(path)
        with zipfile.ZipFile(path) as file:  # torch does not compare the checksums in it
            if (name := file.testzip()) is not None:
                raise ValueError(f"{name} in it is not as it was written")
    except RefusedPickle as refused:
        raise unusable(path, f"it holds {refused}") from None
    except Exception as error:  # torch, zipfile and pickle have many kinds
        reason = shortened(first_line(error), _LONGEST)
        raise ModelError(f"{path}: cannot be read ({reason}); start over with --fresh") from None
    try:
        CheckpointValues.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"])) or "checkpoint"
        raise unusable(path, f"{place}: {wrong['msg']}") from None
    names = {one.name for one in fields(Checkpoint)}
    checkpoint = Checkpoint(**{name: value for name, value in values.items() if name in names})
    if checkpoint.data != data_digest(train):
        raise DataError(
            f"{lists / 'train.txt'} has changed since {run} was begun; "
            "restore it, choose another folder with --run, or start over with --fresh"
        )
    return checkpoint


def unusable(path: Path, reason: object) -> ModelError:
    """The error for a checkpoint that training cannot go on from."""
    return ModelError(
        f"{path}: is not a checkpoint that finetune can go on from "
        f"({shortened(str(reason), _LONGEST)}); "
        "start over with --fresh"
    )


def data_digest(images: ImageList) -> str:
    """SHA-256 of a list's paths and labels, in order: equal if a run resumes on its own data."""
    digest = hashlib.sha256("\0".join(map(str, images.paths)).encode("utf-8", "surrogateescape"))
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()


def write_metrics(run: Path, history: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl, whole or not at all: a line per epoch."""
    with atomic_write(run / runs.METRICS_FILE, "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in history)


def clear(run: Path) -> None:
    """Remove what training writes into a run, and nothing else."""
    for path in [
        *(run / name for name in _FILES),
        *run.glob("events.out.tfevents.*"),
        *run.glob(f"{_CODES}.*"),
    ]:
        path.unlink(missing_ok=True)


def sweep(run: Path) -> None:
    """Remove the half-written files that a killed process left."""
    for name in _FILES:
        for path in run.glob(f".{name}.*.tmp"):
            path.unlink()


def same_settings(settings: Settings, run: Path) -> Settings:
    """The settings of the run in that folder; raises ConfigError if `settings` are others.

    More epochs are allowed: the run is trained on.
    """
    before = runs.load_settings(run)
    choices, values = before.to_dict(), settings.to_dict()
    for name in ("epochs", "image_size"):
        if choices[name] == "auto":  # which a run settles as it begins
            raise ConfigError(
                f"{run / runs.CONFIG_FILE}: {name}: expected a number, found 'auto', so this is "
                "not the file that finetune wrote; start over with --fresh"
            )
    # What was chosen automatically then is what automatic means now.
    values |= {key: choices[key] for key, value in values.items() if value == "auto"}
    if "max_steps" not in settings.model_fields_set and values["epochs"] == choices["epochs"]:
        values["max_steps"] = choices["max_steps"]  # as --minutes chose it
    settings = Settings.build(values)
    differences = settings.differences(before)
    epochs, epochs_before = differences.get("epochs", (0, 0))
    if epochs > epochs_before:
        differences.pop("epochs")  # training on
    if differences:
        lines = [
            f"  {key}: {old!r} in the run, {new!r} now" for key, (new, old) in differences.items()
        ]
        raise ConfigError(
            f"{run} holds a run made with other settings:",
            *lines,
            "repeat its settings, choose another folder with --run, or start over with --fresh",
        )
    return settings
