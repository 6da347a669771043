"""Which parameters the stem and each stage have, against the networks' own descriptions."""

import pytest
import torch

from bitcodes.models.backbone import Backbone
from bitcodes.models.backbones import BACKBONES, find_backbone
from bitcodes.predecessor.alexnet import BvlcAlexNet


def stages(backbone: Backbone, size: int = 224) -> list[list[str]]:
    with torch.device("meta"):
        module = backbone.build(size)
    result = backbone.stages(module)
    names = [name for name, _ in module.named_parameters()]
    assert sorted(name for stage in result for name in stage) == (sorted(names) if result else [])
    return result


def cut(groups: list[list[str]], parts: int) -> list[set[str]]:
    """The first parts of the names of each stage's parameters."""
    return [{".".join(name.split(".")[:-1][:parts]) or name for name in stage} for stage in groups]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("tf_efficientnet_lite0", {"conv_head", "bn2"}),
        ("tf_efficientnet_lite0_stages", set()),
        ("tf_efficientnet_lite0_trunk", set()),
    ],
)
def test_of_the_built_in_backbone_they_are_its_groups_of_blocks(name: str, head: set[str]) -> None:
    blocks = [{f"blocks.{number}"} for number in range(6)]
    last = {"blocks.6", *head}
    assert cut(stages(BACKBONES[name]), 2) == [{"conv_stem", "bn1"}, *blocks, last]


RESNET = [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]


def test_of_timm_they_are_what_timm_groups() -> None:
    assert cut(stages(find_backbone("timm/resnet18")), 1) == RESNET
    result = cut(stages(find_backbone("timm/vit_tiny_patch16_224")), 2)
    assert result[0] == {"cls_token", "pos_embed", "patch_embed.proj"}
    assert result[1:] == [*({f"blocks.{n}"} for n in range(11)), {"blocks.11", "norm"}]
    assert stages(find_backbone("timm/pit_ti_224")) == []  # which timm does not group


@pytest.mark.parametrize(
    ("model", "parts", "count", "expected"),
    [
        ("resnet18", 1, 4, RESNET),
        ("shufflenet_v2_x0_5", 1, 3, [{"conv1"}, {"stage2"}, {"stage3"}, {"stage4", "conv5"}]),
        ("mobilenet_v2", 2, 17, [{"features.0"}, {"features.1"}, {"features.2"}]),
        ("efficientnet_b0", 2, 7, [{"features.0"}, {"features.1"}, {"features.2"}]),
        ("convnext_tiny", 2, 4, [{"features.0"}, {"features.1"}, {"features.2", "features.3"}]),
        ("densenet121", 2, 4, [{"features.conv0", "features.norm0"}, {"features.denseblock1"}]),
        ("vit_b_16", 1, 12, [{"class_token", "conv_proj", "encoder"}, {"encoder"}]),
    ],
)
def test_of_torchvision_they_are_sequences_of_blocks(
    model: str, parts: int, count: int, expected: list[set[str]]
) -> None:
    result = stages(find_backbone(f"torchvision/{model}"))
    assert len(result) == 1 + count
    assert cut(result, parts)[: len(expected)] == expected


def test_layers_that_only_follow_one_another_are_no_stages() -> None:
    assert stages(find_backbone("alexnet")) == []
    assert stages(find_backbone("torchvision/vgg11_bn")) == []
    assert stages(find_backbone("torchvision/googlenet")) == []
    with torch.device("meta"):
        assert BACKBONES["bvlc_alexnet"].stages(BvlcAlexNet()) == []
