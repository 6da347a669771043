"""A hash model that takes no time, and pictures for it: for tests of what stands around a model."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbones import BACKBONES, Backbone
from bitcodes.models.checkpoint import save_model
from bitcodes.models.hashing import HashModel
from bitcodes.runs import MODEL_FILE

SIDE = 16
_HALF = (0.5, 0.5, 0.5)


def _build(image_size: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())  # (B, 48)


def _preprocessing(size: int) -> Preprocessing:
    return Preprocessing(image_size=size, mean=_HALF, std=_HALF)


BACKBONES["tiny"] = Backbone(48, _build, _preprocessing, SIDE, pretrained=lambda size: {})


def make_model(bits: int = 24, seed: int = 0, class_names: tuple[str, ...] = ()) -> HashModel:
    torch.manual_seed(seed)
    return HashModel("tiny", bits, _preprocessing(SIDE), class_names).eval()


def make_run(folder: Path, bits: int = 24, seed: int = 0) -> Path:
    """A run folder, so far as encode and search look into it."""
    folder.mkdir(parents=True)
    save_model(make_model(bits, seed), folder / MODEL_FILE)
    return folder


def make_pictures(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Write pictures 00.png, 01.png, ... of coarse random colours; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [f"{number:02}.png" for number in range(count)]
    for name in names:
        colours = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        colours.resize((24, 20), Image.Resampling.BICUBIC).save(folder / name)
    return names
