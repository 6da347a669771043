"""Hash layers without labels: against slow versions, geometry, and data whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bitcodes.errors import ConfigError
from bitcodes.losses import LABEL_FREE, LossName
from bitcodes.losses.label_free import (
    Planes,
    fit_contrast,
    fit_function,
    fit_itq,
    fit_lsh,
    fit_neighbours,
    neighbour_means,
)


def outputs(planes: Planes, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hash outputs as the hash layer gives them."""
    return features @ planes.weight.T.astype(np.float64) + planes.bias


def random_features(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Features with a mean far from zero and a spread that differs by direction."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, width)) * np.linspace(3, 0.2, width)
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return (mixed @ turn + 5).astype(np.float32)


def slow_itq(features: NDArray[np.float32], bits: int, start: NDArray[np.float64]) -> float:
    """The mean quantization error that ITQ reaches, by the paper's algorithm step for step."""
    centered = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    projected = centered @ directions[:bits].T
    rotation = start
    for _ in range(50):
        corners = np.sign(projected @ rotation)
        s, _, s_hat = np.linalg.svd(corners.T @ projected)  # S Omega S_hat^T = B^T V
        rotation = (s @ s_hat).T  # R = S_hat S^T
    return float(((np.sign(projected @ rotation) - projected @ rotation) ** 2).mean())


def test_itq_reaches_what_the_papers_algorithm_reaches() -> None:
    features = random_features(300, 12)
    result = outputs(fit_itq(features, 6, seed=0), features)
    error = float(((np.sign(result) - result) ** 2).mean())
    rng = np.random.default_rng(1)
    starts = [np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(20)]
    reached = [slow_itq(features, 6, start) for start in starts]
    # Where it ends depends on where it begins, and the signs of principal directions are free.
    assert min(reached) * 0.999 <= error <= max(reached) * 1.001


def test_the_outputs_of_itq_are_the_principal_components_turned() -> None:
    features = random_features(200, 10)
    result = outputs(fit_itq(features, 4, seed=0), features)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-4)
    centered = features - features.mean(axis=0, dtype=np.float64)
    variances = np.linalg.svd(centered, compute_uv=False)[:4] ** 2
    np.testing.assert_allclose(np.linalg.svd(result, compute_uv=False) ** 2, variances, rtol=1e-4)


def test_itq_turns_four_heaps_into_the_corners_of_a_square() -> None:
    """By hand: heaps at the corners of a square that stands at 30 degrees, in 3 dimensions."""
    angle = np.pi / 6
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) @ turn
    heaps = np.repeat(corners, 50, axis=0)
    noise = np.random.default_rng(0).normal(size=(200, 3)) * 0.05
    features = (np.hstack([heaps, np.zeros((200, 1))]) + noise + 7).astype(np.float32)
    result = outputs(fit_itq(features, 2, seed=0), features)
    bits = (result > 0).reshape(4, 50, 2)
    assert (bits == bits[:, :1]).all()  # one code a heap
    assert len(np.unique(bits[:, 0], axis=0)) == 4  # and each its own
    np.testing.assert_allclose(np.abs(result), 1, atol=0.35)


@pytest.mark.parametrize(
    ("name", "count"), [("itq", 2), ("itq", 5), ("itq", 40), ("itq-nn", 2), ("itq-nn", 40)]
)
def test_more_bits_than_the_images_have_directions(name: str, count: int) -> None:
    features = random_features(count, 16)
    planes = fit_function(LossName(name))(features, 64, 0)
    assert planes.weight.shape == (64, 16)
    assert np.isfinite(planes.weight).all()
    assert len(np.unique(outputs(planes, features) > 0, axis=0)) == count


def test_bits_of_lsh_differ_in_proportion_to_the_angle() -> None:
    center, radius = np.array([4.0, -2.0]), 3.0
    angles = np.array([0.0, 0.5, 1.0, 3.0])
    offsets = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    features = np.concatenate([center + offsets, center - offsets]).astype(np.float32)
    planes = fit_lsh(features, 20_000, seed=0)
    bits = outputs(planes, features) > 0
    for other in (1, 2, 3):
        share = (bits[0] != bits[other]).mean()
        assert share == pytest.approx(angles[other] / np.pi, abs=0.02)
    assert (bits[:4] != bits[4:]).all()  # opposite points


