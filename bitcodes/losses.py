"""What training minimises: one small class a loss, found by name in LOSSES.

A loss sees hash outputs (B, K) and targets (B, C), one-hot or multi-hot float32, and returns the
loss (a scalar) and the logits (B, C). What it needs beyond the hash layer, it owns.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bitcodes.errors import ConfigError


class HashLoss(nn.Module):
    """Base of all losses; `multi_label` says that an image may have several labels, or none."""

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__()
        self.bits = bits
        self.classes = classes
        self.multi_label = multi_label

    def forward(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(outputs (B, K), targets (B, C)) -> (loss (), logits (B, C))."""
        raise NotImplementedError

    def describe(self) -> dict[str, float]:
        """Figures worth showing once before training, by name."""
        return {}


class LatentCrossEntropy(HashLoss):
    """Classify through the code: cross-entropy of a linear classifier on sigmoid(outputs).

    Lin et al., CVPR Workshops 2015, https://doi.org/10.1109/CVPRW.2015.7301269:

        L = CE(V sigmoid(h) + c, y)

    Multi-label: the mean over classes of binary cross-entropies in place of CE.
    """

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        self.classifier = nn.Linear(bits, classes)

    def forward(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        logits = self.classifier(torch.sigmoid(outputs))  # (B, C)
        if self.multi_label:
            return F.binary_cross_entropy_with_logits(logits, targets), logits
        return F.cross_entropy(logits, targets), logits


class HashCenters(HashLoss):
    """Pull every image's code to the center of its class: Central Similarity Quantization.

    Yuan et al., CVPR 2020, https://arxiv.org/abs/1908.00347, with h = tanh(outputs) in (-1, 1),
    s = (1 + h) / 2, and the center c in {-1, 1}^K of the image's class, b = (1 + c) / 2:

        L = mean_k BCE(s_k, b_k) + weight mean_k log cosh(|h_k| - 1)

    An image of several classes has the bitwise majority of their centers as its own (a tie goes
    to the bit of a fixed random code). `weight` is 1e-4, as in the authors' code.
    """

    quantization_weight = 1e-4
    centers: torch.Tensor  # (C, K)
    ties: torch.Tensor  # (K,)

    def __init__(self, bits: int, classes: int, multi_label: bool, seed: int) -> None:
        super().__init__(bits, classes, multi_label, seed)
        centers = hash_centers(bits, classes, seed)
        ties = np.random.default_rng(seed + 1).choice(np.array([-1, 1], np.float32), bits)
        self.register_buffer("centers", torch.from_numpy(centers))
        self.register_buffer("ties", torch.from_numpy(ties))

    def forward(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class; the logits are the inner products with the centers, divided by K."""
        votes = targets @ self.centers  # (B, K)
        center = torch.where(votes == 0, self.ties, votes.sign())  # (B, K)
        codes = torch.tanh(outputs)
        # sigmoid(2 x) = (1 + tanh(x)) / 2: the numerically safe way to the same BCE.
        similarity = F.binary_cross_entropy_with_logits(2 * outputs, (1 + center) / 2)
        quantization = torch.log(torch.cosh(codes.abs() - 1)).mean()
        logits = codes @ self.centers.T / self.bits  # (B, C)
        return similarity + self.quantization_weight * quantization, logits

    def describe(self) -> dict[str, float]:
        """The least Hamming distance between two centers."""
        return {"minimum distance of hash centers": minimum_distance(self.centers.cpu().numpy())}


def hash_centers(bits: int, classes: int, seed: int) -> NDArray[np.float32]:
    """Codes far from each other, one a class: float32 (C, K) of -1 and 1, never two alike.

    Rows of a Hadamard matrix and their negatives where one of order K can be made and C <= 2 K
    (distances K/2 and K); else chosen greedily, each next code the one of many random codes whose
    nearest neighbour among those chosen is farthest. Raises ConfigError if C > 2^K.
    """
    if classes > 2**bits:
        raise ConfigError(
            f"{classes} classes need as many different codes, and {bits} bits have only {2**bits}; "
            f"raise --bits to at least {(classes - 1).bit_length()}"
        )
    hadamard = _hadamard_rows(bits)
    if hadamard is not None and classes <= 2 * bits:
        return np.concatenate([hadamard, -hadamard])[:classes]
    return _spread_codes(bits, classes, np.random.default_rng(seed))


def _hadamard_rows(bits: int) -> NDArray[np.float32] | None:
    """A Hadamard matrix of order K: Sylvester's doubling of Paley's, where that reaches K."""
    if bits & (bits - 1) == 0:
        rows = np.ones((1, 1), np.float32)
    else:
        odd = bits
        while odd % 2 == 0 and not _is_paley_order(odd):
            odd //= 2
        if not _is_paley_order(odd):
            return None
        rows = _paley(odd)
    while len(rows) < bits:
        rows = np.block([[rows, rows], [rows, -rows]]).astype(np.float32)
    return rows


def _is_paley_order(order: int) -> bool:
    prime = order - 1
    return prime % 4 == 3 and all(prime % d for d in range(2, math.isqrt(prime) + 1))


def _paley(order: int) -> NDArray[np.float32]:
    """Paley's first construction: a Hadamard matrix of order p + 1 for a prime p = 3 (mod 4)."""
    prime = order - 1
    squares = {x * x % prime for x in range(1, prime)}
    character = np.array([0] + [1 if x in squares else -1 for x in range(1, prime)])
    rows = np.ones((order, order))
    index = np.arange(prime)
    rows[1:, 1:] = character[(index[:, None] - index[None, :]) % prime]
    rows[1:, 0] = -1
    np.fill_diagonal(rows, 1)
    return rows.astype(np.float32)


def _spread_codes(bits: int, classes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if 2**bits <= max(4096, 16 * classes):
        numbers = np.arange(2**bits)
        pool = (numbers[:, None] >> np.arange(bits)) & 1  # every code there is
        pool = pool[rng.permutation(len(pool))]
    else:
        pool = rng.integers(0, 2, (max(4096, 4 * classes), bits))
    signs = (pool * 2 - 1).astype(np.float32)  # (P, K)
    chosen = [0]
    nearest = (bits - signs @ signs[0]) / 2  # (P,) distance to the nearest chosen code
    for _ in range(1, classes):
        best = int(nearest.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, (bits - signs @ signs[best]) / 2)
    return signs[chosen]


def minimum_distance(centers: NDArray[np.float32]) -> int:
    """The least Hamming distance between two rows of (C, K) of -1 and 1; K for a single row."""
    bits = centers.shape[1]
    distances = (bits - centers @ centers.T) / 2
    np.fill_diagonal(distances, bits)
    return int(distances.min())


LOSSES: dict[str, type[HashLoss]] = {"ce": LatentCrossEntropy, "csq": HashCenters}
