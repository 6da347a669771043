"""Other features of EfficientNets than those of their last layer.

The last layer was trained to tell ImageNet's classes apart; what comes before it knows more of
other images. What these networks leave out, they do not have, weights included.
"""

import torch
from timm.models.efficientnet import EfficientNet
from torch import nn


class StagedEfficientNet(EfficientNet):
    """A timm EfficientNet whose features are the mean and the standard deviation of each channel.

    Of each of its seven stages: the means of the first, their standard deviations, the means of the
    second and so on.
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
    """The same network without the modules of its head, as a `kind` that ends with its stages."""
    assert type(model) is EfficientNet
    model.__class__ = kind
    for name in head:
        delattr(model, name)
    return model
