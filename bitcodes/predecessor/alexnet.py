"""The AlexNet of Learning-bit-codes-for-images, which is Caffe's `bvlc_alexnet`, and its weights.

Krizhevsky et al., NeurIPS 2012, in the form of
https://github.com/BVLC/caffe/tree/master/models/bvlc_alexnet: the first two layers are normalised
before they are pooled (in CaffeNet it is the other way round).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbone import Backbone, without, wrong_size
from bitcodes.models.weights import Weights, read_weights
from bitcodes.predecessor.weights import read_pickled_arrays

IMAGE_SIZE = 227
FILE_URL = "http://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy"
FILE_PLACE = Path("data/pretrained_alexnet/bvlc_alexnet.npy")  # as in the predecessor

_MEAN_RGB = (123.68, 116.779, 103.939)
_MAP = (256, 6, 6)  # channels, rows and columns that fc6 sees
_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_CLASSIFIER = "fc8"


class BvlcAlexNet(nn.Module):
    """Images (B, 3, 227, 227), BGR, of mean zero -> fc7 (B, `width`).

    conv2, conv4 and conv5 have two groups; all convolutions but the first are padded with zeros.
    Dropout (0 unless set) follows fc6; the hash model has its own before the hash layer.
    """

    def __init__(self, width: int = 4096) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(int(np.prod(_MAP)), width)
        self.fc7 = nn.Linear(width, width)
        self.dropout = nn.Dropout(0.0)
        for layer in (self.fc6, self.fc7):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = _pool(_normalise(F.relu(self.conv1(images))))  # (B, 96, 27, 27)
        x = _pool(_normalise(F.relu(self.conv2(x))))  # (B, 256, 13, 13)
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = _pool(F.relu(self.conv5(x)))  # (B, 256, 6, 6)
        x = self.dropout(F.relu(self.fc6(x.flatten(1))))  # (B, width)
        return F.relu(self.fc7(x))


def _pool(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, kernel_size=3, stride=2)


def _normalise(x: torch.Tensor) -> torch.Tensor:
    """Local response normalisation over 5 channels: x / (1 + 2e-5 sum of squares) ^ 0.75.

    torch divides alpha by the number of channels, TensorFlow and the original do not.
    """
    return F.local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=1.0)


def build(image_size: int, width: int = 4096) -> nn.Module:
    """The network with random weights; raises ModelError for other images than 227 x 227."""
    if image_size != IMAGE_SIZE:
        raise wrong_size("bvlc_alexnet", image_size, str(IMAGE_SIZE))
    return BvlcAlexNet(width)


def preprocessing(image_size: int) -> Preprocessing:
    """The whole image in proportion, on black; the mean colour subtracted; blue first."""
    blue, green, red = (value / 255 for value in reversed(_MEAN_RGB))
    return Preprocessing(
        image_size=image_size,
        fit="pad",
        interpolation="bilinear",
        mean=(blue, green, red),
        std=(1 / 255, 1 / 255, 1 / 255),
        channel_order="bgr",
    )


def pretrained(image_size: int) -> Weights:
    """The weights in data/pretrained_alexnet/bvlc_alexnet.npy; raises ModelError without it."""
    if not FILE_PLACE.is_file():
        raise ModelError(
            f"the pretrained weights of bvlc_alexnet are not here: fetch {FILE_URL} and put it at "
            f"{FILE_PLACE.absolute()}, or name it with --weights (--no-pretrained starts from "
            "random weights)"
        )
    return read(FILE_PLACE, image_size)


def read(path: Path, image_size: int) -> Weights:
    """Weights by the network's names, from `bvlc_alexnet.npy` or a file as in `read_weights`."""
    if path.suffix.lower() != ".npy":
        return without(read_weights(path), [_CLASSIFIER])
    return from_tensorflow(read_pickled_arrays(path), path)


def from_tensorflow(layers: Any, path: Path) -> Weights:
    """Turn {layer: [weights, biases]} in TensorFlow's layout into torch's; raises ModelError.

    Kernels are stored (rows, columns, channels, filters), and the inputs of fc6 in the order rows,
    columns, channels of the last map. The classifier, fc8, is left out.
    """
    names = (*_CONVOLUTIONS, "fc6", "fc7")
    if not isinstance(layers, dict) or not all(isinstance(name, str) for name in layers):
        raise ModelError(
            f"{path}: expected a dict of layers by name, found {type(layers).__name__}"
        )
    others = {
        "missing": [name for name in names if name not in layers],
        "unexpected": [name for name in layers if name not in (*names, _CLASSIFIER)][:5],
    }
    problems = [f"; {what}: {', '.join(some)}" for what, some in others.items() if some]
    if problems:
        expected = f"expected the layers {', '.join(names)} and {_CLASSIFIER}"
        raise ModelError(f"{path}: {expected}{''.join(problems)}")
    weights: Weights = {}
    for name in names:
        kernel, bias = _pair(layers[name], f"{path}: layer {name}", 4 if "conv" in name else 2)
        if name in _CONVOLUTIONS:
            kernel = kernel.transpose(3, 2, 0, 1)  # (filters, channels, rows, columns)
        elif name == "fc6" and len(kernel) == np.prod(_MAP):
            channels, rows, columns = _MAP
            maps = kernel.T.reshape(-1, rows, columns, channels)
            kernel = maps.transpose(0, 3, 1, 2).reshape(len(maps), -1)  # (out, C R C)
        else:
            kernel = kernel.T
        weights[f"{name}.weight"] = torch.from_numpy(np.array(kernel, np.float32, order="C"))
        weights[f"{name}.bias"] = torch.from_numpy(np.array(bias, np.float32))
    return weights


def _pair(layer: Any, where: str, dimensions: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The weights and biases of a layer, told from each other by their number of dimensions."""
    arrays = layer if isinstance(layer, list) else []
    if sorted(a.ndim if isinstance(a, np.ndarray) else 0 for a in arrays) != [1, dimensions]:
        shapes = ", ".join(map(_kind, arrays[:5])) or type(layer).__name__
        raise ModelError(
            f"{where}: expected an array of {dimensions} dimensions and one of 1, found {shapes}"
        )
    bias, kernel = sorted(arrays, key=np.ndim)
    return kernel, bias


def _kind(value: Any) -> str:
    return str(value.shape) if isinstance(value, np.ndarray) else type(value).__name__


BVLC_ALEXNET = Backbone(
    4096, build, preprocessing, IMAGE_SIZE, any_size=False, pretrained=pretrained, read=read
)
