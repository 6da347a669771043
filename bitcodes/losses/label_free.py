"""Hash layers that need no labels and no training: fitted at once to the features of images.

Each function takes features (N, D), the number of bits K and a random seed, and returns `Planes`: a
bit is set if weight . f + bias > 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ConfigError
from bitcodes.losses import LossName

ITERATIONS = 50
_SAMPLE = 10_000  # images among which neighbours are looked for
_ROWS = 8192  # of features that are converted to float64 at once

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planes:
    """K hyperplanes of the feature space, which become the weights of the hash layer."""

    weight: NDArray[np.float32]  # (K, D)
    bias: NDArray[np.float32]  # (K,)

    @classmethod
    def through(cls, center: Array, weight: Array) -> "Planes":
        """Hyperplanes with normals `weight` (K, D) that meet at `center` (D,)."""
        return cls(weight.astype(np.float32), (-weight @ center).astype(np.float32))


Fit = Callable[[NDArray[np.float32], int, int], Planes]  # features (N, D), bits, seed


def fit_lsh(features: NDArray[np.float32], bits: int, seed: int) -> Planes:
    """Random hyperplanes through the mean of the features.

    Charikar, STOC 2002, https://doi.org/10.1145/509907.509965: a bit of two images at the angle t,
    seen from the mean, differs with probability t / pi.
    """
    center = features.mean(axis=0, dtype=np.float64)
    normals = np.random.default_rng(seed).normal(size=(bits, features.shape[1]))
    return Planes.through(center, normals)


def fit_itq(features: NDArray[np.float32], bits: int, seed: int) -> Planes:
    """ITQ: PCA, then the rotation that brings the projections nearest to the corners of a cube.

    Gong and Lazebnik, CVPR 2011, https://doi.org/10.1109/CVPR.2011.5995432. V (N, d) are the
    centered features, projected on the first d = K principal directions. R starts as a random
    rotation; these two steps repeat 50 times:

        B = sgn(V R)    and    R = argmin |B - V R|^2 = U W^T, where U S W^T = V^T B (SVD)

    If the features vary in fewer than K directions, d is their number and R (d, K) has orthonormal
    rows, from the same SVD.
    """
    _check_variety(features)
    center = features.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((features.shape[1],) * 2)
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS] - center
        covariance += part.T @ part / len(features)
    variances, vectors = np.linalg.eigh(covariance)
    directions = vectors[:, _largest(variances, 1e-9 * variances[-1], bits)]
    return _rotated(features, center, directions, bits, seed)


def fit_neighbours(features: NDArray[np.float32], bits: int, seed: int) -> Planes:
    """ITQ on the directions in which an image and its near neighbours agree.

    Not from a paper. It is a linear discriminant analysis in which each image and its nearest
    neighbours are a class. C is the covariance of the features, and M the covariance of the means
    of each image's k nearest neighbours by cosine. The generalised eigenvectors M w = s C w, scaled
    by their share of the variance, w^T C w = s^2, replace the principal directions of ITQ. k is the
    square root of the number of images, of which at most 10,000 random ones are used.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(features))[:_SAMPLE])
    _check_variety(features[rows])
    sample = features[rows].astype(np.float64)  # (n, D)
    center = sample.mean(axis=0)
    sample -= center
    means = neighbour_means(sample, max(1, round(len(sample) ** 0.5)))  # (n, D)
    covariance = sample.T @ sample / len(sample)
    shares, directions = _ratios(means.T @ means / len(sample), covariance, 1e-3, bits)
    return _rotated(features, center, directions * shares, bits, seed)


