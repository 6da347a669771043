"""The hash model: bits that depend on the image alone, whatever it is encoded with."""

import numpy as np
import pytest
import torch
from tiny import SIDE, make_model
from torch import nn

from bitcodes.images.transforms import Preprocessing
from bitcodes.models import encoder, hashing
from bitcodes.models.backbone import Backbone
from bitcodes.models.backbones import BACKBONES, find_backbone
from bitcodes.models.hashing import HashModel


def images(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


COUNT, BITS = 40, 32  # pictures, and how many of them are next to zero in a bit


@pytest.fixture(scope="module")
def real() -> HashModel:
    """The default backbone under a hash layer that puts many outputs next to zero."""
    torch.manual_seed(0)
    spec = find_backbone("tf_efficientnet_lite0")
    way = spec.preprocessing(32)
    model = HashModel("tf_efficientnet_lite0", BITS, way, weights="pretrained").eval()
    with torch.inference_mode():
        pictures = torch.from_numpy(images(COUNT, 32))
        outputs = model(model.preprocessing.normalise(pictures))
        # Bit k of picture k comes out as exactly zero, but for rounding.
        model.hash_layer.bias -= outputs[:BITS].diagonal()
    return model


def test_bits_do_not_depend_on_the_batch(real: HashModel) -> None:
    pictures = images(COUNT, 32)
    whole = real.encode_batch(pictures).outputs > 0
    for size in (1, 2, 7):
        parts = [
            real.encode_batch(pictures[i : i + size]).outputs for i in range(0, len(pictures), size)
        ]
        np.testing.assert_array_equal(
            np.concatenate(parts) > 0, whole, err_msg=f"batches of {size}"
        )
    order = np.random.default_rng(1).permutation(len(pictures))
    np.testing.assert_array_equal(real.encode_batch(pictures[order]).outputs > 0, whole[order])


def test_the_batch_does_matter_to_the_bits_of_the_network_itself(
    real: HashModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Guards the test above: without looking again at what is near to zero, it fails.
    monkeypatch.setattr(encoder, "UNSURE", -1)
    pictures = images(COUNT, 32)
    alone = np.concatenate([real.encode_batch(picture[None]).outputs for picture in pictures])
    together = real.encode_batch(pictures).outputs
    if (alone == together).all():
        pytest.skip("this machine computes the same in batches of every size")
    assert ((alone > 0) != (together > 0)).any()


def test_outputs_are_those_of_the_hash_layer_on_the_features(real: HashModel) -> None:
    result = real.encode_batch(images(3, 32))
    assert result.outputs.shape == (3, BITS)
    assert result.features.shape == (3, 1280)
    assert result.outputs.dtype == result.features.dtype == np.float32
    layer = real.hash_layer
    expected = result.features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(result.outputs, expected, atol=1e-4)


def test_only_unsure_images_are_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(bits=8)
    pictures = images(6, SIDE)
    outputs = model.encode_batch(pictures).outputs
    with torch.inference_mode():
        model.hash_layer.bias[3] -= float(outputs[2, 3])
    batches: list[int] = []
    monkeypatch.setattr(
        model,
        "_encode",
        lambda images: batches.append(len(images)) or HashModel._encode(model, images),
    )
    model.encode_batch(pictures)
    assert batches == [6, 1]


def test_an_empty_batch() -> None:
    result = make_model(bits=8).encode_batch(images(0, SIDE))
    assert result.outputs.shape == (0, 8)
    assert result.features.shape == (0, 48)


def test_encoding_leaves_the_model_as_it_was() -> None:
    model = make_model(bits=8)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.encode_batch(images(4, SIDE))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_encoding_uses_the_running_statistics_of_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Preprocessing(image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
    monkeypatch.setitem(
        BACKBONES,
        "normed",
        Backbone(
            3,
            lambda size: nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            lambda size: way,
            SIDE,
        ),
    )
    model = HashModel("normed", 4, way).train()
    pictures = images(4, SIDE)
    alone = np.concatenate([model.encode_batch(picture[None]).features for picture in pictures])
    np.testing.assert_allclose(model.encode_batch(pictures).features, alone, atol=1e-6)


def test_full_precision_is_asked_for_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with hashing._full_precision():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


def test_a_fresh_hash_layer_is_ready_to_use() -> None:
    model = make_model(bits=24)
    outputs = model.encode_batch(images(50, SIDE)).outputs
    assert not model.hash_layer.bias.any()
    assert np.isfinite(outputs).all()


def test_another_hash_layer_on_the_same_backbone() -> None:
    model = make_model(24)
    layer = model.hash_layer
    other = model.with_hash_layer(nn.Linear(48, 24))
    assert model.hash_layer is layer
    assert other.backbone is model.backbone
    pictures = images(3, SIDE)
    ours, theirs = model.encode_batch(pictures), other.encode_batch(pictures)
    np.testing.assert_array_equal(ours.features, theirs.features)
    assert (ours.outputs != theirs.outputs).all()
    assert other.state_dict().keys() == model.state_dict().keys()


def test_it_shows_itself_in_one_line() -> None:
    preprocessing = find_backbone("tf_efficientnet_lite0").preprocessing(128)
    model = HashModel("tf_efficientnet_lite0", BITS, preprocessing)
    assert repr(model) == f"<HashModel tf_efficientnet_lite0: {BITS} bits, 128 pixels>"
