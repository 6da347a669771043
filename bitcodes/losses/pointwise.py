"""Losses of single images: through a classifier, or towards the target code of the class."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitcodes.losses.base import HashLoss, LossAndLogits
from bitcodes.losses.centers import hash_centers, minimum_distance, spread_levels
from bitcodes.wording import counted

_CLOSE = 0.25  # of the bits, in which the codes of two classes differ at least


class ClassifierLoss(HashLoss):
    """Base of the losses that train a linear classifier of codes with the hash layer.

    With multi-labels, the mean over classes of binary cross-entropies replaces CE.
    """

    has_cross_entropy = True

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        self.classifier = nn.Linear(bits, classes)
        binary, single = F.binary_cross_entropy_with_logits, F.cross_entropy
        self.cross_entropy = binary if multi_label else single


class LatentCrossEntropy(ClassifierLoss):
    """Classify through the code: cross-entropy of a linear classifier on sigmoid(outputs).

    Lin et al., CVPR Workshops 2015, https://doi.org/10.1109/CVPRW.2015.7301269:

        L = CE(V sigmoid(h) + c, y)
    """

    head_learning_rate = 0.1

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class."""
        logits = self.classifier(torch.sigmoid(outputs))  # (B, C)
        return self.cross_entropy(logits, targets), logits


