"""Depthwise convolutions whose backward pass on a CPU is fast: on small maps, and in bfloat16."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BLOCK = 3  # side of the kernels that oneDNN has fast code for


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that avoids the slow cases of oneDNN's backward pass.

    It is up to ten times slower if a kernel overlaps both borders of the map at once. To avoid that
    case, this layer cuts off the part of the kernel that never meets the map, and pads before the
    convolution. `_HalfDepthwise` avoids the slow cases of bfloat16. The sums are the same.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W'), as `nn.Conv2d`."""
        weight, padding, side = self.weight, int(self.padding[0]), max(input.shape[-2:])
        if padding and side < self.kernel_size[0]:
            if self.stride == (1, 1) and padding >= side:
                cut = padding - (side - 1)
                weight = weight[:, :, cut:-cut, cut:-cut].contiguous()
                padding = side - 1
            input = F.pad(input, (padding, padding, padding, padding))
            padding = 0
        return _convolve(self, input, weight, padding)


class DepthwiseConv2dSame(nn.Conv2d):
    """The same for timm's `Conv2dSame`, which pads as TensorFlow does: more at the far borders."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        height, width = (
            max((-(-side // step) - 1) * step + kernel - side, 0)
            for side, step, kernel in zip(
                input.shape[-2:], self.stride, self.kernel_size, strict=True
            )
        )
        near_far = (width // 2, width - width // 2, height // 2, height - height // 2)
        return _convolve(self, F.pad(input, near_far), self.weight, 0)


def speed_up_depthwise(module: nn.Module) -> nn.Module:
    """Replace depthwise convolutions with "same" padding in a network, in place."""
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
            continue
        if not layer.groups == layer.in_channels == layer.out_channels > 1:
            continue
        if layer.dilation != (1, 1):
            continue
        half = layer.kernel_size[0] // 2
        odd = layer.padding == (half, half) and layer.kernel_size == (2 * half + 1,) * 2
        if type(layer) is nn.Conv2d and odd:
            layer.__class__ = DepthwiseConv2d
        elif type(layer).__name__ == "Conv2dSame":  # by its name: importing timm takes a second
            layer.__class__ = DepthwiseConv2dSame
    return module


def _convolve(layer: nn.Conv2d, input: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The convolution of a layer; in a training step in bfloat16 on a CPU, with our gradients."""
    mixed = input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    half = torch.get_autocast_dtype("cpu")
    if not (mixed and half == torch.bfloat16 and torch.is_grad_enabled() and weight.requires_grad):
        return F.conv2d(input, weight, layer.bias, layer.stride, padding, 1, layer.groups)
    with torch.autocast("cpu", enabled=False):
        output: Tensor = _HalfDepthwise.apply(
            input.to(half), weight.to(half), layer.stride, padding
        )
        return output if layer.bias is None else output + layer.bias.to(half)[:, None, None]


class _HalfDepthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose gradients take a fifth of oneDNN's time or less.

    oneDNN has no fast code for two of them. With strides, the gradient of the inputs is computed in
    float32. Of larger kernels, the gradient of the weights is that of the 3 x 3 blocks which cover
    the kernel, each from the part of the inputs that it meets.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: Any, padding: int) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(input, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        (output,) = outputs
        input, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            single = output, input, weight
            if stride != (1, 1):
                single = output.float(), input.float(), weight.float()
            of_input, _ = _gradients(*single, stride, padding, inputs=True)
            of_input = of_input.to(input.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(output, input, weight, stride, padding)
        return of_input, of_weight, None, None


def _of_weight(output: Tensor, input: Tensor, weight: Tensor, stride: Any, padding: int) -> Tensor:
    """The gradient of the weights (C, 1, H, W), a block of them at a time."""
    rows, columns = weight.shape[-2:]
    if max(rows, columns) <= _BLOCK:
        return _gradients(output, input, weight, stride, padding, inputs=False)[1]
    padded = F.pad(input, (padding, padding, padding, padding))
    gradient = torch.empty_like(weight)
    for top in _starts(rows):
        for left in _starts(columns):
            place = (..., slice(top, top + _BLOCK), slice(left, left + _BLOCK))
            block = weight[place].contiguous()
            height = (output.shape[-2] - 1) * stride[0] + block.shape[-2]
            width = (output.shape[-1] - 1) * stride[1] + block.shape[-1]
            met = padded[..., top : top + height, left : left + width]
            met = met.contiguous(memory_format=torch.channels_last)
            gradient[place] = _gradients(output, met, block, stride, 0, inputs=False)[1]
    return gradient


def _starts(length: int) -> list[int]:
    """Where blocks begin that cover this length; the last one ends with it."""
    last = max(length - _BLOCK, 0)
    return [*range(0, last, _BLOCK), last]


def _gradients(
    output: Tensor, input: Tensor, weight: Tensor, stride: Any, padding: int, inputs: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of inputs and weights, of which only one is computed."""
    sizes = (stride, (padding, padding), (1, 1), False, (0, 0), len(weight))
    wanted = (inputs, not inputs, False)
    of_input, of_weight, _ = torch.ops.aten.convolution_backward(
        output, input, weight, None, *sizes, wanted
    )
    return of_input, of_weight
