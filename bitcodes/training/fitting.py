"""Runs of losses without labels: the hash layer is fitted at once to frozen features."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes import runs
from bitcodes.callbacks import Note, Progress
from bitcodes.datasets.changing import finish_change
from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.documents import read_json
from bitcodes.errors import DataError, ModelError
from bitcodes.losses import LossName
from bitcodes.losses.label_free import Planes, fit_function
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import choose_device, save_model
from bitcodes.models.engines import export_trained, load_encoder
from bitcodes.models.hashing import HashModel
from bitcodes.settings import Settings
from bitcodes.sources.item import Stat
from bitcodes.sources.lists import ImageList, read_list
from bitcodes.sources.source import open_images
from bitcodes.training.fitted_codes import DECODE, write_codes
from bitcodes.training.frozen import FrozenFeatures
from bitcodes.training.seeds import stable_seed
from bitcodes.training.state import clear, data_digest, write_metrics
from bitcodes.wording import counted


def images_to_fit(data: Path) -> ImageList:
    """The training images of a prepared folder, or all images in any other folder or list."""
    finish_change(data)
    path = data / LIST_NAMES["train"]
    return read_list(path) if path.is_file() else open_images([str(data)])


@dataclass(frozen=True)
class Fit:
    """A model with its hash layer fitted to images, and its line of metrics.jsonl."""

    model: HashModel
    line: dict[str, Any]
    planes: Planes
    images: ImageList
    features: NDArray[np.float32]
    """(N, D), NaN for images that cannot be read."""
    stats: list[Stat]


def fit(settings: Settings, images: ImageList, workers: int, loading: Progress, log: Note) -> Fit:
    """Fit the hash layer of a model to the images.

    Images that cannot be read are left out. Raises DataError if fewer than two can be read.
    """
    started = time.monotonic()
    assert settings.image_size != "auto", "`resolve_to_fit` chooses it"
    size = int(np.max(settings.image_size))  # several are for training, which ends with the last
    torch.manual_seed(stable_seed(settings.seed, "weights"))
    preprocessing = find_backbone(settings.backbone).preprocessing(size)
    model = HashModel(
        settings.backbone,
        settings.bits,
        preprocessing.model_copy(update={"crop": settings.crop}),
        images.class_names,
        settings.weights,
    ).to(choose_device(settings.device))
    store = FrozenFeatures(runs.FEATURES, model, images, DECODE)
    every = store.load(workers, loading)
    missing = store.unreadable(every)
    if len(missing):
        problem = store.problem(int(missing[0]))
        log(f"{counted(len(missing), 'image')} cannot be read: left out ({problem})")
    features = every[~every[:, 0].isnan()].numpy()  # (N, D)
    if len(features) < 2:
        raise DataError(
            f"{settings.data}: expected at least 2 images that can be read, found {len(features)}"
        )
    log(
        f"{counted(len(features), 'image')} to fit to, {size} pixels, {settings.bits} bits, "
        f"on {model.device}; labels are not used"
    )
    assert isinstance(settings.loss, LossName)
    planes = fit_function(settings.loss)(features, settings.bits, settings.seed)
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.from_numpy(planes.weight))
        model.hash_layer.bias.copy_(torch.from_numpy(planes.bias))
    seconds = time.monotonic() - started
    line = {
        "epoch": 1,
        "image_size": size,
        "images": len(features),
        "images_per_second": round(len(features) / seconds, 1),
        "train_seconds": round(seconds, 1),
        "data": data_digest(images),
    }
    return Fit(model, line, planes, images, every.numpy(), store.stats)


def write_run(run: Path, settings: Settings, fit: Fit, log: Note) -> None:
    """Replace the files of a run: the model, its codes of the images and, last, metrics.jsonl."""
    clear(run)
    settings.save(run / runs.CONFIG_FILE)
    path = run / runs.MODEL_FILE
    save_model(fit.model, path)
    export_trained(path, log)
    codes = run / runs.FITTED_CODES
    write_codes(codes, load_encoder(path), fit.planes, fit.images, fit.features, fit.stats)
    write_metrics(run, [fit.line])


def fitted(run: Path, images: ImageList) -> dict[str, Any] | None:
    """The line of metrics.jsonl of an earlier run; None if the run is not complete.

    Raises DataError if it was fitted to other images.
    """
    path = run / runs.METRICS_FILE
    if not path.is_file() or not (run / runs.MODEL_FILE).is_file():
        return None
    line = read_json(path, ModelError)
    if not isinstance(line, dict) or not line.keys() >= {"data", "images", "train_seconds"}:
        raise ModelError(f"{path}: is not what finetune wrote; fit the run again with --fresh")
    if line["data"] != data_digest(images):
        raise DataError(
            f"the images have changed since {run} was fitted to them; "
            "fit it again with --fresh, or choose another folder with --run"
        )
    return line
