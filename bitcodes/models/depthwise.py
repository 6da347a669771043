"""Depthwise convolutions that are fast on small maps too."""

import torch
import torch.nn.functional as F
from torch import nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that pads by itself if the map is smaller than the kernel.

    oneDNN's backward pass is up to ten times slower if a depthwise kernel overlaps both borders of
    the map at once. To avoid that case, this layer cuts off the part of the kernel that never meets
    the map, and pads before the convolution. The sums are the same.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H', W'), as `nn.Conv2d`."""
        padding, side = int(self.padding[0]), max(input.shape[-2:])
        if padding == 0 or side >= self.kernel_size[0]:
            return super().forward(input)
        weight, stride = self.weight, self.stride
        if stride == (1, 1) and padding >= side:
            cut = padding - (side - 1)
            weight = weight[:, :, cut:-cut, cut:-cut].contiguous()
            padding = side - 1
        padded = F.pad(input, (padding, padding, padding, padding))
        return F.conv2d(padded, weight, self.bias, stride, 0, 1, self.groups)


def speed_up_depthwise(module: nn.Module) -> nn.Module:
    """Replace plain depthwise convolutions with "same" padding in a network, in place."""
    for layer in module.modules():
        if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros":
            continue
        depthwise = layer.groups == layer.in_channels > 1 and layer.dilation == (1, 1)
        half = layer.kernel_size[0] // 2
        if depthwise and layer.padding == (half, half) and layer.kernel_size == (2 * half + 1,) * 2:
            layer.__class__ = DepthwiseConv2d
    return module
