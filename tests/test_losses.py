"""The losses against loops written from their formulas, and the hash centers against counting."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from bitcodes.errors import ConfigError
from bitcodes.losses import LOSSES, HashCenters, LatentCrossEntropy, hash_centers, minimum_distance

SINGLE = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]
MULTI = [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]  # among them no label, and two


def outputs_and_targets(labels: list[list[int]], bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = torch.randn(len(labels), bits, generator=torch.Generator().manual_seed(3)) * 2
    return outputs, torch.tensor(labels, dtype=torch.float32)


def binary_cross_entropy(probability: float, target: float) -> float:
    return -(target * math.log(probability) + (1 - target) * math.log(1 - probability))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def classifier_scores(loss: LatentCrossEntropy, outputs: torch.Tensor) -> list[list[float]]:
    weight, bias = loss.classifier.weight.tolist(), loss.classifier.bias.tolist()
    return [
        [
            sum(w * sigmoid(h) for w, h in zip(row, output, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        for output in outputs.tolist()
    ]


def test_latent_cross_entropy_is_its_formula() -> None:
    loss = LatentCrossEntropy(8, 3, multi_label=False, seed=0)
    outputs, targets = outputs_and_targets(SINGLE, 8)
    value, logits = loss(outputs, targets)
    scores = classifier_scores(loss, outputs)
    expected = [
        math.log(sum(map(math.exp, row))) - row[labels.index(1)]
        for row, labels in zip(scores, SINGLE, strict=True)
    ]
    assert value.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    np.testing.assert_allclose(logits.detach().numpy(), scores, rtol=1e-5, atol=1e-6)


def test_latent_cross_entropy_of_several_labels_is_binary() -> None:
    loss = LatentCrossEntropy(8, 3, multi_label=True, seed=0)
    outputs, targets = outputs_and_targets(MULTI, 8)
    value, _ = loss(outputs, targets)
    expected = [
        binary_cross_entropy(sigmoid(score), label)
        for scores, labels in zip(classifier_scores(loss, outputs), MULTI, strict=True)
        for score, label in zip(scores, labels, strict=True)
    ]
    assert value.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])
@pytest.mark.parametrize("bits", [8, 7])
def test_hash_centers_loss_is_its_formula(labels: list[list[int]], bits: int) -> None:
    loss = HashCenters(bits, 3, multi_label=labels is MULTI, seed=0)
    outputs, targets = outputs_and_targets(labels, bits)
    value, logits = loss(outputs, targets)
    centers, ties = loss.centers.tolist(), loss.ties.tolist()
    similarity, quantization = [], []
    for output, classes in zip(outputs.tolist(), labels, strict=True):
        for k, raw in enumerate(output):
            votes = sum(centers[c][k] for c, member in enumerate(classes) if member)
            center = ties[k] if votes == 0 else math.copysign(1, votes)
            h = math.tanh(raw)
            similarity.append(binary_cross_entropy((1 + h) / 2, (1 + center) / 2))
            quantization.append(math.log(math.cosh(abs(h) - 1)))
    count = len(labels) * bits
    expected = sum(similarity) / count + 1e-4 * sum(quantization) / count
    assert value.item() == pytest.approx(expected, rel=1e-4)
    inner = np.tanh(outputs.numpy()) @ loss.centers.numpy().T / bits
    np.testing.assert_allclose(logits.numpy(), inner, rtol=1e-4, atol=1e-5)


def test_hash_centers_loss_is_least_at_the_center() -> None:
    loss = HashCenters(16, 3, multi_label=False, seed=0)
    targets = torch.eye(3)
    at_center, _ = loss(loss.centers * 10, targets)
    elsewhere, _ = loss(loss.centers.roll(1, 0) * 10, targets)
    assert float(at_center) < 1e-3 < float(elsewhere)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 100.0, 1e4, 1e30])
def test_gradients_are_finite(name: str, labels: list[list[int]], size: float) -> None:
    loss = LOSSES[name](16, 3, labels is MULTI, 0)
    outputs, targets = outputs_and_targets(labels, 16)
    outputs = (outputs * size).requires_grad_()
    value, logits = loss(outputs, targets)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits).all()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    for parameter in loss.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_gradients_point_to_the_center_however_far_the_outputs_are() -> None:
    loss = HashCenters(16, 3, multi_label=False, seed=0)
    outputs = (-loss.centers * 50).requires_grad_()  # every bit saturated, and wrong
    value, _ = loss(outputs, torch.eye(3))
    value.backward()
    assert outputs.grad is not None
    assert (outputs.grad.sign() == -loss.centers).all()


@pytest.mark.parametrize("bits", range(1, 129))
def test_hash_centers_for_every_length(bits: int) -> None:
    classes = min(10, 2**bits)
    centers = hash_centers(bits, classes, seed=0)
    assert centers.shape == (classes, bits)
    assert centers.dtype == np.float32
    assert set(np.unique(centers)) <= {-1, 1}
    distances = [int((a != b).sum()) for a, b in combinations(centers, 2)]
    assert minimum_distance(centers) == min(distances) > 0
    if bits >= 16:
        # Plotkin: no ten codes are all farther than 5/9 K from each other.
        assert bits / 3 < min(distances) <= bits * 5 / 9


@pytest.mark.parametrize(("bits", "classes"), [(1, 1), (7, 1), (37, 2), (29, 33), (64, 129)])
def test_hash_centers_for_few_and_many_classes(bits: int, classes: int) -> None:
    centers = hash_centers(bits, classes, seed=0)
    assert centers.shape == (classes, bits)
    assert len(np.unique(centers, axis=0)) == classes
    if classes == 2:
        assert minimum_distance(centers) > 0.7 * bits


ORDERS = [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 44, 48, 60, 64, 68, 72, 80, 84, 88, 96, 104, 108]
ORDERS += [120, 128]  # those that Sylvester's doubling of Paley's first construction reaches


@pytest.mark.parametrize("bits", ORDERS)
def test_hadamard_rows_are_orthogonal_and_their_negatives_opposite(bits: int) -> None:
    centers = hash_centers(bits, 2 * bits, seed=0).astype(np.int64)
    products = centers @ centers.T
    eye = np.eye(bits, dtype=np.int64) * bits
    np.testing.assert_array_equal(products, np.block([[eye, -eye], [-eye, eye]]))
    if bits > 1:
        assert minimum_distance(hash_centers(bits, 2 * bits, 0)) == bits // 2


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_as_many_classes_as_there_are_codes(bits: int) -> None:
    centers = hash_centers(bits, 2**bits, seed=1)
    assert len(np.unique(centers, axis=0)) == 2**bits
    assert minimum_distance(centers) == 1


@pytest.mark.parametrize(("bits", "classes"), [(12, 1000), (13, 500), (16, 3000), (48, 200)])
def test_many_classes_never_share_a_code(bits: int, classes: int) -> None:
    assert len(np.unique(hash_centers(bits, classes, seed=0), axis=0)) == classes


@pytest.mark.parametrize("bits", [1, 16, 37, 48])
def test_the_same_seed_chooses_the_same_codes(bits: int) -> None:
    np.testing.assert_array_equal(hash_centers(bits, 2, seed=5), hash_centers(bits, 2, seed=5))


def test_another_seed_chooses_other_codes_where_they_are_random() -> None:
    assert (hash_centers(37, 10, seed=0) != hash_centers(37, 10, seed=1)).any()


def test_more_classes_than_codes_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"11 classes .* 3 bits have only 8; raise .* at least 4"):
        hash_centers(3, 11, seed=0)
    with pytest.raises(ConfigError, match="raise --bits"):
        LOSSES["csq"](1, 3, False, 0)


def test_minimum_distance_of_one_center_is_the_length() -> None:
    assert minimum_distance(np.ones((1, 5), np.float32)) == 5


def test_the_minimum_distance_is_reported() -> None:
    assert HashCenters(48, 10, False, 0).describe() == {"minimum distance of hash centers": 24}
    assert LatentCrossEntropy(48, 10, False, 0).describe() == {}


def test_centers_are_saved_with_the_loss() -> None:
    loss, other = HashCenters(37, 10, False, 0), HashCenters(37, 10, False, 1)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss.centers, other.centers)
    assert torch.equal(loss.ties, other.ties)