def fit_contrast(
    features: NDArray[np.float32], changes: NDArray[np.float32], bits: int, seed: int
) -> Planes:
    """ITQ on the directions in which images differ, and changed copies of an image do not.

    Features (N, D) of images, and differences (M, D) of the features of changed copies from those
    of their originals. It is a linear discriminant analysis in which each image and its copies are
    a class: a whitening learned from pairs of like images, as in Mikolajczyk and Matas, ICCV 2007,
    https://doi.org/10.1109/ICCV.2007.4408871. With the features scaled to a standard deviation of
    1, S is their covariance and W the mean of d d^T over the differences d, to which its mean
    variance is added. The generalised eigenvectors S w = s W w, scaled to w^T W w = 1, replace the
    principal directions of ITQ: the more images differ in a direction, compared with changes, the
    more bits it decides.
    """
    _check_variety(features)
    center, scale = features.mean(axis=0, dtype=np.float64), spread(features)
    covariance = np.zeros((features.shape[1],) * 2)
    for start in range(0, len(features), _ROWS):
        part = (features[start : start + _ROWS] - center) / scale
        covariance += part.T @ part / len(features)
    differences = changes / scale
    within = differences.T @ differences / max(1, len(differences))
    _, directions = _ratios(covariance, within, 1.0, bits)
    return _rotated(features, center, directions / scale[:, None], bits, seed)


def spread(features: NDArray[np.float32]) -> Array:
    """The standard deviation (D,) of features (N, D), and a little, as some may never vary."""
    deviation = features.std(axis=0, dtype=np.float64)
    return np.asarray(deviation + 1e-6 * max(deviation.max(), 1e-12))


def _ratios(covariance: Array, other: Array, ridge: float, bits: int) -> tuple[Array, Array]:
    """The largest ratios s (d,) of two covariances (D, D), and their directions w (D, d).

    covariance w = s other w, with w^T other w = 1. Ratios next to nothing are left out. The mean
    variance of `other`, times `ridge`, is added to all of its variances: few images do not vary in
    every direction.
    """
    added = max(ridge * np.trace(other) / len(other), 1e-9 * np.trace(covariance))
    inverse = np.linalg.inv(np.linalg.cholesky(other + added * np.eye(len(other))))
    ratios, vectors = np.linalg.eigh(inverse @ covariance @ inverse.T)
    largest = _largest(ratios, 1e-6 * min(1.0, ratios[-1]), bits)
    return ratios[largest], inverse.T @ vectors[:, largest]


def _largest(values: Array, least: float, count: int) -> list[int]:
    """Positions in ascending values of the last `count` above `least`, the largest first."""
    return [i for i in range(len(values))[::-1] if values[i] > least][:count]


def _rotated(
    features: NDArray[np.float32], center: Array, directions: Array, bits: int, seed: int
) -> Planes:
    """The hyperplanes of `directions` (D, d) after the rotation of ITQ, from a random one on."""
    starts = range(0, len(features), _ROWS)
    parts = [(features[start : start + _ROWS] - center) @ directions for start in starts]
    projected = np.concatenate(parts)  # (N, d)
    random = np.random.default_rng(seed).normal(size=(bits, projected.shape[1]))
    rotation = np.linalg.qr(random)[0].T  # (d, K) with orthonormal rows, d <= K
    for _ in range(ITERATIONS):
        corners = np.where(projected @ rotation > 0, 1.0, -1.0)  # (N, K)
        left, _, right = np.linalg.svd(projected.T @ corners, full_matrices=False)
        rotation = left @ right
    return Planes.through(center, (directions @ rotation).T)


def neighbour_means(centered: Array, count: int) -> Array:
    """The mean of the `count` nearest other rows by cosine, for each row of (N, D): (N, D)."""
    unit = centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-12)
    unit = unit.astype(np.float32)
    means = np.empty_like(centered)
    for start in range(0, len(unit), 1024):
        rows = np.arange(start, min(start + 1024, len(unit)))
        likeness = unit[rows] @ unit.T
        likeness[np.arange(len(rows)), rows] = -2  # not itself
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]  # (n, k)
        for row, others in zip(rows, nearest, strict=True):
            means[row] = centered[others].mean(axis=0)
    return means


def _check_variety(features: NDArray[np.float32]) -> None:
    if (features == features[0]).all():
        raise ConfigError(
            "all images have the same features, so no code can tell them apart: "
            "give --data with different images"
        )


def fit_function(name: LossName) -> Fit:
    """The function that fits a hash layer, by the name of its loss."""
    fit: Fit = name.load()
    return fit
