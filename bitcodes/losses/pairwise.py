"""Losses of pairs of images: codes of images that share a label should be near each other.

The papers sum over pairs of the whole training set. Here, as in the authors' code, the sum is over
pairs of different images in one batch, and the weights of similar and dissimilar pairs come from
their numbers in the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bitcodes.losses.base import HashLoss, LossAndLogits


def balanced_pairs(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a batch share a label, s (B, B), and a weight for each pair, w (B, B).

    Both are float32. All similar pairs S1 together weigh as much as all dissimilar pairs S0:
    |S| / |S1| and |S| / |S0| each, divided by |S| here, so that a sum over pairs is the loss. The
    diagonal has weight 0.
    """
    similar = (targets @ targets.T > 0).to(targets.dtype)  # (B, B)
    others = 1 - torch.eye(len(targets), device=targets.device)
    positive, negative = similar * others, (1 - similar) * others
    weights = positive / positive.sum().clamp(min=1) + negative / negative.sum().clamp(min=1)
    return similar, weights


class HashNet(HashLoss):
    """Weighted maximum likelihood of similar pairs, on outputs that harden during training.

    Cao et al., ICCV 2017, https://arxiv.org/abs/1702.00758, with g = tanh(beta h), s_ij = 1 for
    images that share a label, else 0, and x_ij = alpha <g_i, g_j>:

        L = 1/|S| sum_ij w_ij (log(1 + exp(x_ij)) - s_ij x_ij)
        w_ij = c_ij |S| / |S1| if s_ij = 1, else |S| / |S0|

    c_ij = |y_i and y_j| / |y_i or y_j|, which is 1 for single labels. alpha = 10 / K and the
    continuation beta = sqrt(1 + 50 progress) follow the authors' code. Its 10,000 steps,
    beta = sqrt(1 + 0.005 step), are stretched to the number of steps of the training.
    """

    head_learning_rate = 0.02

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class; there are no logits."""
        similar, weights = balanced_pairs(targets)  # (B, B), (B, B)
        codes = torch.tanh((1 + 50 * progress) ** 0.5 * outputs)
        products = 10 / self.bits * codes @ codes.T  # (B, B)
        if self.multi_label:
            shared = targets @ targets.T
            sizes = targets.sum(dim=1)
            united = sizes[:, None] + sizes - shared
            weights = weights * torch.where(similar > 0, shared / united.clamp(min=1), 1)
        return (weights * (F.softplus(products) - similar * products)).sum(), None


class DeepCauchyHashing(HashLoss):
    """Likelihood of similar pairs under a Cauchy distribution, which keeps them within a radius.

    Cao et al., CVPR 2018, https://doi.org/10.1109/CVPR.2018.00134, with g = tanh(h), s_ij = 1 for
    images that share a label, else 0, and d(u, v) = K/2 (1 - cos(u, v)):

        L = 1/|S| sum_ij w_ij (s_ij log(d(g_i, g_j) / gamma) + log(1 + gamma / d(g_i, g_j)))
            + weight mean_i log(1 + d(|g_i|, 1) / gamma)
        w_ij = |S| / |S1| if s_ij = 1, else |S| / |S0|

    gamma is 20 and `weight` 0.1. A millionth is added to 1 - cos, as in the authors' code, because
    the likelihood of dissimilar images at distance 0 is zero.
    """

    gamma = 20.0
    quantization_weight = 0.1

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class; there are no logits."""
        similar, weights = balanced_pairs(targets)  # (B, B), (B, B)
        codes = torch.tanh(outputs)
        directions = F.normalize(codes)
        ratio = self._distance(directions @ directions.T) / self.gamma  # (B, B)
        # The formula's two logarithms, for each kind of pair in one: ratio may be near zero.
        pairs = similar * torch.log1p(ratio) + (1 - similar) * torch.log1p(1 / ratio)
        to_corner = F.normalize(codes.abs()).sum(dim=1) / self.bits**0.5  # (B,) cos(|g_i|, 1)
        quantization = torch.log1p(self._distance(to_corner) / self.gamma).mean()
        return (weights * pairs).sum() + self.quantization_weight * quantization, None

    def _distance(self, cosines: Tensor) -> Tensor:
        return self.bits / 2 * ((1 - cosines).clamp(min=0) + 1e-6)