class GreedyHash(ClassifierLoss):
    """Classify by the code itself; gradients pass through the sign unchanged.

    Su et al., NeurIPS 2018, https://papers.nips.cc/paper/7360, with b = sgn(h), db/dh := 1:

        L = CE(V b + c, y) + weight mean_k | |h_k| - 1 |^3

    `weight` is 0.1, the authors' value for CIFAR-10. They use single labels.
    """

    head_learning_rate = 0.05  # the cubic penalty runs away at 0.1
    penalty_weight = 0.1

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class."""
        signs = torch.where(outputs > 0, 1.0, -1.0)  # (B, K), as bits are defined
        # Exactly the signs, whatever the size of the outputs; the difference is zero.
        logits = self.classifier(signs + (outputs - outputs.detach()))  # (B, C)
        penalty = (outputs.abs() - 1).abs().pow(3).mean()
        loss = self.cross_entropy(logits, targets)
        return loss + self.penalty_weight * penalty, logits


class CenterLoss(HashLoss):
    """Base of the losses with a fixed target code for each class, its center.

    The target of an image of several classes is the bitwise majority of their centers. A fixed
    random code decides ties.
    """

    centers: Tensor  # (C, K) of -1 and 1
    ties: Tensor  # (K,)

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        centers = hash_centers(bits, classes, seed)
        ties = np.random.default_rng(seed + 1).choice(np.array([-1, 1], np.float32), bits)
        self.register_buffer("centers", torch.from_numpy(centers))
        self.register_buffer("ties", torch.from_numpy(ties))

    def center_of(self, targets: Tensor) -> Tensor:
        """The target code of each image, (B, C) -> (B, K) of -1 and 1."""
        votes = targets @ self.centers  # (B, K)
        return torch.where(votes == 0, self.ties, votes.sign())

    def describe(self) -> str | None:
        """A warning if two centers are so close that a few wrong bits mix up their classes."""
        least = minimum_distance(self.centers.cpu().numpy())
        if least >= self.bits * _CLOSE:
            return None
        return (
            f"{counted(len(self.centers), 'class', 'classes')} are many for "
            f"{counted(self.bits, 'bit')}: the codes of two of them differ in only {least}; a "
            "larger --bits sets them further apart"
        )


class DitheredCenterLoss(CenterLoss):
    """Base of the center losses whose tanh(output) tells how sure the network is of a bit.

    In the papers, a bit is h_k > 0 for hash outputs h. With a dither d, each bit has a threshold of
    its own, which becomes part of the bias of the hash layer:

        bit_k = tanh(h_k) > t_k, where t_1 .. t_K are d (2 i - 1 - K) / K for i = 1 .. K in an order
        that spreads them evenly between any two classes (`spread_levels`)

    With all thresholds at zero, the bits of an image between two classes only tell which class is
    more likely, and most codes equal a center. With many thresholds they tell how likely: for t
    uniform in (-1, 1), the expected Hamming distance of two images is
    sum_k |tanh(h_k) - tanh(h'_k)| / 2. See dithered quantization: Jacques and Cambareri,
    https://arxiv.org/abs/1607.00816.
    """

    levels: Tensor  # (K,) evenly spread over (-1, 1)

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        levels = spread_levels(self.centers.numpy(), seed)
        self.register_buffer("levels", torch.from_numpy(levels), persistent=False)

    @torch.no_grad()
    def fold(self, hash_layer: nn.Linear, dither: float = 0.0) -> nn.Linear:
        """The hash layer with the thresholds in its bias."""
        if not dither:
            return hash_layer
        layer = copy.deepcopy(hash_layer)
        layer.bias.sub_(torch.atanh(dither * self.levels))
        return layer


class HashCenters(DitheredCenterLoss):
    """Pull every image's code to the center of its class: Central Similarity Quantization.

    Yuan et al., CVPR 2020, https://arxiv.org/abs/1908.00347, with h = tanh(outputs) in (-1, 1),
    s = (1 + h) / 2, and the center c in {-1, 1}^K of the image's class, b = (1 + c) / 2:

        L = mean_k BCE(s_k, b_k) + weight mean_k log cosh(|h_k| - 1)

    `weight` is 1e-4, as in the authors' code.
    """

    quantization_weight = 1e-4

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class; the logits are the inner products with the centers, divided by K."""
        center = self.center_of(targets)  # (B, K)
        codes = torch.tanh(outputs)
        # sigmoid(2 x) = (1 + tanh(x)) / 2: the numerically safe way to the same BCE.
        similarity = F.binary_cross_entropy_with_logits(2 * outputs, (1 + center) / 2)
        quantization = torch.log(torch.cosh(codes.abs() - 1)).mean()
        logits = codes @ self.centers.T / self.bits  # (B, C)
        return similarity + self.quantization_weight * quantization, logits


class DeepPolarizedNetwork(DitheredCenterLoss):
    """Push every hash output beyond a margin, to the side of the center of its class.

    Fan et al., IJCAI 2020, https://www.ijcai.org/proceedings/2020/115, with the target t of the
    image's class, t_k in {-1, 1}:

        L = mean_k max(m - h_k t_k, 0)

    m is 1. The paper sums over k; with the mean, one learning rate works for any number of bits.
    Its targets are random or updated from the codes; here they are `hash_centers`, which are
    farther apart.
    """

    margin = 1.0

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class; the logits are the inner products with the targets, divided by K."""
        # At the margin the gradient of relu is zero; that of clamp depends on torch's version.
        loss = F.relu(self.margin - outputs * self.center_of(targets)).mean()
        return loss, outputs @ self.centers.T / self.bits


class OrthoHash(CenterLoss):
    """Classify by the cosine to the classes' targets, with balanced bits by batch norm.

    Hoe et al., NeurIPS 2021, https://arxiv.org/abs/2109.14449, with z = BN(h), where BN is batch
    norm without learned scale and shift, o_c the target of class c, and cos_c = cos(z, o_c):

        L = CE(s (cos - m y), y)

    s is 8 and m 0.2, the authors' defaults. With several labels, the target probabilities of CE are
    y / |y|_1, as in the authors' code; an image without labels adds nothing. Their targets are
    random codes, orthogonal on average; here they are `hash_centers`, rows of a Hadamard matrix if
    there is one of order K. The batch norm is folded into the hash layer: in evaluation,
    z = (h - mean) / sqrt(variance + epsilon), with the running mean and variance.
    """

    has_cross_entropy = True
    scale = 8.0
    margin = 0.2

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        self.norm = nn.BatchNorm1d(bits, affine=False)

    def forward(self, outputs: Tensor, targets: Tensor, progress: float = 0.0) -> LossAndLogits:
        """See the class; the logits are s cos, without the margin."""
        cosines = F.normalize(self.norm(outputs)) @ F.normalize(self.centers).T  # (B, C)
        probabilities = targets / targets.sum(dim=1, keepdim=True).clamp(min=1)
        loss = F.cross_entropy(self.scale * (cosines - self.margin * targets), probabilities)
        return loss, self.scale * cosines

    @torch.no_grad()
    def fold(self, hash_layer: nn.Linear, dither: float = 0.0) -> nn.Linear:
        """The hash layer with the batch norm of evaluation in its weights."""
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        scale = (self.norm.running_var + self.norm.eps).rsqrt()  # (K,)
        layer = copy.deepcopy(hash_layer)
        layer.weight.mul_(scale[:, None])
        layer.bias.sub_(self.norm.running_mean).mul_(scale)
        return layer
