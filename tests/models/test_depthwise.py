"""The faster depthwise convolution: the same sums as the plain one."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from bitcodes.models.backbones import find_backbone
from bitcodes.models.depthwise import DepthwiseConv2d, DepthwiseConv2dSame, speed_up_depthwise


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (1, 4), (3, 2)])
@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_replacement_equals_the_plain_convolution(
    kernel: int, stride: int, shape: tuple[int, int], bias: bool
) -> None:
    torch.manual_seed(kernel * 10 + stride)
    plain = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=bias)
    fast = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=bias)
    fast.load_state_dict(plain.state_dict())
    speed_up_depthwise(nn.Sequential(fast))
    assert type(fast) is DepthwiseConv2d
    images = torch.randn(2, 8, *shape).to(memory_format=torch.channels_last)
    results = []
    for layer in (plain, fast):
        inputs = images.clone().requires_grad_()
        outputs = layer(inputs)
        outputs.mul(torch.linspace(-1, 2, outputs.numel()).view_as(outputs)).sum().backward()
        gradients = [inputs.grad, *(parameter.grad for parameter in layer.parameters())]
        results.append([outputs.detach(), *gradients])
    for expected, result in zip(*results, strict=True):
        assert expected is not None
        assert result is not None
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 7), (8, 8), (5, 9)])
def test_replacement_of_timms_convolution_pads_as_it_does(
    kernel: int, stride: int, shape: tuple[int, int]
) -> None:
    plain = Conv2dSame(8, 8, kernel, stride, groups=8)
    fast = Conv2dSame(8, 8, kernel, stride, groups=8)
    fast.load_state_dict(plain.state_dict())
    speed_up_depthwise(nn.Sequential(fast))
    assert type(fast) is DepthwiseConv2dSame
    images = torch.randn(2, 8, *shape)
    torch.testing.assert_close(fast(images), plain(images))


@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 4), (5, 8), (12, 12), (13, 11)])
@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_gradients_in_bfloat16_are_those_of_the_same_numbers_in_float64(
    kind: type[nn.Conv2d], kernel: int, stride: int | tuple[int, int], shape: tuple[int, int]
) -> None:
    torch.manual_seed(kernel)
    padding = kernel // 2 if kind is nn.Conv2d else 0
    layer = kind(8, 8, kernel, stride, padding, groups=8)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())
    exact = kind(8, 8, kernel, stride, padding, groups=8).double()
    exact.load_state_dict(layer.state_dict())
    speed_up_depthwise(nn.Sequential(layer))
    assert type(layer) is not kind
    images = torch.randn(4, 8, *shape).bfloat16().to(memory_format=torch.channels_last)
    results = []
    for each, dtype in ((exact, torch.float64), (layer, torch.float32)):
        inputs = images.to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, dtype == torch.float32):
            outputs = each(inputs)
        assert outputs.dtype == (torch.float64 if dtype == torch.float64 else torch.bfloat16)
        torch.manual_seed(1)
        outputs.backward(torch.randn(outputs.shape).bfloat16().to(outputs.dtype))
        gradients = [inputs.grad, *(parameter.grad for parameter in each.parameters())]
        results.append([outputs, *gradients])
    for expected, result in zip(*results, strict=True):
        scale = expected.abs().max()  # bfloat16 has 8 bits
        torch.testing.assert_close(result.double() / scale, expected / scale, rtol=0, atol=0.01)


def test_frozen_and_evaluated_layers_in_bfloat16_are_plain_convolutions() -> None:
    layer = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    plain = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    plain.load_state_dict(layer.state_dict())
    speed_up_depthwise(nn.Sequential(layer))
    layer.requires_grad_(False)
    images = torch.randn(2, 8, 9, 9).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(images), plain(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1),  # not depthwise
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        Conv2dSame(8, 8, 3),
        Conv2dSame(8, 8, 3, groups=8, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, groups=4),
        nn.Conv2d(8, 8, 3, padding=2, groups=8),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
        nn.Conv2d(8, 8, (3, 5), padding=(1, 2), groups=8),
        nn.Conv2d(8, 8, 4, padding=2, groups=8),
        nn.Conv2d(8, 8, 3, padding="same", groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode="reflect"),
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(layer: nn.Conv2d) -> None:
    kind = type(layer)
    speed_up_depthwise(nn.Sequential(layer))
    assert type(layer) is kind


@pytest.mark.parametrize(
    "name",
    [
        *("torchvision/mobilenet_v2", "torchvision/mobilenet_v3_small", "timm/efficientnet_lite0"),
        *("timm/mobilenetv3_small_050", "timm/convnext_atto"),
    ],
)
def test_networks_of_the_libraries_give_the_same_with_it(name: str) -> None:
    torch.manual_seed(0)
    network = find_backbone(name).build(64).eval()
    replaced = [layer for layer in network.modules() if type(layer) is DepthwiseConv2d]
    assert len(replaced) > 4
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    results = []
    for kind in (DepthwiseConv2d, nn.Conv2d):
        for layer in replaced:
            layer.__class__ = kind
        network.zero_grad()
        features = network(images)
        features.square().mean().backward()
        # Of every layer, over its own size: some gradients are next to nothing.
        gradients = [
            p.grad / p.grad.norm().clamp(min=1e-12)
            for p in network.parameters()
            if p.grad is not None
        ]
        results.append([features.detach(), *gradients])
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)
