"""Backbones of users: a function of the image size that returns a network, or a `Backbone`."""

from functools import cache

import torch
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.extensions import load, problem
from bitcodes.models.backbone import Backbone, preprocessing_with

_SIZE = 224
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


@cache
def own_backbone(name: str) -> Backbone:
    """The backbone at package.module:name.

    Such a function takes an image size S and returns a network from images (B, 3, S, S) to features
    (B, D), normalised as for ImageNet. Training starts with the weights that the network has then.
    Whoever needs another normalisation, or weights from files, names a `Backbone` instead. Raises
    ConfigError if it may not or cannot be imported, ModelError if it makes no such network.
    """
    make = load(name, "backbone")
    if isinstance(make, Backbone):
        return make

    def build(image_size: int) -> nn.Module:
        try:
            network = make(image_size)
        except Exception as error:  # it is code of anybody
            raise ModelError(f"the backbone {name}: {problem(error)}") from error
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            raise ModelError(
                f"the backbone {name}: expected a function of the image size that returns a "
                f"torch.nn.Module, found {kind}"
            )
        return network

    return Backbone(
        _feature_dim(name, build(_SIZE)),
        build,
        preprocessing_with(0.875, mean=_MEAN, std=_STD),
        _SIZE,
        pretrained=lambda size: build(size).state_dict(),
        stages=lambda network: [],
    )


@torch.inference_mode()
def _feature_dim(name: str, network: nn.Module) -> int:
    """D, from the features of two black images."""
    try:
        features = network.eval()(torch.zeros(2, 3, _SIZE, _SIZE))
    except Exception as error:  # it is code of anybody
        raise ModelError(
            f"the backbone {name} fails at images of {_SIZE} pixels: {problem(error)}"
        ) from error
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
    if len(shape) != 2 or shape[0] != 2:
        raise ModelError(
            f"the backbone {name}: expected features (B, D) of images (B, 3, S, S); found {shape} "
            "for two images: let it end with pooling and torch.nn.Flatten()"
        )
    return int(shape[1])
