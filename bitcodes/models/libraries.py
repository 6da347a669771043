"""Backbones from torchvision and timm: any of their classification models, without the classifier.

Weights are downloaded by the libraries' own code, into their own caches.
"""

import contextlib
import re
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitcodes.errors import ModelError, first_line
from bitcodes.models.backbone import Backbone, preprocessing_with, without, wrong_size
from bitcodes.models.depthwise import speed_up_depthwise
from bitcodes.models.grouping import stages_by_timm
from bitcodes.models.weights import Weights, fits, read_weights

_ASIDE = "(--no-pretrained starts from random weights)"


def _no_download(name: str, url: str, error: Exception, put: str) -> ModelError:
    problem = f"cannot download the pretrained weights of {name} ({first_line(error)})"
    return ModelError(f"{problem}: fetch {url} and {put} {_ASIDE}")


# -- torchvision ----------------------------------------------------------------------------------


@cache
def torchvision_names() -> frozenset[str]:
    """The names of torchvision's classification models."""
    from torchvision import models

    return frozenset(models.list_models(module=models))


def _torchvision_model(model: str, heads: bool) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {}
    if model in ("googlenet", "inception_v3"):
        # Their weights expect a scaling of their own, which comes before torchvision's.
        options = {"aux_logits": heads, "init_weights": not heads, "transform_input": True}
    network: nn.Module = models.get_model(model, weights=None, **options)
    return network


def _cut_off_classifier(network: nn.Module) -> int:
    """Take the classifier out, and dropout directly before it; returns the number of features."""
    layers = [(name, m) for name, m in network.named_modules() if not [*m.children()]]
    linear = [i for i, (_, m) in enumerate(layers) if isinstance(m, nn.Linear)]
    if not linear:  # SqueezeNet classifies by a convolution, then pools
        network.classifier = nn.AdaptiveAvgPool2d(1)
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        return 2 * convolutions[-1].out_channels  # of two side by side
    name, head = layers[linear[-1]]
    assert isinstance(head, nn.Linear)
    before = layers[linear[-1] - 1]
    for path in [name, *([before[0]] if isinstance(before[1], nn.Dropout) else [])]:
        parent, _, last = path.rpartition(".")
        setattr(network.get_submodule(parent), last, nn.Identity())
    return head.in_features


def _heads(model: str) -> tuple[int, set[str]]:
    """The number of features of a torchvision model, and the names of its classifiers' tensors."""
    try:
        with torch.device("meta"):
            network = _torchvision_model(model, heads=True)
    except NotImplementedError:  # RegNets compute their widths with tensors
        network = _torchvision_model(model, heads=True)
    names = set(network.state_dict())
    feature_dim = _cut_off_classifier(network)
    aside = {name for name in names if name.startswith(("aux1.", "aux2.", "AuxLogits."))}
    return feature_dim, aside | names - set(network.state_dict())


@cache
def torchvision_backbone(model: str) -> Backbone:
    """A classification model of torchvision, with its default weights.

    The features are the input of its classifier's last layer: fc7 for AlexNet and VGG, pooled maps
    for others.
    """
    from torchvision import models

    name = f"torchvision/{model}"
    weights = models.get_model_weights(model).DEFAULT
    evaluation = weights.transforms()
    size, resized = evaluation.crop_size[0], evaluation.resize_size[0]
    smallest = max(weights.meta.get("min_size", (1, 1)))
    fixed = model.startswith(("vit_", "maxvit_"))
    feature_dim, heads = _heads(model)

    def build(image_size: int) -> nn.Module:
        if fixed and image_size != size:
            raise wrong_size(name, image_size, str(size))
        if image_size < smallest:
            raise wrong_size(name, image_size, f"at least {smallest}")
        network = _torchvision_model(model, heads=False)
        _cut_off_classifier(network)
        return speed_up_depthwise(network)

    def headless(tensors: Weights) -> Weights:
        # The files of DenseNet are older than the names that it has now.
        old = r"(denselayer\d+\.(?:norm|conv))\.(\d)"
        renamed = {re.sub(old, r"\1\2", key): tensor for key, tensor in tensors.items()}
        return {key: tensor for key, tensor in renamed.items() if key not in heads}

    def pretrained(image_size: int) -> Weights:
        try:
            return headless(weights.get_state_dict(progress=True, check_hash=True))
        except (OSError, RuntimeError) as error:
            place = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
            put = f"put it at {place}, or name it with --weights"
            raise _no_download(name, weights.url, error, put) from None

    def read(path: Path, image_size: int) -> Weights:
        return headless(read_weights(path))

    preprocessing = preprocessing_with(
        size / resized,
        interpolation=evaluation.interpolation.value,
        mean=tuple(evaluation.mean),
        std=tuple(evaluation.std),
    )
    any_size = not fixed and smallest <= 64
    return Backbone(feature_dim, build, preprocessing, size, any_size, pretrained, read)


