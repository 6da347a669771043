"""The losses of single images against loops written from their formulas, and by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from by_hand import cosine
from torch import nn

from bitcodes.losses import LOSSES, LossName
from bitcodes.losses.base import loss_class
from bitcodes.losses.pointwise import (
    CenterLoss,
    DeepPolarizedNetwork,
    DitheredCenterLoss,
    GreedyHash,
    HashCenters,
    LatentCrossEntropy,
    OrthoHash,
)

SINGLE = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]
MULTI = [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]  # among them no label, and two


def outputs_and_targets(labels: list[list[int]], bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = torch.randn(len(labels), bits, generator=torch.Generator().manual_seed(3)) * 2
    return outputs, torch.tensor(labels, dtype=torch.float32)


def binary_cross_entropy(probability: float, target: float) -> float:
    return -(target * math.log(probability) + (1 - target) * math.log(1 - probability))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def scores_of(classifier: nn.Linear, codes: list[list[float]]) -> list[list[float]]:
    """A linear classifier's scores of codes, by hand."""
    rows = list(zip(classifier.weight.tolist(), classifier.bias.tolist(), strict=True))
    return [
        [sum(w * x for w, x in zip(weights, code, strict=True)) + bias for weights, bias in rows]
        for code in codes
    ]


def cross_entropy(scores: list[float], labels: list[int] | list[float]) -> float:
    total = math.log(sum(map(math.exp, scores)))
    return sum(p * (total - score) for p, score in zip(labels, scores, strict=True))


def classified(scores: list[list[float]], labels: list[list[int]]) -> float:
    """The mean cross-entropy: of the one class of each image, or of each class by itself."""
    if labels is SINGLE:
        return mean([cross_entropy(*pair) for pair in zip(scores, labels, strict=True)])
    pairs = [pair for rows in zip(scores, labels, strict=True) for pair in zip(*rows, strict=True)]
    return mean([binary_cross_entropy(sigmoid(score), label) for score, label in pairs])


def center_bit(loss: CenterLoss, classes: list[int], k: int) -> float:
    votes = sum(loss.centers.tolist()[c][k] for c, member in enumerate(classes) if member)
    return loss.ties.tolist()[k] if votes == 0 else math.copysign(1, votes)


both_kinds = pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])


@both_kinds
def test_latent_cross_entropy_is_its_formula(labels: list[list[int]]) -> None:
    loss = LatentCrossEntropy(8, 3, labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, 8)
    value, logits = loss(outputs, targets)
    scores = scores_of(loss.classifier, [[sigmoid(h) for h in row] for row in outputs.tolist()])
    assert value.item() == pytest.approx(classified(scores, labels), rel=1e-5)
    np.testing.assert_allclose(logits.detach().numpy(), scores, rtol=1e-5, atol=1e-6)


@both_kinds
def test_greedy_hash_is_its_formula(labels: list[list[int]]) -> None:
    loss = GreedyHash(8, 3, labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, 8)
    value, logits = loss(outputs, targets)
    raw = outputs.tolist()
    scores = scores_of(loss.classifier, [[1.0 if h > 0 else -1.0 for h in row] for row in raw])
    penalty = mean([abs(abs(h) - 1) ** 3 for row in raw for h in row])
    assert value.item() == pytest.approx(classified(scores, labels) + 0.1 * penalty, rel=1e-5)
    np.testing.assert_allclose(logits.detach().numpy(), scores, rtol=1e-5, atol=1e-6)


def test_gradients_pass_the_sign_of_greedy_hash_as_if_it_were_not_there() -> None:
    loss = GreedyHash(2, 2, False, seed=0)
    loss.penalty_weight = 0
    outputs = torch.tensor([[0.0, 1e8]], requires_grad=True)  # 0 is no set bit
    value, logits = loss(outputs, torch.tensor([[1.0, 0.0]]))
    weight = loss.classifier.weight.detach()
    np.testing.assert_allclose(
        logits.detach(), torch.tensor([[-1.0, 1.0]]) @ weight.T + loss.classifier.bias.detach()
    )
    value.backward()
    error = torch.softmax(logits.detach(), 1) - torch.tensor([[1.0, 0.0]])  # (1, C)
    np.testing.assert_allclose(outputs.grad, error @ weight, rtol=1e-5)


