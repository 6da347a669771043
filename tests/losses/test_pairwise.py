"""The losses of pairs against loops over pairs written from their formulas, and by hand."""

import math

import pytest
import torch
from by_hand import cosine

from bitcodes.losses.pairwise import DeepCauchyHashing, HashNet, balanced_pairs

SINGLE = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
MULTI = [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]]  # among them no label, and three

Pair = tuple[int, int]
both_kinds = pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])


def outputs_of(labels: list[list[int]], bits: int) -> torch.Tensor:
    return torch.randn(len(labels), bits, generator=torch.Generator().manual_seed(3)) * 2


def kinds_of_pairs(labels: list[list[int]]) -> tuple[list[Pair], list[Pair]]:
    """The ordered pairs of different images that share a label, and those that do not."""
    similar, dissimilar = [], []
    for i, one in enumerate(labels):
        for j, other in enumerate(labels):
            if i != j:
                share = any(a and b for a, b in zip(one, other, strict=True))
                (similar if share else dissimilar).append((i, j))
    return similar, dissimilar


@both_kinds
@pytest.mark.parametrize("progress", [0.0, 0.4])
def test_hash_net_is_its_formula(labels: list[list[int]], progress: float) -> None:
    loss = HashNet(8, 3, labels is MULTI, seed=0)
    outputs = outputs_of(labels, 8)
    value, logits = loss(outputs, torch.tensor(labels, dtype=torch.float32), progress)
    assert logits is None
    beta = math.sqrt(1 + 50 * progress)
    codes = [[math.tanh(beta * h) for h in row] for row in outputs.tolist()]
    similar, dissimilar = kinds_of_pairs(labels)
    count = len(similar) + len(dissimilar)
    total = 0.0
    for pairs, s in ((similar, 1), (dissimilar, 0)):
        for i, j in pairs:
            product = 10 / 8 * sum(a * b for a, b in zip(codes[i], codes[j], strict=True))
            c = 1.0
            if s:
                both = list(zip(labels[i], labels[j], strict=True))
                c = sum(a & b for a, b in both) / sum(a | b for a, b in both)
            weight = c * count / len(pairs)
            total += weight * (math.log(1 + math.exp(product)) - s * product)
    assert value.item() == pytest.approx(total / count, rel=1e-5)


@both_kinds
def test_deep_cauchy_hashing_is_its_formula(labels: list[list[int]]) -> None:
    loss = DeepCauchyHashing(8, 3, labels is MULTI, seed=0)
    outputs = outputs_of(labels, 8)
    value, logits = loss(outputs, torch.tensor(labels, dtype=torch.float32))
    assert logits is None
    codes = [[math.tanh(h) for h in row] for row in outputs.tolist()]
    similar, dissimilar = kinds_of_pairs(labels)
    count = len(similar) + len(dissimilar)
    gamma, total = 20, 0.0
    for pairs, s in ((similar, 1), (dissimilar, 0)):
        for i, j in pairs:
            d = 8 / 2 * (1 - cosine(codes[i], codes[j]))
            weight = count / len(pairs)
            total += weight * (s * math.log(d / gamma) + math.log(1 + gamma / d))
    quantization = [
        math.log(1 + 8 / 2 * (1 - cosine([abs(g) for g in code], [1.0] * 8)) / gamma)
        for code in codes
    ]
    expected = total / count + 0.1 * sum(quantization) / len(labels)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_pairs_of_one_batch_by_hand() -> None:
    targets = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    similar, weights = balanced_pairs(targets)
    assert similar.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    tenth = pytest.approx(0.1)  # ten ordered pairs differ, two are alike
    assert weights.tolist() == [
        [0, 0.5, tenth, tenth],
        [0.5, 0, tenth, tenth],
        [tenth, tenth, 0, tenth],
        [tenth, tenth, tenth, 0],
    ]


def test_hash_net_by_hand() -> None:
    """Two images of a class with opposite saturated codes, and one of another like the first."""
    loss = HashNet(4, 2, False, seed=0)
    outputs = torch.tensor([[1.0, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, 1]]) * 100
    value, _ = loss(outputs, torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    apart, together = math.log(1 + math.exp(-10)), math.log(1 + math.exp(10))
    # alike: the one pair at inner product -10 should be at +10; of the others one of two is right
    assert value.item() == pytest.approx((apart + 10) + (together + apart) / 2, rel=1e-5)


def test_deep_cauchy_hashing_by_hand() -> None:
    loss = DeepCauchyHashing(4, 2, False, seed=0)
    outputs = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]]) * 100
    value, _ = loss(outputs, torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    # the similar pair is 2 bits apart, the dissimilar ones 4 and 2; no quantization error
    alike = math.log(2 / 20) + math.log(1 + 20 / 2)
    other = (math.log(1 + 20 / 4) + math.log(1 + 20 / 2)) / 2
    assert value.item() == pytest.approx(alike + other, rel=1e-4)


@pytest.mark.parametrize("loss", [HashNet, DeepCauchyHashing])
@pytest.mark.parametrize("labels", [[[1, 0]] * 3, [[1, 0], [0, 1]], [[0, 0], [0, 0]]])
def test_a_batch_without_one_kind_of_pairs(
    loss: type[HashNet] | type[DeepCauchyHashing], labels: list[list[int]]
) -> None:
    outputs = outputs_of(labels, 8).requires_grad_()
    value, _ = loss(8, 2, True, 0)(outputs, torch.tensor(labels, dtype=torch.float32))
    value.backward()
    assert torch.isfinite(value)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_hash_net_hardens_as_training_goes_on() -> None:
    """The authors' beta after 10,000 steps is sqrt(1 + 0.005 * 10,000) = sqrt(51)."""
    loss = HashNet(2, 2, False, seed=0)
    outputs = torch.tensor([[0.1, 0.2], [0.3, -0.1]])
    targets = torch.eye(2)
    late = loss(outputs, targets, 1.0)[0].item()
    assert late == pytest.approx(loss(outputs * math.sqrt(51), targets, 0.0)[0].item(), rel=1e-5)
    assert late != pytest.approx(loss(outputs, targets, 0.5)[0].item(), rel=1e-3)
