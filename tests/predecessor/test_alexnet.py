"""The predecessor's network against the same in NumPy, from the same file of weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from predecessor import Layers, random_layers, save_as_python2, save_as_python3
from safetensors.torch import save_file
from scipy import signal

from bitcodes.errors import ModelError
from bitcodes.models.backbones import find_backbone, start_from
from bitcodes.models.weights import check_fits, copy_weights
from bitcodes.predecessor import alexnet as bvlc_alexnet
from bitcodes.predecessor.alexnet import BvlcAlexNet

WIDTH = 32  # of fc6 and fc7, which have 4,096


# -- TensorFlow's operations in NumPy: images (rows, columns, channels), kernels (R, C, in, out) ---


def convolve(image: np.ndarray, kernel: np.ndarray, stride: int, pad: int) -> np.ndarray:
    image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    windows = sliding_window_view(image, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("yxirc,rcio->yxo", windows, kernel, optimize=True)


def grouped(image: np.ndarray, kernel: np.ndarray, pad: int) -> np.ndarray:
    """Two halves of the channels, two halves of the filters."""
    half_in, half_out = image.shape[2] // 2, kernel.shape[3] // 2
    first = convolve(image[..., :half_in], kernel[..., :half_out], 1, pad)
    second = convolve(image[..., half_in:], kernel[..., half_out:], 1, pad)
    return np.concatenate([first, second], axis=2)


def normalise(image: np.ndarray) -> np.ndarray:
    """tf.nn.local_response_normalization(depth_radius=2, alpha=2e-5, beta=0.75, bias=1)."""
    channels = image.shape[2]
    out = np.empty_like(image)
    for c in range(channels):
        near = image[..., max(0, c - 2) : min(channels, c + 3)]
        out[..., c] = image[..., c] / (1 + 2e-5 * (near**2).sum(axis=2)) ** 0.75
    return out


def pool(image: np.ndarray) -> np.ndarray:
    size = (image.shape[0] - 3) // 2 + 1
    rows = range(0, 2 * size, 2)
    return np.array([[image[y : y + 3, x : x + 3].max(axis=(0, 1)) for x in rows] for y in rows])


def reference(image: np.ndarray, layers: Layers) -> np.ndarray:
    """fc7 of an image (227, 227, 3), in float64."""
    w = {name: [array.astype(float) for array in arrays] for name, arrays in layers.items()}
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    x = relu(convolve(image, w["conv1"][0], 4, 0) + w["conv1"][1])
    assert x.shape == (55, 55, 96)
    x = pool(normalise(x))
    x = relu(grouped(x, w["conv2"][0], 2) + w["conv2"][1])
    x = pool(normalise(x))
    x = relu(convolve(x, w["conv3"][0], 1, 1) + w["conv3"][1])
    x = relu(grouped(x, w["conv4"][0], 1) + w["conv4"][1])
    x = pool(relu(grouped(x, w["conv5"][0], 1) + w["conv5"][1]))
    assert x.shape == (6, 6, 256)
    x = relu(x.reshape(-1) @ w["fc6"][0] + w["fc6"][1])
    return relu(x @ w["fc7"][0] + w["fc7"][1])


def test_the_reference_convolves_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(9, 9, 4)), rng.normal(size=(3, 3, 2, 6))
    result = grouped(image, kernel, 1)
    for filter_ in range(6):
        first = 2 * (filter_ // 3)
        expected = sum(
            signal.correlate2d(image[..., first + c], kernel[..., c, filter_], mode="same")
            for c in range(2)
        )
        np.testing.assert_allclose(result[..., filter_], expected, atol=1e-12)


@pytest.fixture(scope="module")
def layers() -> Layers:
    return random_layers(WIDTH)


@pytest.fixture(scope="module", params=["Python 2", "Python 3"])
def file(request: Any, layers: Layers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "bvlc_alexnet.npy"
    (save_as_python2 if request.param == "Python 2" else save_as_python3)(path, layers)
    return path


def network(file: Path) -> BvlcAlexNet:
    model = BvlcAlexNet(WIDTH)
    weights = bvlc_alexnet.read(file, 227)
    check_fits(model, weights, str(file))
    copy_weights(model, weights)
    return model.eval()


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def test_fc7_is_that_of_numpy(file: Path, layers: Layers) -> None:
    way = bvlc_alexnet.preprocessing(227)
    pixels = np.stack([way.to_array(picture(227, 227)), way.to_array(picture(90, 60))])
    # The predecessor took the mean of RGB off, then turned the channels.
    seen = (pixels.astype(float) - [123.68, 116.779, 103.939])[..., ::-1]
    expected = np.stack([reference(image, layers) for image in seen])
    with torch.inference_mode():
        result = network(file)(way.normalise(torch.from_numpy(pixels))).numpy()
    assert result.shape == (2, WIDTH)
    assert 0.2 < (expected > 0).mean() < 0.8
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * expected.max()


def test_images_are_padded_with_black_before_the_mean_is_taken_off() -> None:
    way = bvlc_alexnet.preprocessing(227)
    pixels = way.to_array(Image.new("RGB", (100, 50), (200, 100, 50)))
    seen = way.normalise(torch.from_numpy(pixels)[None])[0].numpy()
    assert seen.shape == (3, 227, 227)
    # 227 x 113 of image, with 57 rows above and 57 below
    inside, outside = seen[:, 57:170], np.concatenate([seen[:, :57], seen[:, 170:]], axis=1)
    for channel, (value, mean) in enumerate([(50, 103.939), (100, 116.779), (200, 123.68)]):
        np.testing.assert_allclose(inside[channel], value - mean, atol=1e-4)
        np.testing.assert_allclose(outside[channel], -mean, atol=1e-4)


def test_other_files_of_its_weights_are_read_by_its_own_names(tmp_path: Path, file: Path) -> None:
    state = network(file).state_dict()
    save_file({**state, "fc8.bias": torch.ones(10)}, tmp_path / "w.safetensors")
    result = bvlc_alexnet.read(tmp_path / "w.safetensors", 227)
    assert result.keys() == state.keys()
    assert all(torch.equal(result[key], state[key]) for key in state)


def change(layers: Layers, **values: Any) -> dict[str, Any]:
    return {name: value for name, value in {**layers, **values}.items() if value is not None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conv3": None, "fc7": None}, "expected the layers conv1, .* missing: conv3, fc7$"),
        ({"fc9": []}, "unexpected: fc9"),
        ({"conv3": [np.ones(3, "f4")]}, r"layer conv3: expected an array of 4 dim.*\(3,\)"),
        ({"conv3": [np.ones((1, 1, 1, 1)), np.ones(1), "a"]}, r"layer conv3: .*found .*, str"),
        ({"conv3": []}, r"layer conv3: expected an array of 4 dim.*found list"),
        ({"fc6": np.ones(3, "f4")}, r"layer fc6: expected an array of 2 dim.*found ndarray"),
        ({"fc6": ["a", "b"]}, "layer fc6: expected an array of 2 dim.*found str, str"),
    ],
)
def test_other_layers_are_named(
    tmp_path: Path, layers: Layers, values: dict[str, Any], message: str
) -> None:
    path = tmp_path / "w.npy"
    save_as_python3(path, change(layers, **values))
    with pytest.raises(ModelError, match=message) as caught:
        bvlc_alexnet.read(path, 227)
    assert str(caught.value).startswith(f"{path}: ")


def test_layers_of_another_shape_are_named_with_both(tmp_path: Path, layers: Layers) -> None:
    path = tmp_path / "w.npy"
    wrong = [np.ones((9000, WIDTH), "f4"), np.ones(WIDTH, "f4")]
    save_as_python3(path, change(layers, fc6=wrong))
    weights = bvlc_alexnet.read(path, 227)
    with pytest.raises(ModelError, match=r"fc6\.weight \(expected \(32, 9216\), found \(32, 9000"):
        check_fits(BvlcAlexNet(WIDTH), weights, "it")
    save_as_python3(path, [1, 2])
    with pytest.raises(ModelError, match="expected a dict of layers by name, found list"):
        bvlc_alexnet.read(path, 227)


def test_without_the_file_the_error_says_where_it_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        bvlc_alexnet.pretrained(227)
    assert "fetch http://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy" in str(
        caught.value
    )
    assert f"put it at {tmp_path}/data/pretrained_alexnet/bvlc_alexnet.npy" in str(caught.value)


def test_where_the_predecessor_had_it_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: Layers
) -> None:
    place = tmp_path / "data/pretrained_alexnet"
    place.mkdir(parents=True)
    save_as_python3(place / "bvlc_alexnet.npy", layers)
    monkeypatch.chdir(tmp_path)
    model = BvlcAlexNet(WIDTH)
    start_from(model, "bvlc_alexnet", 227)
    np.testing.assert_array_equal(model.fc7.weight.detach().numpy().T, layers["fc7"][0])


def test_it_takes_images_of_one_size() -> None:
    spec = find_backbone("bvlc_alexnet")
    assert (spec.default_image_size, spec.any_size, spec.feature_dim) == (227, False, 4096)
    with pytest.raises(ModelError, match="bvlc_alexnet takes images of 227 pixels, not 64"):
        spec.build(64)