def test_the_cubic_penalty_by_hand() -> None:
    loss = GreedyHash(2, 2, False, seed=0)
    nn.init.zeros_(loss.classifier.weight)
    nn.init.zeros_(loss.classifier.bias)
    value, _ = loss(torch.tensor([[3.0, -0.5]]), torch.tensor([[1.0, 0.0]]))
    # log 2 of two equal scores, and 0.1 times the mean of (3-1)^3 and (1-0.5)^3
    assert value.item() == pytest.approx(math.log(2) + 0.1 * (8 + 0.125) / 2)


@both_kinds
@pytest.mark.parametrize("bits", [8, 7])
def test_hash_centers_loss_is_its_formula(labels: list[list[int]], bits: int) -> None:
    loss = HashCenters(bits, 3, multi_label=labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, bits)
    value, logits = loss(outputs, targets)
    similarity, quantization = [], []
    for output, classes in zip(outputs.tolist(), labels, strict=True):
        for k, raw in enumerate(output):
            h = math.tanh(raw)
            goal = (1 + center_bit(loss, classes, k)) / 2
            similarity.append(binary_cross_entropy((1 + h) / 2, goal))
            quantization.append(math.log(math.cosh(abs(h) - 1)))
    assert value.item() == pytest.approx(mean(similarity) + 1e-4 * mean(quantization), rel=1e-4)
    inner = np.tanh(outputs.numpy()) @ loss.centers.numpy().T / bits
    np.testing.assert_allclose(logits.numpy(), inner, rtol=1e-4, atol=1e-5)


def test_hash_centers_loss_is_least_at_the_center() -> None:
    loss = HashCenters(16, 3, multi_label=False, seed=0)
    targets = torch.eye(3)
    at_center, _ = loss(loss.centers * 10, targets)
    elsewhere, _ = loss(loss.centers.roll(1, 0) * 10, targets)
    assert float(at_center) < 1e-3 < float(elsewhere)


def test_gradients_point_to_the_center_however_far_the_outputs_are() -> None:
    for name in (LossName.CSQ, LossName.DPN):
        loss = loss_class(name)(16, 3, multi_label=False, seed=0)
        assert isinstance(loss, CenterLoss)
        outputs = (-loss.centers * 50).requires_grad_()  # every bit saturated, and wrong
        value, _ = loss(outputs, torch.eye(3))
        value.backward()
        assert outputs.grad is not None
        assert (outputs.grad.sign() == -loss.centers).all()


@both_kinds
@pytest.mark.parametrize("bits", [8, 7])
def test_deep_polarized_network_is_its_formula(labels: list[list[int]], bits: int) -> None:
    loss = DeepPolarizedNetwork(bits, 3, labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, bits)
    value, logits = loss(outputs, targets)
    hinges = [
        max(1 - h * center_bit(loss, classes, k), 0)
        for output, classes in zip(outputs.tolist(), labels, strict=True)
        for k, h in enumerate(output)
    ]
    assert value.item() == pytest.approx(mean(hinges), rel=1e-5)
    inner = outputs.numpy() @ loss.centers.numpy().T / bits
    np.testing.assert_allclose(logits.numpy(), inner, rtol=1e-4, atol=1e-5)


def test_outputs_beyond_the_margin_are_left_alone_by_hand() -> None:
    loss = DeepPolarizedNetwork(4, 2, False, seed=0)
    assert loss.centers.tolist() == [[1, 1, 1, 1], [1, -1, 1, -1]]
    outputs = torch.tensor([[2.0, 1.0, 0.25, -1.0]], requires_grad=True)
    value, _ = loss(outputs, torch.tensor([[1.0, 0.0]]))
    assert value.item() == (0 + 0 + 0.75 + 2) / 4
    value.backward()
    assert outputs.grad is not None
    assert outputs.grad.tolist() == [[0, 0, -0.25, -0.25]]


# -- OrthoHash --------------------------------------------------------------------------------


