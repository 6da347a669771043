"""Pretrained backbones by name."""

import difflib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.extensions import installed, is_place
from bitcodes.models import libraries
from bitcodes.models.backbone import Backbone, without
from bitcodes.models.efficientnet import EFFICIENTNETS
from bitcodes.models.own import own_backbone
from bitcodes.models.weights import check_fits, copy_weights
from bitcodes.predecessor.alexnet import BVLC_ALEXNET

BACKBONES: dict[str, Backbone] = {**EFFICIENTNETS, "bvlc_alexnet": BVLC_ALEXNET}
"""Those by names of their own; `find_backbone` also knows those of torchvision and timm."""


def find_backbone(name: str) -> Backbone:
    """The backbone of that name. Raises ModelError, which lists the known names.

    `torchvision/NAME` is a classification model of torchvision, `timm/NAME` any model of timm;
    `alexnet` is torchvision's, `bvlc_alexnet` Caffe's. `package.module:name` is one of the user's
    (see `own_backbone`, with its errors).
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if is_place(name):
        with torch.random.fork_rng(devices=[]):
            return own_backbone(name)
    library, _, model = ("torchvision/alexnet" if name == "alexnet" else name).partition("/")
    if library == "torchvision" and model in libraries.torchvision_names():
        return libraries.torchvision_backbone(model)
    if library == "timm" and libraries.is_timm(model):
        return libraries.timm_backbone(model)
    known = [
        *sorted([*BACKBONES, "alexnet"]),
        "torchvision/NAME",
        "timm/NAME",
        "package.module:name",
    ]
    raise ModelError(f"unknown backbone '{name}'{_similar(name)}; known are: {', '.join(known)}")


def names_beginning(start: str) -> list[str]:
    """The known names that begin so; those of the libraries only if `start` has a letter."""
    names = [*BACKBONES, "alexnet", *installed("backbone"), *(_library_names() if start else ())]
    return sorted({name for name in names if name.startswith(start)})


def _library_names() -> list[str]:
    return [
        *(f"torchvision/{model}" for model in libraries.torchvision_names()),
        *(f"timm/{model}" for model in libraries.timm_names()),
    ]


def _similar(name: str) -> str:
    names = _library_names()
    # A user who gives a model's bare name means one of the libraries'.
    close = [known for known in names if known.partition("/")[2] == name]
    close = close or difflib.get_close_matches(name, names, 3, 0.75)
    return f" (is it {' or '.join(close)}?)" if close else ""


def start_from(
    module: nn.Module,
    name: str,
    image_size: int,
    file: Path | None = None,
    untrained: Iterable[str] = (),
) -> None:
    """Copy pretrained weights, or those in a file, into a network that `Backbone.build` made.

    The layers called `untrained` keep their weights. Raises ModelError if the weights are not
    available or do not fit, and names the tensors that are missing, unexpected or of another shape.
    """
    backbone = find_backbone(name)
    source = f"the pretrained weights of {name}" if file is None else str(file)
    with torch.random.fork_rng(devices=[]):  # some are read by way of a second network
        size = image_size
        weights = backbone.pretrained(size) if file is None else backbone.read(file, size)
    # Old files lack this count of steps, which nothing depends on.
    counts = {k: v for k, v in module.state_dict().items() if k.endswith("num_batches_tracked")}
    weights = counts | weights
    check_fits(module, weights, f"{source} do not fit {name} at {image_size} pixels")
    copy_weights(module, without(weights, untrained))
