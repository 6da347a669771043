"""Runs of the losses without labels: on folders and prepared data, used like any other run."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image
from small import make_dataset
from tiny import make_pictures

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import ConfigError, DataError
from bitcodes.losses import LABEL_FREE
from bitcodes.models.checkpoint import load_model
from bitcodes.models.engines import load_encoder
from bitcodes.models.hashing import HashModel
from bitcodes.runs import load_settings, resolve_run
from bitcodes.settings import Settings
from bitcodes.sources.lists import read_list, write_list
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.evaluate import evaluate
from bitcodes.training import Finetuned, finetune, fitted_codes


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 40)
    return tmp_path / "photos"


def fit(data: Path, loss: str = "itq", **values: Any) -> Finetuned:
    options = {name: values.pop(name) for name in ("fresh", "log", "run") if name in values}
    settings = {"data": data, "loss": loss, "backbone": "tiny", "bits": 16, "image_size": 32}
    built = Settings.build({"device": "cpu", **settings, **values})
    return finetune(built, workers=0, **options)


@pytest.mark.parametrize("loss", LABEL_FREE)
def test_a_folder_of_images_becomes_a_run(photos: Path, loss: str) -> None:
    message: list[str] = []
    done = fit(photos, loss, log=message.append)
    assert done.run == Path(f"runs/photos-tiny-{loss}-16")
    assert {path.name for path in done.run.iterdir()} == {
        *("config.yaml", "model.safetensors", "metrics.jsonl"),
        *("fitted.npy", "fitted.json", "fitted.paths.txt", "fitted.stat.npy"),
    }
    assert load_settings(resolve_run(None)) == done.settings
    line = json.loads((done.run / "metrics.jsonl").read_text())
    assert (line["epoch"], line["images"]) == (1, 40)
    assert done.history == [line]
    assert message[-1] == "40 images to fit to, 32 pixels, 16 bits, on cpu; labels are not used"

    codes = encode(load_model(done.run), photos, "codes.npy")
    assert isinstance(codes, CodeSet)
    assert (codes.count, codes.bits, codes.class_names) == (40, 16, ())
    bits = np.unpackbits(np.asarray(codes.codes), axis=1)
    assert 0.2 < bits.mean() < 0.8
    assert len(np.unique(bits, axis=0)) > 30


def code_bytes(name: str) -> list[bytes]:
    """The files of a code set."""
    return [path.read_bytes() for path in sorted(Path().glob(f"{name}.*"))]


@pytest.mark.parametrize("unsure", [0.0, 3e-5, 0.02])
def test_images_are_read_once_and_codes_are_those_of_encode(
    photos: Path, unsure: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitted_codes, "UNSURE", unsure)
    (photos / "07.png").write_bytes(b"x")
    done = fit(photos)
    model = load_encoder(done.run)
    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(HashModel, "encode_batch", None)
        codes = encode(model, photos, "codes.npy", log=lines.append)
    assert codes.count == 39 and len(codes.skipped) == 1
    assert lines[-1] == "39 images encoded when the model was fitted, 1 now"

    for path in done.run.glob("fitted.*"):
        path.rename(path.with_name(f"aside.{path.name}"))
    encode(model, photos, "anew.npy")
    assert code_bytes("codes") == code_bytes("anew")

    # What does not fit is encoded: other images, changed ones, features, another way of reading.
    for path in done.run.glob("aside.*"):
        path.rename(path.with_name(path.name.removeprefix("aside.")))
    make_pictures(photos / "more", 3)
    os.utime(photos / "03.png", ns=(5, 5))
    assert encode(model, photos, "more.npy", log=lines.append).count == 42
    assert lines[-1] == "38 images encoded when the model was fitted, 5 now"
    assert encode(model, photos, "features.npy", features=True).features is not None
    before = len(lines)
    encode(model, photos, "full.npy", decode="full", log=lines.append)
    assert len(lines) == before


def test_it_is_done_once(photos: Path) -> None:
    first = fit(photos)
    model = (first.run / "model.safetensors").read_bytes()
    again = fit(photos)
    assert again.already
    assert again.history == first.history
    with pytest.raises(ConfigError, match="seed: 0 in the run, 1 now"):
        fit(photos, seed=1)
    assert not fit(photos, seed=1, fresh=True).already
    assert (first.run / "model.safetensors").read_bytes() != model
    fit(photos, fresh=True)
    assert (first.run / "model.safetensors").read_bytes() == model


def test_an_unfinished_one_is_done_again(photos: Path) -> None:
    done = fit(photos)
    model = (done.run / "model.safetensors").read_bytes()
    (done.run / "metrics.jsonl").unlink()
    assert not fit(photos).already
    assert (done.run / "model.safetensors").read_bytes() == model


def test_other_images_are_noticed(photos: Path) -> None:
    fit(photos)
    (photos / "00.png").unlink()
    with pytest.raises(DataError, match=r"the images have changed since .* --fresh"):
        fit(photos)
    assert fit(photos, fresh=True).history[0]["images"] == 39


@pytest.mark.posix
def test_images_that_cannot_be_read_are_left_out(photos: Path) -> None:
    (photos / "07.png").write_bytes(b"x")
    os.symlink("nowhere", photos / "08.jpg")  # noqa: PTH211
    message: list[str] = []
    done = fit(photos, log=message.append)
    assert done.history[0]["images"] == 39
    assert "2 images cannot be read: left out (" in message[0]
    assert "07.png: " in message[0]
    for path in photos.iterdir():
        if path.name != "00.png" and path.suffix == ".png":
            path.write_bytes(b"x")
    with pytest.raises(DataError, match="at least 2 images that can be read, found 1"):
        fit(photos, fresh=True)


def test_an_empty_folder_says_so(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in the folder"):
        fit(tmp_path / "empty")
    with pytest.raises(DataError, match="no such file or folder"):
        fit(tmp_path / "nowhere")


def test_prepared_data_trains_on_its_training_list_alone(photos: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "colours")
    train = read_list(data / "train.txt")
    write_list(data / "train.txt", train.paths[:20], None)  # labels are not needed
    assert fit(data).history[0]["images"] == 20
    write_list(data / "train.txt", train.paths, train.labels)
    done = fit(data, fresh=True)
    assert done.history[0]["images"] == 48
    assert load_model(done.run).class_names == ("red", "green", "blue", "grey")
    assert evaluate(done.run, workers=0).figures["map"] > 0.5


def test_small_pictures_are_enlarged_for_a_network_that_cannot_adapt(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tiny.BACKBONES["tiny"]
    monkeypatch.setitem(tiny.BACKBONES, "tiny", _larger(backbone))
    (photos / "00.png").write_bytes(b"x")  # does not count
    assert fit(photos, image_size="auto").settings.image_size == 160
    Image.new("RGB", (640, 480)).save(photos / "00.png")
    for path in sorted(photos.iterdir())[1:]:
        path.unlink()
    Image.new("RGB", (640, 480), "red").save(photos / "01.png")
    assert fit(photos, image_size="auto", fresh=True).settings.image_size == 224


def _larger(backbone: Any) -> Any:
    from dataclasses import replace

    return replace(backbone, default_image_size=224)