@both_kinds
@pytest.mark.parametrize("bits", [8, 7])
def test_ortho_hash_is_its_formula(labels: list[list[int]], bits: int) -> None:
    loss = OrthoHash(bits, 3, labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, bits)
    value, logits = loss(outputs, targets)
    columns = [list(column) for column in zip(*outputs.tolist(), strict=True)]
    middle = [mean(column) for column in columns]
    spread = [
        mean([(h - m) ** 2 for h in column]) for column, m in zip(columns, middle, strict=True)
    ]
    losses, scores = [], []
    for output, classes in zip(outputs.tolist(), labels, strict=True):
        z = [(h - m) / math.sqrt(v + 1e-5) for h, m, v in zip(output, middle, spread, strict=True)]
        cosines = [cosine(z, center) for center in loss.centers.tolist()]
        scores.append([8 * c for c in cosines])
        with_margin = [8 * (c - 0.2 * y) for c, y in zip(cosines, classes, strict=True)]
        goal = [y / max(sum(classes), 1) for y in classes]
        losses.append(cross_entropy(with_margin, goal))
    assert value.item() == pytest.approx(mean(losses), rel=1e-4)
    np.testing.assert_allclose(logits.detach().numpy(), scores, rtol=1e-4, atol=1e-4)


def test_ortho_hash_is_least_where_the_codes_are_the_targets() -> None:
    loss = OrthoHash(8, 4, False, seed=0)
    targets = torch.eye(4).repeat(2, 1)
    codes = loss.centers.repeat(2, 1)
    loss.eval()  # before training the norm has mean 0 and variance 1
    by_hand = math.log(math.exp(8 * 0.8) + 3) - 8 * 0.8  # cosines 1 and 0
    assert loss(codes, targets)[0].item() == pytest.approx(by_hand, rel=1e-3)
    loss.train()
    assert loss(codes, targets)[0] < loss(codes.roll(1, 0), targets)[0]


def test_the_batch_norm_of_ortho_hash_is_folded_into_the_hash_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    loss, layer = OrthoHash(24, 4, False, seed=0), nn.Linear(10, 24)
    for _ in range(5):
        features = torch.randn(16, 10, generator=generator) * 3 + 1
        loss(layer(features), torch.eye(4).repeat(4, 1))
    loss.eval()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    features = torch.randn(500, 10, generator=generator) * 3 + 1
    with torch.no_grad():
        batches_seen, layer_with_loss = loss.norm(layer(features)), loss.fold(layer)(features)
    assert (layer(features) - layer_with_loss).abs().max() > 0.1
    np.testing.assert_allclose(layer_with_loss, batches_seen, rtol=1e-4, atol=1e-5)
    sure = batches_seen.abs() > 1e-5
    assert ((layer_with_loss > 0) == (batches_seen > 0))[sure].all()
    assert sure.float().mean() > 0.99
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name])


# -- all of them ------------------------------------------------------------------------------

BOUNDED = {"ce", "csq", "dpn", "hashnet", "dch"}  # the others square or cube


@pytest.mark.parametrize("name", LOSSES)
@both_kinds
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 100.0, 1e4, 1e30])
def test_gradients_are_finite(name: str, labels: list[list[int]], size: float) -> None:
    if size > 1e4 and name not in BOUNDED:
        pytest.skip("beyond float32 by its formula")
    loss = loss_class(name)(16, 3, labels is MULTI, 0)
    outputs, targets = outputs_and_targets(labels, 16)
    outputs = (outputs * size).requires_grad_()
    value, logits = loss(outputs, targets, 0.5)
    value.backward()
    assert torch.isfinite(value)
    assert logits is None or torch.isfinite(logits).all()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    for parameter in loss.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_descent_brings_the_bits_of_a_class_together(name: str) -> None:
    torch.manual_seed(0)
    loss = loss_class(name)(16, 3, False, 0)
    layer, targets = nn.Linear(6, 16), torch.eye(3).repeat(4, 1)
    features = targets @ torch.randn(3, 6) * 2 + torch.randn(12, 6) * 0.3
    optimizer = torch.optim.SGD([*layer.parameters(), *loss.parameters()], lr=0.3)
    values = []
    for step in range(150):
        value, _ = loss(layer(features), targets, step / 150)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert np.mean(values[-20:]) < np.mean(values[:20])
    loss.eval()
    bits = loss.fold(layer)(features) > 0
    distances = (bits[:, None] != bits).sum(dim=2)
    same = targets @ targets.T > 0
    assert distances[same].float().mean() < distances[~same].float().mean() / 3


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"ortho"}))
def test_a_loss_that_adds_nothing_leaves_the_hash_layer_as_it_is(name: str) -> None:
    layer = nn.Linear(4, 8)
    assert loss_class(name)(8, 3, False, 0).fold(layer) is layer


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"csq", "dpn"}))
def test_other_losses_are_not_dithered(name: str) -> None:
    layer, loss = nn.Linear(4, 8), loss_class(name)(8, 3, False, 0).eval()
    assert torch.equal(loss.fold(layer, 0.9).bias, loss.fold(layer).bias)


