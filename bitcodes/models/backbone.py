"""A backbone: how to build one, what images it expects, and where its weights come from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bitcodes.errors import ModelError
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.grouping import stages_by_structure
from bitcodes.models.weights import Weights, read_weights

SMALL = 160
"""Pixels: networks see pictures with a shorter side below it as a whole."""


def _no_pretrained_weights(image_size: int) -> Weights:
    raise ModelError("no pretrained weights are known")


@dataclass(frozen=True)
class Backbone:
    """A network that maps images (B, 3, S, S) to features (B, D).

    Every function takes the image size S where the network or its weights depend on it.
    """

    feature_dim: int
    """D."""
    build: Callable[[int], nn.Module]
    """S -> the network with random weights. Raises ModelError if it cannot take that size."""
    preprocessing: Callable[[int], Preprocessing]
    default_image_size: int
    any_size: bool = True
    """False: the image size is the default one unless the user sets another."""
    pretrained: Callable[[int], Weights] = _no_pretrained_weights
    """S -> the published weights by the network's names, without a classifier's."""
    read: Callable[[Path, int], Weights] = lambda path, size: read_weights(path)
    """The same from a file."""
    stages: Callable[[nn.Module], list[list[str]]] = stages_by_structure
    """The names of the parameters of the stem, the first stage and so on, in the order of the
    forward pass; empty if the network has no stages."""
    hidden: int = 0
    """Width of the layer that should stand between the features and the hash layer; 0: none."""
    deepest: tuple[int, int] | None = None
    """Of features of several stages: where the means of the last stage begin and end. They tell
    kinds of images best."""


def wrong_size(name: str, image_size: int, sizes: str) -> ModelError:
    """The error for a backbone that takes images of other sizes."""
    return ModelError(
        f"{name} takes images of {sizes} pixels, not {image_size}; leave out --image-size, or "
        "choose another backbone"
    )


def preprocessing_with(crop: float, **options: Any) -> Callable[[int], Preprocessing]:
    """From an image size to the Preprocessing with these options.

    `crop` is the share of an image's shorter side that ImageNet's evaluation shows. Photographs
    lose their margins as they do there. Small inputs show the whole square.
    """

    def preprocessing(image_size: int) -> Preprocessing:
        is_whole = image_size < SMALL and options.get("fit", "crop") == "crop"
        share = 1.0 if is_whole else min(crop, 1.0)
        return Preprocessing(image_size=image_size, crop=share, **options)

    return preprocessing


def without(weights: Weights, modules: Iterable[str]) -> Weights:
    """The weights except those of the named modules, such as a classifier."""
    prefixes = tuple(f"{module}." for module in modules)
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}
