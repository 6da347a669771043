"""EfficientNets whose features are not those of the last layer.

The last layer was trained to tell the classes of ImageNet apart; the layers before it serve other
images better. These networks have no head at all, weights included.
"""

import torch
from timm.models.efficientnet import EfficientNet
from torch import nn


class StagedEfficientNet(EfficientNet):
    """A timm EfficientNet whose features are the mean and the standard deviation of each channel.

    The means of the first of its seven stages, its standard deviations, the means of the second and
    so on.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, D)."""
        x = self.bn1(self.conv_stem(x))
        pooled = []
        for stage in self.blocks:
            x = stage(x)
            mean = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
            variance = (x - mean).square().mean(dim=(2, 3))  # (B, C)
            pooled += [mean.flatten(1), (variance + 1e-6).sqrt()]
        return torch.cat(pooled, dim=1)


class TrunkEfficientNet(EfficientNet):
    """A timm EfficientNet whose features are the means of its last stage's channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, D)."""
        last: torch.Tensor = self.blocks(self.bn1(self.conv_stem(x)))
        return last.mean(dim=(2, 3))


def without_head(model: nn.Module, head: tuple[str, ...], kind: type[EfficientNet]) -> nn.Module:
    """The same network as a `kind` that ends with the stages, without the modules of its head."""
    assert type(model) is EfficientNet
    model.__class__ = kind
    for name in head:
        delattr(model, name)
    return model
