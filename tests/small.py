"""A trainable backbone that takes no time, and a dataset for it: for tests of training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from bitcodes.images.transforms import Preprocessing
from bitcodes.losses import LossName
from bitcodes.losses.base import HashLoss, loss_class
from bitcodes.models.backbones import BACKBONES, Backbone
from bitcodes.settings import Settings
from bitcodes.sources.description import DATASET_FILE
from bitcodes.sources.lists import write_list

FEATURES = 16
CLASSES = ("red", "green", "blue", "grey")
_COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [130, 130, 130]])


def _build(image_size: int) -> nn.Sequential:
    """Everything that could make a resumed run differ: norms, chance, two learning rates."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, FEATURES, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
    )


def _preprocessing(size: int) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size=size, mean=half, std=half)


def _pretrained(image_size: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return _build(image_size).state_dict()


BACKBONES["small"] = Backbone(FEATURES, _build, _preprocessing, 64, pretrained=_pretrained)
BACKBONES["small, no dropout"] = Backbone(
    FEATURES, lambda size: _build(size)[:-1], _preprocessing, 64, pretrained=_pretrained
)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.norm = nn.BatchNorm2d(FEATURES)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dropout(self.norm(self.conv(x)).relu())


def _build_staged(image_size: int) -> nn.Sequential:
    """A stem, 0 and 1, and three stages: 2, 3 and 4."""
    stem = (nn.Conv2d(3, FEATURES, 8, stride=8, bias=False), nn.BatchNorm2d(FEATURES))
    blocks = [_Block() for _ in range(3)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


BACKBONES["staged"] = Backbone(
    FEATURES,
    _build_staged,
    _preprocessing,
    64,
    pretrained=lambda size: (torch.manual_seed(0), _build_staged(size).state_dict())[1],
)


def make_dataset(
    folder: Path, count: int = 48, queries: int = 8, multi_label: bool = False
) -> Path:
    """A prepared folder of noisy pictures in four colours, a class each (with several: blends)."""
    rng = np.random.default_rng(0)
    labels = np.eye(4, dtype=np.uint8)[np.arange(count + queries) % 4]
    if multi_label:
        labels[::5] |= np.eye(4, dtype=np.uint8)[0]
        labels[7] = 0
    folder.mkdir(parents=True)
    paths = []
    for number, row in enumerate(labels):
        colour = _COLOURS[row.astype(bool)].mean(axis=0) if row.any() else np.zeros(3)
        pixels = colour + rng.normal(0, 30, (24, 32, 3))
        paths.append(f"{number:03}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / paths[-1])
    train, test = slice(0, count), slice(count, None)
    write_list(folder / "train.txt", paths[train], labels[train])
    write_list(folder / "database.txt", paths[train], labels[train])
    write_list(folder / "test.txt", paths[test], labels[test])
    (folder / DATASET_FILE).write_text(json.dumps({"class_names": CLASSES}))
    return folder


def make_settings(data: Path, **values: Any) -> Settings:
    """Three epochs of five steps on the CPU, with all that is random switched on."""
    quick = {"backbone": "small", "bits": 12, "image_size": 32, "epochs": 3, "batch_size": 8}
    name = LossName(values.get("loss", "csq"))
    loss = HashLoss if name.label_free else loss_class(name)
    rates = {"learning_rate": 0.05, "head_learning_rate": loss.head_learning_rate}
    plain: dict[str, Any] = {"zoom": 0.0, "rand_augment": 0.0, "freeze_stages": 0, "dither": 0.0}
    plain["histograms"] = True  # where TensorBoard is looked at
    plain["instance_bits"] = 0
    machine = {"device": "cpu", "amp": "off"}  # no trial of speed decides anything
    given = {**machine, **rates, **quick, **plain, **values}
    return Settings.build({"data": data, "val": 0.15, **given})


def weights(run: Path) -> dict[str, Any]:
    """All that training ends with, in a form that compares: bytes and numbers."""
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    of_optimizer = saved["optimizer"]["state"]  # momentum with SGD, more with AdamW
    return {
        "model file": (run / "model.safetensors").read_bytes(),
        "step": saved["step"],
        "losses": [line["loss"] for line in saved["history"]],
        "sizes": [line["image_size"] for line in saved["history"]],
        "scores": [line.get("val_map") for line in saved["history"]],
        "optimizer": {
            (key, name): value.numpy().tobytes()
            for key, values in of_optimizer.items()
            for name, value in values.items()
        },
        **{name: tensor.numpy().tobytes() for name, tensor in saved["model"].items()},
        **{f"loss.{name}": value.numpy().tobytes() for name, value in saved["loss"].items()},
    }
