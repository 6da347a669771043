"""The faster depthwise convolution: the same sums as the plain one."""

import pytest
import torch
from torch import nn

from bitcodes.models.backbones import find_backbone
from bitcodes.models.depthwise import DepthwiseConv2d, speed_up_depthwise


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


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1),  # not depthwise
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
    speed_up_depthwise(nn.Sequential(layer))
    assert type(layer) is nn.Conv2d


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
