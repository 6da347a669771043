"""Exported models: the same bits, the same settings, and no torch to run them."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run as command
from tiny import SIDE, make_model, make_pictures, make_run

import bitcodes
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError, ConfigError, ModelError
from bitcodes.models import engines
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.engines import load_encoder, load_like
from bitcodes.models.exporting import export_onnx
from bitcodes.models.hashing import HashModel
from bitcodes.models.modelfile import read_info
from bitcodes.models.onnx import OnnxModel, exported, load_onnx
from bitcodes.tasks.encoding.encode import encode

pytestmark = pytest.mark.exports


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
    with pytest.raises(ModelError, match="or it is cut off"):
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
    with pytest.raises(CodeSetError, match=r"with --engine onnx .* be --engine torch "):
        encode(load_model(run), tmp_path / "photos", tmp_path / "onnx.npy")


def test_the_engine_is_chosen(run: Path, tmp_path: Path) -> None:
    fresh = make_run(tmp_path / "fresh", seed=2)
    assert load_encoder(run).engine == "onnx"  # exported already
    assert load_encoder(run, engine="torch").engine == "torch"
    assert load_encoder(run, dtype="bfloat16").dtype == "bfloat16"
    assert load_encoder(run / "model.onnx").engine == "onnx"
    with pytest.raises(ConfigError, match="bfloat16"):
        load_encoder(run, engine="onnx", dtype="bfloat16")
    with pytest.raises(ConfigError, match="name the run"):
        load_encoder(run / "model.onnx", engine="torch")
    make_pictures(tmp_path / "photos", 2)
    log: list[str] = []
    model = load_encoder(fresh, log=log.append)
    exporting = f"exporting the model to {fresh / 'model.onnx'}, once"
    assert (model.engine, log) == ("onnx", [exporting])
    header = encode(model, tmp_path / "photos", tmp_path / "codes.npy").header
    (fresh / "model.onnx").unlink()
    assert load_like(header, fresh, log=log.append).engine == "onnx"
    assert load_encoder(fresh, like=header, log=log.append).engine == "onnx"
    assert log == [exporting] * 2


def test_a_model_of_a_gpu_is_for_torch_where_there_is_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(load_model(run), path)
    content = path.read_bytes()
    assert content.count(b'device\\":\\"cpu') == 1
    path.write_bytes(content.replace(b'device\\":\\"cpu', b'device\\":\\"mps'))
    for gpu, engine in ((False, "onnx"), (True, "torch")):
        monkeypatch.setattr(engines, "has_gpu", lambda gpu=gpu: gpu)
        assert load_encoder(path).engine == engine
        assert load_encoder(path, "cpu").engine == "onnx"


def test_a_code_set_of_torch_goes_on_with_torch_and_is_searched_without(
    run: Path, tmp_path: Path
) -> None:
    make_pictures(tmp_path / "photos", 2)
    header = encode(load_model(run), tmp_path / "photos", tmp_path / "codes.npy").header
    assert header.engine == "torch"
    log: list[str] = []
    assert load_encoder(run, like=header, log=log.append).engine == "torch"
    assert len(log) == 1 and "was encoded by torch, which goes on with it; --force" in log[0]
    assert load_like(header, run).engine == "onnx"
    assert load_like(header.model_copy(update={"dtype": "bfloat16"}), run).engine == "torch"
    assert load_like(header, run / "model.onnx").engine == "onnx"


def test_torch_runs_what_cannot_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", seed=3)

    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fails)
    log: list[str] = []
    assert load_encoder(run, log=log.append).engine == "torch"
    assert log[1:] == [
        "tiny cannot be exported to ONNX: no such operator; so torch runs the model, which takes "
        "longer on a CPU"
    ]
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]
    with pytest.raises(ModelError, match="no such operator"):
        load_encoder(run, engine="onnx")


LIGHT = """
import sys
from bitcodes.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules and "numba" not in sys.modules
"""


def test_the_choice_of_an_engine_loads_none() -> None:
    heavy = {"torch", "onnx", "onnxruntime", "onnxscript", "timm", "numba", "safetensors"}
    code = f"import sys, bitcodes.models.engines; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_encoding_with_an_export_loads_no_torch(run: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 3)
    arguments = ["encode", "photos", "--run", str(run), "--engine", "onnx"]
    subprocess.run([sys.executable, "-c", LIGHT, *arguments], cwd=tmp_path, check=True)
    assert CodeSet.open(tmp_path / "codes.npy").count == 3


def test_a_set_made_with_an_onnx_file_is_searched_with_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 3)
    for number, name in enumerate(("model.onnx", "other.onnx", "alone/model.onnx")):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(run / "model.onnx", name)
        codes = f"{number}.npy"
        encode_it = ("encode", "photos", "-o", codes, "--run", name, "--workers", 0)
        assert command(*encode_it) == 0
        header = CodeSet.open(codes).header
        assert (header.run, header.engine) == (name, "onnx")
        for model in ((), ("--run", name), ("--run", Path(name).parent)):
            capsys.readouterr()
            assert command("search", "photos/02.png", "--codes", codes, "-k", 1, *model) == 0
            assert capsys.readouterr().out.split("\t")[4] == "photos/02.png"
        assert command(*encode_it) == 0
        assert "up to date" in capsys.readouterr().err
    shutil.rmtree("alone")
    assert command("search", "photos/02.png", "--codes", codes) == 1
    assert "was made with alone/model.onnx, which is not there" in capsys.readouterr().err


def test_the_public_load_model_takes_an_onnx_file(run: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 3)
    names = sorted((tmp_path / "photos").iterdir())
    model = bitcodes.load_model(str(run / "model.onnx"))
    whole = bitcodes.load_model(run, engine="torch")
    assert model.engine == bitcodes.load_model(run).engine == "onnx"
    assert isinstance(whole, HashModel)
    encoded, expected = (bitcodes.encode_images(each, names) for each in (model, whole))
    np.testing.assert_allclose(encoded.outputs, expected.outputs, atol=1e-5)
    with pytest.raises(ConfigError, match="use --engine torch for cuda"):
        bitcodes.load_model(run / "model.onnx", "cuda")


def test_a_model_that_is_exported_is_not_exported_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", tmp_path / "copy.onnx", "--run", run / "model.onnx") == 1
    assert "runs with the engine onnx only" in capsys.readouterr().err
