"""The hash model: a backbone, and the hash layer that turns its features into bits."""

import copy
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitcodes.codes.parts import Parts
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbones import find_backbone, start_from
from bitcodes.models.encoder import Encoded, images_at_once, settle
from bitcodes.models.memory import keep_freed_memory
from bitcodes.wording import counted


class HashModel(nn.Module):
    """Backbone -> features (B, D) -> hash layer (B, K): everything that encoding needs.

    `class_names` are those of the training data, in label order, or empty. `weights` are those of
    the backbone: published ones, random ones, or a file; the layers in `untrained` get random ones
    in any case. With `hidden`, a layer of that width (linear, batch norm, ReLU) follows the
    backbone, and D is its width. `encode_batch` computes the features in `dtype`.
    """

    engine = "torch"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __init__(
        self,
        backbone: str,
        bits: int,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...] = (),
        weights: Literal["pretrained", "random"] | Path = "random",
        untrained: Iterable[str] = (),
        hidden: int = 0,
    ) -> None:
        super().__init__()
        spec = find_backbone(backbone)
        self.backbone_name = backbone
        self.bits = bits
        self.parts: Parts | None = None  # of the bits, if there are two
        self.backbone_dim = spec.feature_dim
        self.feature_dim = hidden or spec.feature_dim  # D
        self.preprocessing = preprocessing
        self.class_names = class_names
        self.path: Path | str | None = None  # the file it was loaded from; built-in-K
        self.backbone = spec.build(preprocessing.image_size)
        if weights != "random":
            file = weights if isinstance(weights, Path) else None
            start_from(self.backbone, backbone, preprocessing.image_size, file, untrained)
        self.hidden: nn.Module = nn.Identity()
        if hidden:
            self.hidden = _hidden_layer(spec.feature_dim, hidden)
        self.hash_layer = nn.Linear(self.feature_dim, bits)
        nn.init.normal_(self.hash_layer.weight, std=self.feature_dim**-0.5)
        nn.init.zeros_(self.hash_layer.bias)
        self.dropout = nn.Dropout(0.0)
        self.to(memory_format=torch.channels_last)

    def __repr__(self) -> str:
        side = self.preprocessing.image_size
        return f"<HashModel {self.backbone_name}: {counted(self.bits, 'bit')}, {side} pixels>"

    def set_dropout(self, share: float) -> None:
        """Drop this share in training: of the features, and in the backbone's dropout layers."""
        for layer in self.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = share

    def with_hash_layer(self, hash_layer: nn.Linear) -> "HashModel":
        """The same model with another hash layer: the backbone is shared, not copied."""
        other = copy.copy(self)
        other._modules = {**self._modules, "hash_layer": hash_layer}
        return other

    @torch.no_grad()
    def with_instance_bits(self, instances: nn.Linear, class_weight: int) -> "HashModel":
        """The same model with more bits behind its own, which become the class bits.

        `instances` takes the outputs of the backbone (B, backbone_dim). If there is a hidden layer,
        each of these bits gets two units of it, relu(x) and relu(-x), whose difference is x: so one
        linear layer on the features still makes all bits.
        """
        instances = copy.deepcopy(instances).to(self.device)
        other = copy.copy(self)
        if isinstance(self.hidden, nn.Sequential):
            other._modules = {**self._modules, "hidden": _with_units(self.hidden, instances)}
            count = instances.out_features
            other.feature_dim = self.feature_dim + 2 * count  # D'
            one = torch.eye(count, device=self.device)
            nothing = torch.zeros(count, self.feature_dim, device=self.device)
            instances = nn.Linear(other.feature_dim, count, device=self.device)
            instances.weight.copy_(torch.cat([nothing, one, -one], dim=1))
            instances.bias.zero_()
        layer = nn.Linear(other.feature_dim, self.bits + instances.out_features, device=self.device)
        layer.weight.zero_()
        layer.weight[: self.bits, : self.feature_dim] = self.hash_layer.weight
        layer.weight[self.bits :] = instances.weight
        layer.bias.copy_(torch.cat([self.hash_layer.bias, instances.bias]))
        other = other.with_hash_layer(layer)
        other.bits = layer.out_features
        other.parts = Parts(
            class_bits=self.bits,
            instance_bits=instances.out_features,
            class_weight=class_weight,  # type: ignore[arg-type]
        )
        return other

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.hash_layer.weight.device

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, 3, S, S) -> hash outputs (B, K)."""
        return self.head(self.backbone(images))

    def head(self, pooled: torch.Tensor) -> torch.Tensor:
        """Outputs of the backbone (B, backbone_dim) -> hash outputs (B, K)."""
        return self.hash_features(self.hidden(pooled))

    def hash_features(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, D) -> hash outputs (B, K)."""
        outputs: torch.Tensor = self.hash_layer(self.dropout(features))
        return outputs

    @torch.inference_mode()
    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images uint8 (B, S, S, 3) -> outputs of the backbone, float32 (B, backbone_dim)."""
        with evaluating(self), _full_precision():
            return self._pooled(pixels)

    @torch.inference_mode()
    def encode_batch(self, images: NDArray[np.uint8]) -> Encoded:
        """Images from `preprocessing.to_array`, uint8 (B, S, S, 3) -> hash outputs and features.

        In float32 the bits of an image do not depend on the other images of its batch.
        """
        with evaluating(self), _full_precision():
            encoded = self._encode(images)
            if self.dtype == "float32":
                norms = self.hash_layer.weight.norm(dim=1).cpu().numpy()  # (K,)
                settle(encoded, images, norms, self._encode)
        return encoded

    def _encode(self, images: NDArray[np.uint8]) -> Encoded:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        half = self.dtype == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            features = self.hidden(self._pooled(pixels)).float()  # (B, D)
        return Encoded(self.hash_features(features).cpu().numpy(), features.cpu().numpy())

    def _pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (B, S, S, 3) -> float32 (B, backbone_dim); on a CPU, a few images at a time."""
        pieces: Sequence[torch.Tensor] = [pixels]
        if self.device.type == "cpu":
            keep_freed_memory()
            pieces = torch.split(pixels, images_at_once(pixels.shape[1]))
        normalise = self.preprocessing.normalise
        return torch.cat([self.backbone(normalise(piece)).float() for piece in pieces])

    def fingerprint(self, with_head: bool = True) -> str:
        """SHA-256, in hex, of the weights and the preprocessing: equal means equal codes.

        Without the head (all that follows the backbone), equal means equal pooled features.
        """
        digest = hashlib.sha256(self.preprocessing.canonical().encode())
        for name, tensor in sorted(self.state_dict().items()):
            if with_head or name.startswith("backbone."):
                digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _hidden_layer(inputs: int, width: int) -> nn.Sequential:
    linear = nn.Linear(inputs, width, bias=False)
    return nn.Sequential(linear, nn.BatchNorm1d(width), nn.ReLU())


@torch.no_grad()
def _with_units(hidden: nn.Sequential, instances: nn.Linear) -> nn.Sequential:
    """A hidden layer with the units relu(x), then relu(-x), of `instances` behind its own."""
    layers: Any = hidden  # torch types the items of a sequence as modules of any kind
    linear, norm, _ = layers
    own = linear.out_features
    whole = _hidden_layer(linear.in_features, own + 2 * instances.out_features)
    whole.to(instances.weight.device).train(hidden.training)
    new_layers: Any = whole
    new_linear, new_norm, _ = new_layers
    new_linear.weight.copy_(torch.cat([linear.weight, instances.weight, -instances.weight]))
    for name, value in norm.state_dict().items():
        kept = new_norm.state_dict()[name]
        if kept.dim():
            kept[:own] = value
        else:
            kept.copy_(value)
    # The variance of the new units is 1 and their mean is 0, so the norm only adds the bias.
    new_norm.weight[own:] = (1 + new_norm.eps) ** 0.5
    new_norm.bias[own:] = torch.cat([instances.bias, -instances.bias])
    return whole


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let the model be in evaluation mode while the block runs."""
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
