"""Features for `--freeze`: computed once, then only the hash layer is trained."""

from collections.abc import Callable

import numpy as np
import torch

from bitcodes.data.loading import TrainingImages
from bitcodes.models.hashing import HashModel

_BATCH = 128


@torch.inference_mode()
def compute_features(
    model: HashModel, images: TrainingImages, between: Callable[[], None]
) -> torch.Tensor:
    """Features of every image and of its mirror image, float32 (2, N, D), on the CPU.

    `between` is called before each batch, and may raise to stop.
    """
    features = torch.empty(2, len(images), model.feature_dim)
    rows = np.arange(len(images))
    batches = [rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH)]
    model.eval()
    for batch, pictures in zip(batches, images.batches(batches), strict=True):
        between()
        pixels = model.preprocessing.normalise(pictures.to(model.device))
        for view, shown in enumerate((pixels, pixels.flip(-1))):
            features[view, torch.from_numpy(batch)] = model.backbone(shown).float().cpu()
    return features
