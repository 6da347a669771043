"""The state of a training on disk, checkpoint.pt: everything that the rest of it depends on."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitcodes import runs
from bitcodes.errors import DataError, ModelError
from bitcodes.files import atomic_write
from bitcodes.settings import Settings
from bitcodes.sources.lists import ImageList


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

    def write(self, run: Path) -> None:
        """Write the file, whole or not at all."""
        with atomic_write(run / runs.CHECKPOINT_FILE) as file:
            torch.save(vars(self), file)


def read_checkpoint(run: Path, settings: Settings, train: ImageList) -> Checkpoint | None:
    """The checkpoint of a run; None if there is none yet.

    Raises ModelError if the file is damaged, DataError if it is of a training on other images.
    """
    path = run / runs.CHECKPOINT_FILE
    if not path.exists():
        return None
    checkpoint = _read(path)
    if checkpoint.data != data_digest(train):
        raise DataError(
            f"{settings.data / 'train.txt'} has changed since {run} was begun; "
            "restore it, choose another folder with --run, or start over with --fresh"
        )
    return checkpoint


def _read(path: Path) -> Checkpoint:
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle have many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: cannot be read ({reason}); start over with --fresh") from None
    names = [field.name for field in fields(Checkpoint)]
    if not isinstance(values, dict) or not values.keys() >= set(names):
        raise ModelError(
            f"{path}: is not a checkpoint that finetune wrote; start over with --fresh"
        )
    return Checkpoint(**{name: values[name] for name in names})


def data_digest(images: ImageList) -> str:
    """SHA-256 of a list's paths and labels, in order: equal if a run resumes on its own data."""
    digest = hashlib.sha256("\0".join(map(str, images.paths)).encode("utf-8", "surrogateescape"))
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()
