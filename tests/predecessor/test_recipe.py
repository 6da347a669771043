"""The predecessor's own training, end to end: its weights' format, its params.json, its network."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import commands
import numpy as np
import pytest
from predecessor import PARAMS, Layers, random_layers, save_as_python2
from safetensors.numpy import load_file
from small import make_dataset

from bitcodes.models.backbones import BACKBONES
from bitcodes.models.checkpoint import load_model
from bitcodes.models.encoding import encode_images
from bitcodes.predecessor import alexnet as bvlc_alexnet
from bitcodes.runs import load_settings

WIDTH = 24  # of fc6 and fc7, to be quick


@pytest.fixture(scope="module")
def layers() -> Layers:
    return random_layers(WIDTH)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: Layers) -> Path:
    """The predecessor's folder: data, weights and params.json where it had them."""
    monkeypatch.chdir(tmp_path)
    narrow = replace(
        BACKBONES["bvlc_alexnet"],
        feature_dim=WIDTH,
        build=lambda size: bvlc_alexnet.build(size, WIDTH),
    )
    monkeypatch.setitem(BACKBONES, "bvlc_alexnet", narrow)
    make_dataset(Path("data/colours"), count=12, queries=2)
    Path("data/pretrained_alexnet").mkdir()
    save_as_python2(Path("data/pretrained_alexnet/bvlc_alexnet.npy"), layers)
    file = Path("experiments/params.json")
    file.parent.mkdir()
    few = {"batch_size": 4, "num_classes": 4, "num_labels": 4, "num_parallel_calls": 1}
    file.write_text(json.dumps(PARAMS | few))
    return file


run = partial(commands.run, "finetune", "--data", "data/colours", "--device", "cpu")


def test_the_recipe_trains_fc6_and_fc7_on_convolutions_that_stay(
    params: Path, layers: Layers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--config", params, "--max-steps", 4, "--workers", 0, "--run", "run") == 0
    message = capsys.readouterr().err
    assert (
        "experiments/params.json: settings of Learning-bit-codes-for-images, over --recipe "
        "predecessor; without meaning here: num_channels, buffer_size" in message
    )
    settings = load_settings(Path("run"))
    assert (settings.backbone, settings.loss, settings.bits) == ("bvlc_alexnet", "ce", 48)
    assert (settings.image_size, settings.dropout, settings.summary_steps) == (227, 0.5, 50)
    assert (settings.batch_size, settings.max_steps, settings.val) == (4, 4, 0)

    trained = load_file("run/model.safetensors")
    for name, (kernel, bias) in layers.items():
        if name.startswith("conv"):
            stored = trained[f"backbone.{name}.weight"].transpose(2, 3, 1, 0)
            np.testing.assert_array_equal(stored, kernel)
            np.testing.assert_array_equal(trained[f"backbone.{name}.bias"], bias)
    for name in ("fc6", "fc7"):
        weight = trained[f"backbone.{name}.weight"]
        limit = np.sqrt(6 / sum(weight.shape))  # of Glorot's uniform start
        assert np.abs(weight).max() < 1.5 * limit
        assert abs(np.corrcoef(weight.ravel(), layers[name][0].T.ravel())[0, 1]) < 0.2
        assert trained[f"backbone.{name}.bias"].any()  # it began at zero and learned
    history = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [3, 4]

    encoded = encode_images(load_model("run"), ["data/colours/000.png"])
    assert encoded.outputs.shape == (1, 48)
    assert encoded.features.shape == (1, WIDTH)

    assert run("--config", params, "--max-steps", 4, "--workers", 0, "--run", "run") == 0
    assert "run is finished (2 epochs): nothing to do" in capsys.readouterr().err


def test_the_recipe_without_a_file(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--recipe", "predecessor", "--max-steps", 1, "--batch-size", 4, "--workers", 0]
    assert run(*flags, "--bits", 16) == 0
    settings = load_settings(Path("runs/colours-bvlc_alexnet-ce-16"))
    assert (settings.retrain, settings.learning_rate, settings.epochs) == ("fc6,fc7", 0.01, 1250)
    assert run("--recipe", "sead") == 2
    assert "--recipe: expected predecessor; found 'sead'" in capsys.readouterr().err


def test_what_is_wrong_in_the_file_is_told_before_training(
    params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.loads(params.read_text())
    for changes, message in [
        (
            {"num_classes": 10, "num_labels": 10},
            "experiments/params.json: num_classes is 10, but "
            f"{Path('data/colours/train.txt').absolute()} has labels of 4 classes",
        ),
        ({"image_size": 224}, "bvlc_alexnet takes images of 227 pixels, not 224"),
        ({"keep_prob": 2}, "experiments/params.json: keep_prob: expected a number above 0 up to 1"),
        ({"colours": 2}, "experiments/params.json: unknown setting 'colours'; known are learning"),
    ]:
        params.write_text(json.dumps(good | changes))
        assert run("--config", params, "--run", "never") == 1
        assert message in capsys.readouterr().err
    assert not Path("never/config.yaml").exists()
    Path("data/pretrained_alexnet/bvlc_alexnet.npy").unlink()
    params.write_text(json.dumps(good))
    assert run("--config", params) == 1
    assert "put it at" in capsys.readouterr().err
