"""Exported models: the same bits, the same settings, and no torch to run them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import SIDE, make_model, make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import BitcodesError, CodeSetError, ConfigError, ModelError
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.engines import load_encoder, load_like
from bitcodes.models.exporting import export_onnx
from bitcodes.models.hashing import HashModel
from bitcodes.models.modelfile import read_info
from bitcodes.models.onnx import OnnxModel, exported, load_onnx
from bitcodes.tasks.encode import encode

for name in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(name)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its model exported beside it."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "one")
    load_onnx(folder)
    return folder


def test_an_export_gives_the_outputs_and_knows_the_settings(run: Path) -> None:
    model, other = load_model(run), OnnxModel(run / "model.onnx")
    assert other.preprocessing == model.preprocessing
    assert (
        other.fingerprint()
        == model.fingerprint()
        == read_info(run / "model.safetensors").fingerprint
    )
    assert (other.bits, other.feature_dim, other.backbone_name) == (24, 48, "tiny")
    for count in (1, 3, 40):
        images = np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        expected, result = model.encode_batch(images), other.encode_batch(images)
        np.testing.assert_allclose(result.outputs, expected.outputs, atol=1e-5)
        np.testing.assert_allclose(result.features, expected.features, atol=1e-5)
        assert result.outputs.dtype == result.features.dtype == np.float32


def test_an_export_has_the_hidden_layer(run: Path, tmp_path: Path) -> None:
    plain = load_model(run)
    model = HashModel(plain.backbone_name, 24, plain.preprocessing, hidden=32)
    model.backbone.load_state_dict(plain.backbone.state_dict())
    images = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 3), np.uint8)
    model.train()(model.preprocessing.normalise(torch.from_numpy(images)))
    export_onnx(model.eval(), tmp_path / "model.onnx")
    other = OnnxModel(tmp_path / "model.onnx")
    assert other.feature_dim == 32
    expected, result = model.encode_batch(images), other.encode_batch(images)
    np.testing.assert_allclose(result.outputs, expected.outputs, atol=1e-5)
    np.testing.assert_allclose(result.features, expected.features, atol=1e-5)


def test_an_export_of_other_weights_is_not_used(run: Path, tmp_path: Path) -> None:
    save_model(make_model(seed=1), tmp_path / "model.safetensors")
    (tmp_path / "model.onnx").write_bytes((run / "model.onnx").read_bytes())
    assert exported(tmp_path / "model.safetensors") is None
    assert exported(run / "model.safetensors") is not None
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        OnnxModel(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="cannot be written"):
        export_onnx(load_model(run), tmp_path / "none" / "model.onnx")


@pytest.mark.parametrize("workers", [0, 2])
def test_codes_of_an_export_are_those_of_the_model(run: Path, tmp_path: Path, workers: int) -> None:
    make_pictures(tmp_path / "photos", 21)
    (tmp_path / "photos" / "05b.png").write_bytes(b"no picture")
    torch_set = encode(load_model(run), tmp_path / "photos", tmp_path / "torch.npy", features=True)
    onnx_set = encode(
        load_encoder(run, engine="onnx"),
        tmp_path / "photos",
        tmp_path / "onnx.npy",
        features=True,
        batch_size=4,
        workers=workers,
    )
    np.testing.assert_array_equal(onnx_set.codes, torch_set.codes)
    assert list(onnx_set.paths) == list(torch_set.paths)
    assert onnx_set.skipped == torch_set.skipped
    assert onnx_set.header.engine == "onnx"
    assert onnx_set.run == torch_set.run == run
    with pytest.raises(CodeSetError, match=r"\('onnx'.*\('torch'"):
        encode(load_model(run), tmp_path / "photos", tmp_path / "onnx.npy")


def test_the_engine_is_chosen(run: Path, tmp_path: Path) -> None:
    fresh = make_run(tmp_path / "fresh", seed=2)
    assert load_encoder(run).engine == "onnx"  # exported already
    assert load_encoder(run, engine="torch").engine == "torch"
    assert load_encoder(run, dtype="bfloat16").dtype == "bfloat16"
    assert load_encoder(fresh, images=10).engine == "torch"
    assert load_encoder(run / "model.onnx").engine == "onnx"
    with pytest.raises(ConfigError, match="bfloat16"):
        load_encoder(run, engine="onnx", dtype="bfloat16")
    with pytest.raises(ConfigError, match="name the run"):
        load_encoder(run / "model.onnx", engine="torch")
    make_pictures(tmp_path / "photos", 2)
    code_set = encode(load_encoder(fresh), tmp_path / "photos", tmp_path / "codes.npy")
    assert code_set.header.engine == "onnx"  # for an unknown number it is exported
    log: list[str] = []
    (fresh / "model.onnx").unlink()
    assert load_like(code_set.header, fresh).engine == "torch"  # a query is not worth it
    assert load_encoder(fresh, images=1, like=code_set.header, log=log.append).engine == "onnx"
    assert log == [f"exporting the model to {fresh / 'model.onnx'}, once"]


LIGHT = """
import sys
from bitcodes.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules and "numba" not in sys.modules
"""


def test_encoding_with_an_export_loads_no_torch(run: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 3)
    arguments = ["encode", "photos", "--run", str(run), "--engine", "onnx"]
    subprocess.run([sys.executable, "-c", LIGHT, *arguments], cwd=tmp_path, check=True)
    assert CodeSet.open(tmp_path / "codes.npy").count == 3


def test_without_the_runtime_it_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BitcodesError, match=r"pip install 'bitcodes\[onnx\]'"):
        load_onnx(run)
