"""The hash model: a backbone, and the hash layer that turns its features into bits."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitcodes.data.transforms import Preprocessing
from bitcodes.models.backbones import find_backbone

# Float32 sums come out in another order in another batch, so a hash output this near to zero,
# relative to |weights| x |features|, could get another sign. Such images are run by themselves,
# and their outputs then depend on nothing but the image. Seen in practice: differences to 7e-7.
_UNSURE = 3e-5


@dataclass(frozen=True)
class Encoded:
    """What the model makes of B images; `bit = output > 0`."""

    outputs: NDArray[np.float32]  # (B, K)
    features: NDArray[np.float32]  # (B, D)


class HashModel(nn.Module):
    """Backbone -> features (B, D) -> hash layer (B, K): everything that encoding needs.

    `class_names` are those of the data it was trained on, in label order, maybe empty.
    """

    def __init__(
        self,
        backbone: str,
        bits: int,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...] = (),
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        spec = find_backbone(backbone)
        self.backbone_name = backbone
        self.bits = bits
        self.feature_dim = spec.feature_dim
        self.preprocessing = preprocessing
        self.class_names = class_names
        self.path: Path | None = None  # the file it was loaded from
        self.backbone = spec.build(pretrained)
        self.hash_layer = nn.Linear(spec.feature_dim, bits)
        nn.init.normal_(self.hash_layer.weight, std=spec.feature_dim**-0.5)
        nn.init.zeros_(self.hash_layer.bias)
        self.to(memory_format=torch.channels_last)

    def with_hash_layer(self, hash_layer: nn.Linear) -> "HashModel":
        """The same model with another hash layer: the backbone is shared, not copied."""
        other = copy.copy(self)
        other._modules = {**self._modules, "hash_layer": hash_layer}
        return other

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.hash_layer.weight.device

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, 3, S, S) -> hash outputs (B, K)."""
        return self.hash_features(self.backbone(images))

    def hash_features(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, D) -> hash outputs (B, K)."""
        outputs: torch.Tensor = self.hash_layer(features)
        return outputs

    @torch.inference_mode()
    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images on the model's device, uint8 (B, S, S, 3) -> features (B, D), always float32."""
        with _evaluating(self), _full_precision():
            features: torch.Tensor = self.backbone(self.preprocessing.normalise(pixels)).float()
            return features

    @torch.inference_mode()
    def encode_batch(self, images: NDArray[np.uint8]) -> Encoded:
        """Images as `preprocessing.to_array` gives them, uint8 (B, S, S, 3), to hash outputs.

        The bits of an image do not depend on the other images of its batch. Always float32.
        """
        with _evaluating(self), _full_precision():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
            outputs, features = self._outputs(pixels)
            if len(pixels) > 1:
                scale = self.hash_layer.weight.norm(dim=1) * features.norm(dim=1, keepdim=True)
                unsure = (outputs.abs() <= _UNSURE * scale).any(dim=1)  # (B,)
                for row in unsure.nonzero()[:, 0].tolist():
                    outputs[row], features[row] = (
                        alone[0] for alone in self._outputs(pixels[row : row + 1])
                    )
        return Encoded(outputs.cpu().numpy(), features.cpu().numpy())

    def _outputs(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.backbone(self.preprocessing.normalise(pixels)).float()  # (B, D)
        return self.hash_features(features), features


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Float32 that is float32: without TensorFloat-32, which would cost ten bits on CUDA."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
