"""Exported models are run as they were written, or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import run as command
from onnx import TensorProto, helper, numpy_helper
from tiny import SIDE, make_model, make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import ModelError
from bitcodes.models.checkpoint import describe
from bitcodes.models.exporting import export_onnx
from bitcodes.models.onnx import OnnxModel, exported, load_onnx
from bitcodes.models.sealing import read_sealed, seal

pytestmark = pytest.mark.exports
DIGEST = b"\x72\x53\x0a\x0fbitcodes.sha256\x12\x40"
FINGERPRINT = "0123456789abcdef" * 4
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "one")
    load_onnx(folder)
    return folder


def mutations(content: bytes, count: int) -> list[bytes]:
    """Files that differ from `content`: bits turned, bytes set, cut, doubled, taken out, added."""
    rng = np.random.default_rng(7)
    results = []
    for number in range(count):
        at, size = int(rng.integers(len(content))), int(rng.integers(1, 60))
        piece = content[at : at + size]
        turned = bytes([content[at] ^ 1 << number % 8])
        results.append(
            [
                content[:at] + turned + content[at + 1 :],
                content[:at] + rng.bytes(len(piece)) + content[at + len(piece) :],
                content[:at],
                content[:at] + piece + content[at:],
                content[:at] + content[at + size :],
                content + rng.bytes(size),
                content[at:] + content[:at],
                content[:at] + bytes(len(piece)) + content[at + len(piece) :],
            ][number % 8]
        )
    return [mutation for mutation in results if mutation != content]


def test_a_damaged_file_is_refused_and_made_anew(run: Path, tmp_path: Path) -> None:
    content = (run / "model.onnx").read_bytes()
    damaged = mutations(content, 200)
    assert len(damaged) > 180
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    file = tmp_path / "model.onnx"
    for mutation in damaged:
        file.write_bytes(mutation)
        with pytest.raises(ModelError, match=r"is damaged|or it is cut off"):
            OnnxModel(file)
        assert exported(tmp_path / "model.safetensors") is None
    assert load_onnx(tmp_path).fingerprint() == OnnxModel(run / "model.onnx").fingerprint()


def test_the_digest_is_that_of_all_before_it(run: Path) -> None:
    content = (run / "model.onnx").read_bytes()
    body, digest = content[:-85], content[-64:].decode()
    assert digest == hashlib.sha256(body).hexdigest()
    fingerprint = make_model().fingerprint()
    assert content == seal(body[:-90], fingerprint)
    assert read_sealed(run / "model.onnx") == (content, digest, fingerprint)
    model = onnx.load_from_string(content)
    assert {entry.key: entry.value for entry in model.metadata_props}["bitcodes.sha256"] == digest
    onnx.checker.check_model(model)


def with_digest(body: bytes) -> bytes:
    """A file with a digest that fits; its body ends in the entry with the fingerprint."""
    return body + DIGEST + hashlib.sha256(body).hexdigest().encode()


def test_a_changed_file_whose_digest_fits_is_another_model(run: Path, tmp_path: Path) -> None:
    """Other weights, another description, or another network: never under the old fingerprint."""
    content = (run / "model.onnx").read_bytes()
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    file = tmp_path / "model.onnx"
    proto = onnx.load_from_string(content[:-175])
    before = make_model().fingerprint()
    made = []
    for change in (
        halve_weights,
        lambda model: setattr(model, "producer_name", "another"),
        lambda model: model.metadata_props.add(key="more", value="text"),
    ):
        model = onnx.ModelProto()
        model.CopyFrom(proto)
        change(model)
        file.write_bytes(with_digest(model.SerializeToString() + content[-175:-85]))
        other = OnnxModel(file)
        made.append(other.fingerprint())
        assert exported(tmp_path / "model.safetensors") is None
        make_pictures(tmp_path / "photos", 1)
        assert command("encode", tmp_path / "photos", "--run", file, "-o", tmp_path / "a.npy") == 0
        assert CodeSet.open(tmp_path / "a.npy").fingerprint == made[-1]
        for part in tmp_path.glob("a.*"):
            part.unlink()
    assert len({before, *made}) == 4 and all(len(each) == 64 for each in made)
    file.write_bytes(with_digest(content[:-85]))
    assert file.read_bytes() == content


def halve_weights(model: onnx.ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 2, tensor.name))


def test_a_fingerprint_of_other_letters_is_refused(run: Path, tmp_path: Path) -> None:
    content = (run / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(with_digest(content[:-86] + b"x"))
    with pytest.raises(ModelError, match="is damaged: its fingerprint is none"):
        OnnxModel(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        seal(b"", "abcd")


@pytest.mark.posix
def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="cannot be read: it is a named pipe"):
        OnnxModel(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.write_bytes(b""), "or it is cut off"),
        (lambda file: file.write_bytes(b"something else"), "or it is cut off"),
        (lambda file: file.write_bytes(seal(b"", FINGERPRINT)), "not a readable ONNX model"),
        (
            lambda file: file.write_bytes(seal(b"something else", FINGERPRINT)),
            "not a readable ONNX model",
        ),
        (lambda file: file.mkdir(), "cannot be read"),
        (lambda file: os.truncate(_touched(file), 2**31), "is too large"),
    ],
)
def test_what_is_no_export_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=message):
        OnnxModel(tmp_path / "model.onnx")


def _touched(file: Path) -> Path:
    file.touch()
    return file


def test_the_command_says_it_in_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((run / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    make_pictures(tmp_path / "photos", 1)
    assert command("encode", tmp_path / "photos", "--run", tmp_path / "model.onnx") == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(f"error: {tmp_path / 'model.onnx'}: is damaged")
    assert said[0].endswith("write it again with bitcodes export")


def test_a_file_that_changes_while_it_is_used_is_noticed(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes((run / "model.onnx").read_bytes())
    model = OnnxModel(file)
    in_worker = model.with_threads(1)
    export_onnx(make_model(seed=1), file)
    with pytest.raises(ModelError, match="has changed since it was opened"):
        in_worker.encode_batch(IMAGES)


def graph(
    shape: tuple[int | str, ...] = ("batch", SIDE, SIDE, 3),
    dtype: int = TensorProto.UINT8,
    names: tuple[str, ...] = ("images", "outputs", "features"),
    bits: int = 24,
    features: int = 48,
    **metadata: str,
) -> bytes:
    """A sealed model of a graph made by hand: outputs and features are sums of pixels."""
    weights = [
        helper.make_tensor(f"weight {size}", TensorProto.FLOAT, [SIDE * SIDE * 3, size], values)
        for size in {bits, features}
        for values in [np.ones(SIDE * SIDE * 3 * size, np.float32)]
    ]
    sizes = (bits, features)
    nodes = [
        helper.make_node("Cast", [names[0]], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        *(
            helper.make_node("MatMul", ["flat", f"weight {size}"], [name])
            for name, size in zip(names[1:], sizes, strict=False)
        ),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "made by hand",
            [helper.make_tensor_value_info(names[0], dtype, shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
                for name, size in zip(names[1:], sizes, strict=False)
            ],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    info = {
        "bitcodes": describe(make_model(), "cpu").to_json(),
        "bitcodes.norms": json.dumps([1.0] * 24),
        "bitcodes.feature_dim": "48",
    }
    helper.set_model_props(model, info | {f"bitcodes.{key}": metadata[key] for key in metadata})
    return seal(model.SerializeToString(), FINGERPRINT)


def test_a_model_of_the_right_inputs_and_outputs_runs(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    outputs = OnnxModel(tmp_path / "model.onnx").encode_batch(IMAGES).outputs
    expected = IMAGES.reshape(4, -1).sum(axis=1, dtype=np.float32)[:, None].repeat(24, axis=1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (graph(dtype=TensorProto.FLOAT), "images tensor.float."),
        (graph(names=("pixels", "outputs", "features")), "pixels"),
        (graph(names=("images", "features", "outputs")), "found images .*, features"),
        (graph(names=("images", "outputs")), "found images tensor.uint8. .*, outputs [^,]*, 24.$"),
        (graph(shape=("batch", 3, SIDE, SIDE)), "3, 16, 16"),
        (graph(shape=(1, SIDE, SIDE, 3)), "found images tensor.uint8. .1, 16"),
        (graph(bits=16), "outputs tensor.float. .B, 16."),
        (graph(features=40), "features tensor.float. .B, 40."),
    ],
)
def test_other_inputs_and_outputs_are_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=f"has other inputs and outputs.*{found}"):
        OnnxModel(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("norms", "no JSON"),
        ("norms", "[1, 2]"),
        ("norms", "[[1], [2, 3]]"),
        ("norms", '{"a": 1}'),
        ("norms", "[" * 100_000),
        ("norms", json.dumps([float("nan")] * 24)),
        ("feature_dim", "many"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "model.onnx").write_bytes(graph(**{key: value}))
    with pytest.raises(ModelError, match="its description is damaged"):
        OnnxModel(tmp_path / "model.onnx")


def test_nothing_is_written_into_the_home_folder(run: Path, tmp_path: Path) -> None:
    """ONNX Runtime keeps telemetry and a number for the machine there, if it is let."""
    home = tmp_path / "home"
    home.mkdir()
    make_pictures(tmp_path / "photos", 2)
    names = ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "APPDATA")
    environment = {**os.environ, **dict.fromkeys(names, str(home))}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    bitcodes = [sys.executable, "-m", "bitcodes"]
    for arguments in (
        ["encode", "photos", "--run", str(run), "--workers", "1"],
        ["search", "photos/00.png"],
        ["info", str(run / "model.onnx")],
    ):
        subprocess.run([*bitcodes, *arguments], cwd=tmp_path, env=environment, check=True)
    assert [path for path in home.rglob("*") if path.is_file() and "onnx" in str(path)] == []
    assert [path for path in home.rglob("*") if path.is_file() and "numba" not in str(path)] == []


def test_a_model_that_is_no_text_or_gives_other_sizes_is_refused(tmp_path: Path) -> None:
    content = graph(**{"class": "text of bytes"})
    assert content.count(b"text of bytes") == 1
    file = tmp_path / "model.onnx"
    changed = content[:-175].replace(b"text of bytes", b"text \xff\xfe bytes")
    file.write_bytes(seal(changed, FINGERPRINT))
    with pytest.raises(ModelError, match="its description is damaged: 'utf-8'"):
        OnnxModel(file)
    file.write_bytes(graph())
    model = OnnxModel(file)
    model.bits = 25
    with pytest.raises(ModelError, match=r"expected \(\(4, 25\), \(4, 48\)\), found \(\(4, 24\)"):
        model.encode_batch(IMAGES)
