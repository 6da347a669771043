"""The export that finetune leaves in a run: of the model that is there, or none at all."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small  # noqa: F401 - registers the backbone
import torch
from tiny import make_pictures

from bitcodes.models.engines import load_encoder
from bitcodes.models.modelfile import read_info
from bitcodes.models.onnx import OnnxModel, exported
from bitcodes.settings import Settings
from bitcodes.training import Finetuned, finetune
from bitcodes.training.progress import Progress

pytestmark = pytest.mark.exports
RUN = Path("run")
MODEL = RUN / "model.safetensors"


def train(data: Path, **values: Any) -> Finetuned:
    options = {name: values.pop(name) for name in ("log", "report") if name in values}
    settings = {"data": data, "backbone": "small", "bits": 12, "image_size": 32}
    built = Settings.build({"device": "cpu", "amp": "off", "epochs": 1, **settings, **values})
    return finetune(built, RUN, workers=0, **options)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def interrupt(now: Progress) -> None:
    if now.epoch == 2:
        signal.raise_signal(signal.SIGINT)


def test_training_ends_with_an_export_of_its_model(data: Path) -> None:
    log: list[str] = []
    train(data, log=log.append)
    assert f"exporting the model to {RUN / 'model.onnx'}, once" in log
    first = OnnxModel(RUN / "model.onnx").fingerprint()
    assert first == read_info(MODEL).fingerprint
    with pytest.raises(KeyboardInterrupt):
        train(data, epochs=3, report=interrupt)
    stale = read_info(MODEL).fingerprint != first
    assert stale == (exported(MODEL) is None)
    train(data, epochs=3)
    model = exported(MODEL)
    assert model is not None and model.fingerprint() == read_info(MODEL).fingerprint
    before = (RUN / "model.onnx").stat().st_mtime_ns
    assert train(data, epochs=3).already
    assert (RUN / "model.onnx").stat().st_mtime_ns == before


def test_killed_before_its_export_it_is_exported_by_the_next_call(data: Path) -> None:
    train(data)
    whole = (RUN / "model.onnx").read_bytes()
    (RUN / "model.onnx").unlink()
    assert train(data).already
    assert (RUN / "model.onnx").read_bytes() == whole


def test_interrupted_it_leaves_no_export_and_encode_makes_one(data: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, epochs=3, report=interrupt)
    assert MODEL.is_file() and not (RUN / "model.onnx").exists()
    assert load_encoder(RUN).fingerprint() == read_info(MODEL).fingerprint
    assert (RUN / "model.onnx").exists()


def test_a_fit_without_labels_is_exported(tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 20)
    train(tmp_path / "photos", loss="itq")
    model, whole = exported(MODEL), load_encoder(RUN, engine="torch")
    assert model is not None and model.fingerprint() == whole.fingerprint()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    outputs = model.encode_batch(images).outputs
    np.testing.assert_allclose(outputs, whole.encode_batch(images).outputs, atol=1e-4)


def test_a_model_that_cannot_be_exported_is_trained_all_the_same(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fails)
    log: list[str] = []
    assert len(train(data, log=log.append).history) == 1
    assert any(
        "cannot be exported to ONNX: no such operator; so torch runs" in line for line in log
    )
    assert MODEL.is_file()
    assert [path.name for path in RUN.iterdir() if "onnx" in path.name] == []
