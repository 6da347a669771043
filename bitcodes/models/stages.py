"""The features of a network's middle stages beside its last ones: for networks that stay frozen."""

import torch
from timm.models.efficientnet import EfficientNet
from torch import nn


class StagedEfficientNet(EfficientNet):
    """A timm EfficientNet whose features are those of its last three stages and of its head.

    The channels of each, averaged over the map, one after the other. A layer that was trained to
    tell ImageNet's classes apart has forgotten what the ones before it still know of other images.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, D)."""
        x = self.bn1(self.conv_stem(x))
        pooled = []
        for stage in self.blocks:
            x = stage(x)
            pooled.append(x.mean(dim=(2, 3)))
        head = self.global_pool(self.bn2(self.conv_head(x)))
        return torch.cat([*pooled[-3:], head], dim=1)


def with_stages(model: nn.Module) -> nn.Module:
    """The same model, with the same names of weights, made to give the stages' features too."""
    assert type(model) is EfficientNet
    model.__class__ = StagedEfficientNet
    return model
