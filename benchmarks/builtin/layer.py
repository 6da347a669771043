"""The hash layer of the built-in model: one for images of several kinds, fitted without labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitcodes.losses.label_free import neighbour_means

Array = NDArray[np.float64]

STARTS = 10
ITERATIONS = 25


@dataclass(frozen=True)
class Layer:
    """A bit is set if weight . f + bias > 0; float16, as in the package."""

    weight: NDArray[np.float16]  # (K, D)
    bias: NDArray[np.float16]  # (K,)

    def codes(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(N, D) -> (N, K)."""
        return features @ self.weight.astype(np.float32).T + self.bias.astype(np.float32) > 0


def fit_layer(images: NDArray[np.float32], prototypes: NDArray[np.float32], bits: int) -> Layer:
    """A hash layer from features of images (N, D) and of prototypes (M, D).

    ITQ (Gong and Lazebnik, CVPR 2011, https://doi.org/10.1109/CVPR.2011.5995432) of three sets with
    the same weight: the images, the means of each image's nearest neighbours, and the prototypes.
    The second keeps what similar images have in common, the third what tells photographs of
    different things apart.

    The images' mean m is not that of photographs, which is near 0. The directions are at right
    angles to m: so both means lie on every hyperplane, and every bit halves both kinds of images.
    """
    mean = images.mean(axis=0, dtype=np.float64)
    centered = images - mean
    neighbours = neighbour_means(centered, round(len(images) ** 0.5))
    sets = [_scaled(part, mean) for part in (centered, neighbours, prototypes)]
    covariance = sum(part.T @ part for part in sets)
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :bits]  # (D, K)
    projected = [part @ directions for part in sets]
    shares = [np.full((len(part), 1), len(part) ** -0.5) for part in sets]
    rotation = _best_rotation(np.concatenate(projected), np.concatenate(shares))
    weight = (directions @ rotation).T.astype(np.float16)
    return Layer(weight, (-weight.astype(np.float64) @ mean).astype(np.float16))


def _scaled(part: NDArray[np.floating], normal: Array) -> Array:
    """Rows (n, D) about their mean, at right angles to `normal`, with a sum of squares of 1."""
    unit = normal / np.linalg.norm(normal)
    rows = part - part.mean(axis=0, dtype=np.float64)
    rows -= np.outer(rows @ unit, unit)
    return rows / np.linalg.norm(rows)  # type: ignore[no-any-return]


def _best_rotation(projected: Array, shares: Array) -> Array:
    """Of several rotations, the one that brings the rows of (N, K) nearest to a cube's corners."""
    rotations = [_rotation(projected, shares, seed) for seed in range(STARTS)]
    return max(rotations, key=lambda rotation: float((abs(projected @ rotation) * shares).sum()))


def _rotation(projected: Array, shares: Array, seed: int) -> Array:
    """The rotation (K, K) of ITQ; the row i of (N, K) counts as `shares[i]` of a corner."""
    bits = projected.shape[1]
    rotation: Array = np.linalg.qr(np.random.default_rng(seed).normal(size=(bits, bits)))[0].T
    for _ in range(ITERATIONS):
        corners = np.where(projected @ rotation > 0, shares, -shares)
        left, _, right = np.linalg.svd(projected.T @ corners)
        rotation = left @ right
    return rotation