# -- timm -----------------------------------------------------------------------------------------


def timm_names() -> list[str]:
    """The names of timm's models, bare and with the tags of their various weights."""
    import timm

    return [*timm.list_models(), *timm.list_pretrained()]


def is_timm(model: str) -> bool:
    """Whether timm has a model of that name; a tag after a dot, if any, must name its weights."""
    import timm

    return timm.is_model(model) and ("." not in model or model in timm.list_pretrained(model))


@cache
def timm_backbone(model: str) -> Backbone:
    """A model of timm, such as `resnet50`, or `resnet50.a1_in1k` with certain weights.

    The features are the pooled maps that its classifier sees.
    """
    import timm

    name = f"timm/{model}"
    config: Any = timm.get_pretrained_cfg(model)
    size = config.input_size[-1]
    heads = [config.classifier] if isinstance(config.classifier, str) else config.classifier or ()

    def make(image_size: int, **options: Any) -> nn.Module:
        if config.fixed_input_size and image_size != size:
            options["img_size"] = image_size
        try:
            network: nn.Module = timm.create_model(model, **options)
        except (TypeError, AssertionError) as error:
            if "img_size" not in options:
                raise
            raise wrong_size(name, image_size, f"{size} ({error})") from None
        return network

    def build(image_size: int) -> nn.Module:
        return speed_up_depthwise(make(image_size, num_classes=0))

    def bare(image_size: int) -> nn.Module:
        with torch.device("meta"):
            return make(image_size, num_classes=0)

    def load(image_size: int, **source: Any) -> Weights:
        """The weights from a source by timm's own code, without the classifier's."""
        options = {"pretrained_cfg_overlay": source} if source else {}
        tensors = make(image_size, pretrained=True, **options).state_dict()
        return {key: tensors[key] for key in bare(image_size).state_dict()}

    def pretrained(image_size: int) -> Weights:
        file, url = None, config.url
        if config.hf_hub_id:
            file = _in_hub_cache(config.hf_hub_id)
            url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
        if not url:
            raise ModelError(f"timm has no pretrained weights of {model} {_ASIDE}")
        try:
            if file is not None:
                return load(image_size, file=file)
            _try_connection(url)
            return load(image_size)
        except (OSError, RuntimeError) as error:
            raise _no_download(name, url, error, "name it with --weights") from None

    def read(path: Path, image_size: int) -> Weights:
        content = read_weights(path)
        tensors = without(content, heads)
        if fits(bare(image_size), tensors):
            return tensors
        # The file may be for another image size, or have its authors' names: timm can convert many
        # such files. If it cannot, which raises errors of any kind, the caller's error names the
        # tensors as they stand in the file.
        try:
            return load(image_size, state_dict=content)
        except Exception:
            return tensors

    feature_dim: Any = bare(size).head_hidden_size
    preprocessing = preprocessing_with(
        config.crop_pct,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
        fit={"squash": "squash", "border": "pad"}.get(config.crop_mode, "crop"),
    )
    any_size = not config.fixed_input_size
    return Backbone(
        feature_dim, build, preprocessing, size, any_size, pretrained, read, stages_by_timm
    )


def _in_hub_cache(repository: str) -> str | None:
    """The file of weights of a Hugging Face repository, if it is in the cache."""
    from huggingface_hub import try_to_load_from_cache

    names = "model.safetensors", "pytorch_model.bin"
    files = (try_to_load_from_cache(repository, name) for name in names)
    return next((file for file in files if isinstance(file, str)), None)


def _try_connection(url: str) -> None:
    """Raise OSError if nothing answers there: timm's downloader would try for a minute."""
    # Any answer will do: the downloader reports what is wrong with it.
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=15).close()