# -- dithered thresholds ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HashCenters, DeepPolarizedNetwork])
@pytest.mark.parametrize("bits", [1, 7, 48])
def test_every_bit_has_a_threshold_of_its_own(kind: type[DitheredCenterLoss], bits: int) -> None:
    loss, layer = kind(bits, 2, False, seed=3), nn.Linear(5, bits)
    before = layer.bias.tolist()
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 2
    with torch.no_grad():
        outputs, layer_with_loss = (
            layer(features).tolist(),
            loss.fold(layer, 0.9)(features).tolist(),
        )
    levels = [0.9 * (2 * i - 1 - bits) / bits for i in range(1, bits + 1)]
    assert sorted(0.9 * loss.levels.numpy()) == pytest.approx(levels)
    for row, new in zip(outputs, layer_with_loss, strict=True):
        for k, (output, with_threshold) in enumerate(zip(row, new, strict=True)):
            margin = math.tanh(output) - 0.9 * float(loss.levels[k])
            assert abs(margin) < 1e-6 or (margin > 0) == (with_threshold > 0)
    assert layer.bias.tolist() == before


def test_thresholds_are_drawn_by_the_seed_alone() -> None:
    levels = [HashCenters(48, 10, False, seed).levels.tolist() for seed in (0, 0, 1)]
    assert levels[0] == levels[1] != levels[2]


def test_dithered_codes_tell_how_far_apart_the_outputs_are() -> None:
    bits = 1024
    loss, layer = HashCenters(bits, 4, False, seed=0), nn.Linear(1, bits)
    nn.init.constant_(layer.weight, 1.0)
    nn.init.zeros_(layer.bias)
    values = torch.tensor([[-2.0], [-0.5], [0.3], [0.4], [3.0]])
    with torch.no_grad():
        plain, dithered = loss.fold(layer)(values) > 0, loss.fold(layer, 0.999)(values) > 0
    for i, x in enumerate(values.flatten().tolist()):
        for j, y in enumerate(values.flatten().tolist()):
            expected = bits * abs(math.tanh(x) - math.tanh(y)) / 2
            assert int((dithered[i] != dithered[j]).sum()) == pytest.approx(expected, abs=1.5)
            assert int((plain[i] != plain[j]).sum()) == bits * (x * y < 0)


def test_classes_with_centers_close_together_are_warned_of() -> None:
    for name in LOSSES:
        assert loss_class(name)(48, 10, False, 0).describe() is None
        message = loss_class(name)(8, 100, False, 0).describe()
        if name not in ("csq", "dpn", "ortho"):
            assert message is None
            continue
        centers = loss_class(name)(8, 100, False, 0).centers
        pairs = itertools.combinations(centers.tolist(), 2)
        least = min(sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs)
        assert least < 2
        assert message == (
            "100 classes are many for 8 bits: the codes of two of them differ in only "
            f"{least}; a larger --bits sets them further apart"
        )


def test_centers_are_saved_with_the_loss() -> None:
    loss, other = HashCenters(37, 10, False, 0), HashCenters(37, 10, False, 1)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss.centers, other.centers)
    assert torch.equal(loss.ties, other.ties)