def test_neighbour_means_are_those_of_a_loop() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    expected = []
    for i, row in enumerate(rows):
        cosines = [
            (row @ other / np.linalg.norm(row) / np.linalg.norm(other), j)
            for j, other in enumerate(rows)
            if j != i
        ]
        nearest = [j for _, j in sorted(cosines, reverse=True)[:3]]
        expected.append(rows[nearest].mean(axis=0))
    np.testing.assert_allclose(neighbour_means(rows, 3), expected, rtol=1e-5)


def test_neighbours_find_the_heaps_where_the_largest_variance_is_noise() -> None:
    rng = np.random.default_rng(0)
    heaps = np.repeat(rng.normal(size=(8, 20)), 100, axis=0) * 0.7  # (800, 20)
    noise = rng.normal(size=(800, 20)) * np.array([3.0, 3.0, 3.0] + [0.15] * 17)
    features = (heaps + noise).astype(np.float32)
    classes = np.repeat(np.arange(8), 100)

    def gap(planes: Planes) -> float:
        bits = outputs(planes, features) > 0
        distances = (bits[:, None] != bits).mean(axis=2)
        same = classes[:, None] == classes
        return float(distances[~same].mean() - distances[same].mean())

    assert gap(fit_neighbours(features, 4, 0)) > 1.5 * gap(fit_itq(features, 4, 0))


@pytest.mark.parametrize("name", LABEL_FREE)
def test_the_seed_decides(name: str) -> None:
    features = random_features(60, 8)
    one, again, other = (fit_function(name)(features, 8, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.weight, again.weight)
    np.testing.assert_array_equal(one.bias, again.bias)
    assert (one.weight != other.weight).any()
    assert one.weight.dtype == one.bias.dtype == np.float32


@pytest.mark.parametrize("name", [LossName.ITQ, LossName.ITQ_NN])
def test_images_that_do_not_differ_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="all images have the same features"):
        fit_function(name)(np.ones((5, 4), np.float32), 8, 0)


def test_contrast_finds_the_direction_that_changes_leave_alone() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 3)).astype(np.float32) * np.float32([10, 1, 0.1])
    changes = rng.normal(size=(200, 3)).astype(np.float32) * np.float32([10, 0.1, 0.1])
    planes = fit_contrast(features, changes, 1, 0)
    bits = outputs(planes, features)[:, 0] > 0
    expected = features[:, 1] > features[:, 1].mean()
    assert max((bits == expected).mean(), (bits != expected).mean()) > 0.95


def test_directions_of_contrast_solve_the_generalised_eigenproblem() -> None:
    features, changes = random_features(300, 8), random_features(100, 8, seed=2) - 5
    planes = fit_contrast(features, changes, 3, 0)
    scaled = features.std(axis=0, dtype=np.float64)
    covariance = np.cov((features / scaled).T, bias=True)
    noise = (changes / scaled).T @ (changes / scaled) / len(changes)
    noise += np.trace(noise) / 8 * np.eye(8)
    values, vectors = np.linalg.eig(np.linalg.solve(noise, covariance))
    best = vectors[:, np.argsort(-values.real)[:3]].real
    # The bits' normals span the same space as the three best directions, in which changes count 1.
    normals = (planes.weight * scaled).T  # (8, 3) in scaled features
    coefficients = np.linalg.lstsq(best, normals, rcond=None)[0]
    np.testing.assert_allclose(best @ coefficients, normals, atol=1e-3)
    np.testing.assert_allclose(normals.T @ noise @ normals, np.eye(3), atol=1e-3)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_contrast_of_few_images_and_of_changes_that_change_nothing(count: int) -> None:
    features = random_features(count, 16)
    planes = fit_contrast(features, np.zeros((3, 16), np.float32), 64, 0)
    assert np.isfinite(planes.weight).all() and planes.weight.shape == (64, 16)
    assert len(np.unique(outputs(planes, features) > 0, axis=0)) == count
