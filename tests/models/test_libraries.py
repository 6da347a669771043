"""Backbones of torchvision and timm, against those libraries' own models and transforms."""

import urllib.error
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from bitcodes.errors import ModelError
from bitcodes.models import libraries
from bitcodes.models.backbones import find_backbone, start_from
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.hashing import HashModel

# Small ones, and of each way to end: after pooling, fc7, two linear layers, a convolution, with
# heads on the side, after tokens.
TORCHVISION = ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "mnasnet0_5", "googlenet"]
TORCHVISION += ["shufflenet_v2_x0_5", "regnet_x_400mf", "alexnet"]
TIMM = ["test_resnet", "test_vit", "test_efficientnet", "mobilenetv3_small_050", "test_convnext2"]


def whole_model(name: str) -> nn.Module:
    """The library's own model, classifier and all, with random weights."""
    library, _, model = name.partition("/")
    torch.manual_seed(0)
    if library == "timm":
        whole: nn.Module = timm.create_model(model)
    else:
        options = {"aux_logits": True, "transform_input": True} if model == "googlenet" else {}
        whole = models.get_model(model, **options)
    with torch.no_grad():
        for key, tensor in whole.state_dict().items():
            if key.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1)
    return whole.eval()


def some_images(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", [*(f"torchvision/{m}" for m in TORCHVISION), *(f"timm/{m}" for m in TIMM)]
)
def test_features_are_what_the_classifier_sees(name: str, tmp_path: Path) -> None:
    whole = whole_model(name)
    spec = find_backbone(name)
    size = 64 if spec.any_size else spec.default_image_size
    backbone = spec.build(size)
    file = tmp_path / "weights.pth"
    torch.save(whole.state_dict(), file)
    start_from(backbone, name, size, file)
    backbone.eval()
    images = some_images(size)
    seen: list[torch.Tensor] = []
    if "squeezenet" in name:
        # Its classifier is a convolution, so the mean of what that sees is the features.
        layer: nn.Module = whole.get_submodule("classifier.1")
    else:
        layer = [m for m in whole.modules() if isinstance(m, nn.Linear)][-1]
    layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.inference_mode():
        whole(images)
        features = backbone(images)
    expected = seen[0].mean(dim=(2, 3)) if "squeezenet" in name else seen[0]
    assert features.shape == (2, spec.feature_dim)
    assert features.std() > 0
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_alexnet_is_torchvisions_with_fc7() -> None:
    assert find_backbone("alexnet") is find_backbone("torchvision/alexnet")
    assert find_backbone("alexnet").feature_dim == 4096
    assert find_backbone("torchvision/vgg16").feature_dim == 4096


def test_dropout_before_the_classifier_goes_with_it() -> None:
    for name, left in [("mobilenet_v3_small", 0), ("googlenet", 0), ("alexnet", 2)]:
        backbone = find_backbone(f"torchvision/{name}").build(64)
        assert sum(isinstance(layer, nn.Dropout) for layer in backbone.modules()) == left, name


def photograph(width: int = 300, height: int = 260) -> Image.Image:
    """Smooth, so that two ways to resize come out alike."""
    y, x = np.mgrid[:height, :width] / 40
    channels = [np.sin(x + y), np.cos(x - 2 * y), np.sin(2 * x) * np.cos(y)]
    return Image.fromarray((127 + 120 * np.stack(channels, -1)).astype(np.uint8))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "alexnet",
            "torchvision/resnet50",
            "torchvision/efficientnet_b1",
            "torchvision/swin_v2_t",
        ),
        *("timm/resnet50", "timm/vit_small_patch16_224", "timm/efficientnet_b0", "timm/nfnet_f0"),
        "timm/vit_base_patch16_siglip_224",  # squashes
    ],
)
def test_preprocessing_is_the_librarys(name: str) -> None:
    spec = find_backbone(name)
    size = spec.default_image_size
    ours = spec.preprocessing(size)
    library, _, model = ("torchvision/alexnet" if name == "alexnet" else name).partition("/")
    transform: Any
    if library == "timm":
        published = timm.get_pretrained_cfg(model).to_dict()
        config = timm.data.resolve_data_config(pretrained_cfg=published)
        transform = timm.data.create_transform(**config)
        assert ours.interpolation == config["interpolation"]
    else:
        transform = models.get_model_weights(model).DEFAULT.transforms()
        assert ours.interpolation == transform.interpolation.value
    image = photograph()
    expected = transform(image).numpy()
    pixels = torch.from_numpy(ours.to_array(image).copy())[None]
    result = ours.normalise(pixels)[0].numpy()
    assert result.shape == expected.shape == (3, size, size)
    # The libraries resize to whole pixels, then crop: the two differ by less than one of them.
    step = np.abs(np.diff(expected, axis=1)).max() + np.abs(np.diff(expected, axis=2)).max()
    assert np.abs(result - expected).max() <= step


