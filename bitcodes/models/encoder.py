"""What encoding asks of a model, whatever runs it; light to import."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.parts import Parts
from bitcodes.images.transforms import Preprocessing

# Float32 sums come out in another order in another batch, so a hash output this near to zero,
# relative to |weights| x |features|, could get another sign. Such images are run by themselves,
# and their outputs then depend on nothing but the image. Seen in practice: differences to 7e-7.
UNSURE = 3e-5

_PIXELS_AT_ONCE = 4 * 224 * 224


def images_at_once(side: int) -> int:
    """How many images of `side` pixels a CPU should compute at a time: their maps fit its caches.

    With many more, an image takes up to twice as long.
    """
    return max(1, _PIXELS_AT_ONCE // side**2)


@dataclass(frozen=True)
class Encoded:
    """What the model makes of B images; `bit = output > 0`."""

    outputs: NDArray[np.float32]  # (B, K)
    features: NDArray[np.float32]  # (B, D)


class Encoder(Protocol):
    """A model that encodes; `engine` and `dtype` say what runs it and how it computes."""

    @property
    def engine(self) -> str:
        """What runs it: torch or onnx."""

    @property
    def dtype(self) -> str:
        """What it computes in: float32 or bfloat16."""

    @property
    def bits(self) -> int:
        """K."""

    @property
    def parts(self) -> Parts | None:
        """The class bits and the instance bits, if the codes have these parts."""

    @property
    def feature_dim(self) -> int:
        """D."""

    @property
    def backbone_name(self) -> str:
        """The backbone, by name."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes what `encode_batch` takes."""

    @property
    def path(self) -> Path | str | None:
        """The model file it was loaded from, or the name of the built-in model."""

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the model's weights and preprocessing: equal means equal codes."""

    def encode_batch(self, images: NDArray[np.uint8]) -> Encoded:
        """uint8 (B, S, S, 3) -> Encoded; bits of an image do not depend on its batch."""


def settle(
    encoded: Encoded,
    images: NDArray[np.uint8],
    norms: NDArray[np.float32],
    alone: Callable[[NDArray[np.uint8]], Encoded],
) -> None:
    """Run images of a batch alone, whose bits rounding could turn, and put in what comes out.

    `norms` are the lengths of the hash layer's weight vectors, (K,).
    """
    if len(images) < 2:
        return
    lengths = np.linalg.norm(encoded.features, axis=1, keepdims=True)  # (B, 1)
    unsure = (np.abs(encoded.outputs) <= UNSURE * norms * lengths).any(axis=1)  # (B,)
    for row in np.flatnonzero(unsure):
        single = alone(images[row : row + 1])
        encoded.outputs[row], encoded.features[row] = single.outputs[0], single.features[0]
