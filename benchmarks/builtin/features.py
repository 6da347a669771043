"""Features of images, computed once and kept."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.images.transforms import Preprocessing

BACKBONE = "tf_efficientnet_lite0_trunk"


def features_of(
    name: str,
    images: Iterable[Image.Image],
    preprocessing: Preprocessing,
    cache: Path,
    backbone: str = BACKBONE,
) -> NDArray[np.float32]:
    """Features (N, D) of the images, kept in `cache` under `name`, as float16."""
    from bitcodes.models.encoding import encode_images
    from bitcodes.models.hashing import HashModel

    key = f"{backbone} {preprocessing.canonical()}"
    path = cache / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npy"
    if not path.exists():
        model = HashModel(backbone, 1, preprocessing, weights="pretrained").eval()
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, encode_images(model, images).features.astype(np.float16))
    features: NDArray[np.float32] = np.load(path).astype(np.float32)
    return features
