"""Hash centers: how far apart they are, against counting and the theory of Hadamard matrices."""

from itertools import combinations, permutations

import numpy as np
import pytest

from bitcodes.errors import ConfigError
from bitcodes.losses import LossName
from bitcodes.losses.base import loss_class
from bitcodes.losses.centers import hash_centers, minimum_distance, spread_levels


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
    with pytest.raises(ConfigError, match=r"11 classes .* 3 bits make only 8; raise .* at least 4"):
        hash_centers(3, 11, seed=0)
    with pytest.raises(ConfigError, match="raise --bits"):
        loss_class(LossName.CSQ)(1, 3, False, 0)


def test_minimum_distance_of_one_center_is_the_length() -> None:
    assert minimum_distance(np.ones((1, 5), np.float32)) == 5


# -- levels ------------------------------------------------------------------------------------


def unevenness(centers: np.ndarray, levels: tuple[float, ...]) -> float:
    """How far from even the places are where the bits change between two centers, by definition."""
    total = 0.0
    for a, b in combinations(centers, 2):
        places = sorted(x * level for x, y, level in zip(a, b, levels, strict=True) if x != y)
        n = len(places)
        total += sum((p - ((2 * i + 1) / n - 1)) ** 2 for i, p in enumerate(places)) / n
    return total


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (5, 2), (8, 3)])
def test_levels_part_any_two_classes_as_evenly_as_any_order_does(classes: int, seed: int) -> None:
    bits = 6
    rng = np.random.default_rng(seed)
    rows = rng.choice(2**bits, classes, replace=False)
    centers = ((rows[:, None] >> np.arange(bits)) & 1) * 2.0 - 1
    levels = [(2 * i + 1 - bits) / bits for i in range(bits)]
    costs = sorted(unevenness(centers, order) for order in permutations(levels))
    result = spread_levels(centers.astype(np.float32), seed)
    assert sorted(result.tolist()) == pytest.approx(levels)
    # An exchange of two finds the best order or one of the best hundredth.
    assert unevenness(centers, tuple(result.tolist())) <= costs[len(costs) // 100] + 1e-6


def test_two_opposite_classes_are_parted_evenly_by_any_order() -> None:
    centers = np.stack([np.ones(16), -np.ones(16)]).astype(np.float32)
    orders = [spread_levels(centers, seed).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert unevenness(centers, tuple(orders[0])) == pytest.approx(0)


@pytest.mark.parametrize(("bits", "classes"), [(48, 10), (37, 30), (64, 100)])
def test_levels_are_more_even_than_random_ones(bits: int, classes: int) -> None:
    centers = hash_centers(bits, classes, 0)
    levels = spread_levels(centers, 0)
    assert levels.dtype == np.float32
    rng = np.random.default_rng(0)
    random = [unevenness(centers, tuple(rng.permutation(levels))) for _ in range(20)]
    assert unevenness(centers, tuple(levels)) < 0.85 * min(random)


@pytest.mark.parametrize(("bits", "classes"), [(1, 1), (1, 2), (8, 1)])
def test_there_are_levels_where_there_is_little_to_part(bits: int, classes: int) -> None:
    levels = spread_levels(hash_centers(bits, classes, 0), 0)
    target = [(2 * i + 1 - bits) / bits for i in range(bits)]
    assert sorted(levels.tolist()) == pytest.approx(target)