def test_small_pictures_are_shown_whole() -> None:
    for name in ("alexnet", "timm/resnet50"):
        assert find_backbone(name).preprocessing(64).crop == 1
        assert find_backbone(name).preprocessing(224).crop < 1


def test_image_sizes_that_a_backbone_cannot_take_are_errors() -> None:
    message = r"torchvision/vit_b_16 takes images of 224 pixels, not 64; leave out --image-size"
    with pytest.raises(ModelError, match=message):
        find_backbone("torchvision/vit_b_16").build(64)
    with pytest.raises(ModelError, match=r"inception_v3 takes images of at least 75 pixels"):
        find_backbone("torchvision/inception_v3").build(64)
    assert not find_backbone("torchvision/vit_b_16").any_size
    assert not find_backbone("timm/vit_small_patch16_224").any_size
    assert find_backbone("timm/resnet50").any_size


def test_a_vit_is_converted_to_another_image_size(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    backbone = find_backbone("timm/test_vit").build(96)
    start_from(backbone, "timm/test_vit", 96, tmp_path / "w.safetensors")
    assert backbone.state_dict()["pos_embed"].shape == (1, 1 + 36, 64)
    expected = timm.create_model("test_vit", img_size=96, num_classes=0)
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(whole.state_dict(), expected)
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, filtered[key]), key
    with torch.inference_mode():
        assert backbone.eval()(some_images(96)).shape == (2, 64)


@pytest.mark.parametrize(
    "name", ["torchvision/mnasnet0_5", "torchvision/googlenet", "timm/test_vit"]
)
def test_a_model_file_rebuilds_it(name: str, tmp_path: Path) -> None:
    spec = find_backbone(name)
    size = 64 if spec.any_size else 96
    model = HashModel(name, 8, spec.preprocessing(size)).eval()
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.fingerprint() == model.fingerprint()
    pictures = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    before, after = model.encode_batch(pictures), loaded.encode_batch(pictures)
    np.testing.assert_array_equal(before.outputs, after.outputs)


def test_a_model_of_bitcodes_gives_its_backbone(tmp_path: Path) -> None:
    name = "timm/test_resnet"
    model = HashModel(name, 8, find_backbone(name).preprocessing(64))
    save_model(model, tmp_path / "model.safetensors")
    backbone = find_backbone(name).build(64)
    start_from(backbone, name, 64, tmp_path / "model.safetensors")
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, model.backbone.state_dict()[key])


def test_older_names_in_files_of_densenet(tmp_path: Path) -> None:
    name = "torchvision/densenet121"
    with torch.device("meta"):
        keys = models.densenet121().state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): torch.zeros(value.shape)
        for key, value in keys.items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save({"state_dict": old}, tmp_path / "old.pth")
    backbone = find_backbone(name).build(64)
    start_from(backbone, name, 64, tmp_path / "old.pth")
    assert not any(parameter.any() for parameter in backbone.parameters())


# -- downloads: none here, but what the libraries keep of earlier ones ---------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network and empty caches; returns torch's folder of checkpoints."""

    def unreachable(*args: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *names: None)
    return tmp_path / "hub/checkpoints"


def start(name: str, size: int = 64) -> nn.Module:
    backbone = find_backbone(name).build(size)
    start_from(backbone, name, size)
    return backbone


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(offline: Path) -> None:
    with pytest.raises(ModelError) as caught:
        start("torchvision/resnet18")
    url = models.ResNet18_Weights.DEFAULT.url
    assert str(caught.value) == (
        "cannot download the pretrained weights of torchvision/resnet18 (<urlopen error no network>"
        f"): fetch {url} and put it at {offline / url.rpartition('/')[2]}, or name it with "
        "--weights (--no-pretrained starts from random weights)"
    )
    with pytest.raises(ModelError) as caught:
        start("timm/resnet18.a1_in1k")
    assert (
        "fetch https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors and "
        "name it with --weights"
    ) in str(caught.value)


def test_what_was_put_there_is_found(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline.mkdir(parents=True)
    whole = whole_model("torchvision/resnet18")
    url = models.ResNet18_Weights.DEFAULT.url
    torch.save(whole.state_dict(), offline / url.rpartition("/")[2])
    backbone = start("torchvision/resnet18")
    assert torch.equal(backbone.state_dict()["conv1.weight"], whole.state_dict()["conv1.weight"])

    small = whole_model("timm/test_resnet")
    file = offline / "model.safetensors"
    save_file(small.state_dict(), file)
    requests: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda *names: requests.append(names) or str(file),
    )
    backbone = start("timm/test_resnet.r160_in1k")
    assert requests == [("timm/test_resnet.r160_in1k", "model.safetensors")]
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, small.state_dict()[key])


def test_a_model_without_published_weights_says_so(offline: Path) -> None:
    bare = next(n for n in timm.list_models("resnet*") if not timm.is_model_pretrained(n))
    with pytest.raises(ModelError, match=r"timm has no pretrained weights of .*--no-pretrained"):
        libraries.timm_backbone(bare).pretrained(64)
