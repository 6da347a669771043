"""A run folder that earlier sessions wrote in: what they left, and whether to go on from it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitcodes import runs
from bitcodes.errors import ConfigError, DataError, ModelError
from bitcodes.settings import Settings
from bitcodes.sources.lists import ImageList

_CHECKPOINT_KEYS = frozenset(
    {"model", "loss", "average", "optimizer", "step", "history", "loss_sum", "seconds"}
    | {"data", "events"}
)
_FILES = (
    *(runs.CHECKPOINT_FILE, runs.MODEL_FILE, runs.LAST_MODEL_FILE),
    *(runs.METRICS_FILE, runs.CONFIG_FILE),
)


def clear(run: Path) -> None:
    """Remove what training writes into a run, and nothing else."""
    for path in [*(run / name for name in _FILES), *run.glob("events.out.tfevents.*")]:
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
    chosen = before.to_dict()
    # What was chosen automatically then is what automatic means now.
    settings = Settings.build(
        {
            key: chosen[key] if value == "auto" else value
            for key, value in settings.to_dict().items()
        }
    )
    differences = settings.differences(before)
    epochs, epochs_before = differences.get("epochs", (0, 0))
    if epochs > epochs_before:
        differences.pop("epochs")  # training on
    if differences:
        lines = [
            f"  {key}: {old!r} in the run, {new!r} now" for key, (new, old) in differences.items()
        ]
        raise ConfigError(
            f"{run} holds a run made with other settings:\n" + "\n".join(lines) + "\n"
            "repeat its settings, choose another folder with --run, or start over with --fresh"
        )
    return settings


def read_state(run: Path, settings: Settings, train: ImageList) -> dict[str, Any] | None:
    """What `Trainer.save` left in the run, if anything; DataError if it trained on other images."""
    path = run / runs.CHECKPOINT_FILE
    if not path.exists():
        return None
    saved = _read_checkpoint(path)
    if saved["data"] != data_digest(train):
        raise DataError(
            f"{settings.data / 'train.txt'} has changed since {run} was begun; "
            "restore it, choose another folder with --run, or start over with --fresh"
        )
    return saved


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle have many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: cannot be read ({reason}); start over with --fresh") from None
    if not isinstance(saved, dict) or not saved.keys() >= _CHECKPOINT_KEYS:
        raise ModelError(
            f"{path}: is not a checkpoint that finetune wrote; start over with --fresh"
        )
    return saved


def data_digest(images: ImageList) -> str:
    """SHA-256 of a list's paths and labels, in order: whether a run goes on with its own data."""
    digest = hashlib.sha256("\0".join(map(str, images.paths)).encode("utf-8", "surrogateescape"))
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()
