"""Hash layers for images of several kinds at once, fitted without labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ITERATIONS = 50


@dataclass(frozen=True)
class Layer:
    """A bit is set if weight . f + bias > 0; float16, as in the package."""

    weight: NDArray[np.float16]  # (K, D)
    bias: NDArray[np.float16]  # (K,)


def fit_layer(kinds: Sequence[NDArray[np.float32]], bits: int, seed: int = 0) -> Layer:
    """A hash layer from features (N, D) of each kind of images. Every kind counts the same.

    ITQ (Gong and Lazebnik, CVPR 2011, https://doi.org/10.1109/CVPR.2011.5995432) with two changes.
    The covariance is the mean of the kinds' own covariances. And the directions are at right angles
    to the differences between the kinds' means: a bit that only tells one kind from another would
    be the same for all images of a folder.
    """
    centers = [kind.mean(axis=0, dtype=np.float64) for kind in kinds]
    centered = [kind - center for kind, center in zip(kinds, centers, strict=True)]
    differences = np.stack([center - centers[0] for center in centers[1:]] or [0 * centers[0]])
    _, sizes, rows = np.linalg.svd(differences, full_matrices=False)
    apart = rows[sizes > 1e-9]  # (d, D), orthonormal
    centered = [part - part @ apart.T @ apart for part in centered]
    covariance = sum(part.T @ part / len(part) for part in centered) / len(centered)
    _, vectors = np.linalg.eigh(covariance)
    directions = vectors[:, ::-1][:, :bits]  # (D, K)
    projected = np.concatenate([part @ directions / len(part) ** 0.5 for part in centered])
    weight = directions @ _rotation(projected, _shares(centered), seed)
    return _rounded(weight.T, centers[0])


def _shares(parts: Sequence[Array]) -> Array:
    """The weight of each row, (N, 1), by which every part has the same weight in all."""
    return np.concatenate([np.full((len(part), 1), len(part) ** -0.5) for part in parts])


def _rotation(projected: Array, shares: Array, seed: int) -> Array:
    """The rotation (K, K) that brings the rows of (N, K) nearest to the corners of a cube."""
    bits = projected.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(bits, bits)))[0].T
    for _ in range(ITERATIONS):
        corners = np.where(projected @ rotation > 0, shares, -shares)
        left, _, right = np.linalg.svd(projected.T @ corners)
        rotation = left @ right
    return rotation


def _rounded(weight: Array, center: Array) -> Layer:
    """The layer in float16. The bias is made from the rounded weight."""
    narrow = weight.astype(np.float16)
    return Layer(narrow, (-narrow.astype(np.float64) @ center).astype(np.float16))
