"""encode --part, merge, info, export: as a user runs them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import run

from bitcodes.codes.codeset import CodeSet


def test_parts_merged_are_the_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "photos", "-o", "whole.npy", "--workers", 0) == 0
    for part in (1, 2, 3):
        arguments = ("-o", f"p{part}.npy", "--part", f"{part}/3", "--workers", 0)
        assert run("encode", "photos", *arguments) == 0
    capsys.readouterr()
    assert run("merge", "p1.npy", "p2.npy", "p3.npy") == 0
    assert capsys.readouterr().out == "codes.npy: 11 codes of 24 bits\n"
    for file in place.glob("whole.*"):
        assert file.read_bytes() == Path(file.name.replace("whole", "codes")).read_bytes()
    assert run("encode", "photos", "--workers", 0) == 0
    assert "up to date" in capsys.readouterr().err
    assert run("encode", "photos", "--part", "4/3") == 2
    capsys.readouterr()
    assert run("merge", "p1.npy", "p3.npy", "--force") == 1
    assert "p1.npy is a part of; missing: 2. Encode them (--part 2/3)" in capsys.readouterr().err
    assert run("merge", "p1.npy", "p2.npy", "p3.npy", "--force", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["codes"], told["count"], told["bits"]) == ("codes.npy", 11, 24)
    assert [skip["path"] for skip in told["skipped"]] == ["a b.jpg"]


def test_encode_and_prepare_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a pipeline reads: one document on standard output, and the changes in a file."""

    def encode(*options: str) -> dict[str, Any]:
        assert run("encode", "photos", "--workers", 0, "--json", *options) == 0
        return json.loads(capsys.readouterr().out)

    told = encode("--changes", "changes.ndjson")
    assert {name: told[name] for name in ("count", "kept", "new", "changed", "gone")} == {
        "count": 11,
        "kept": 0,
        "new": 11,
        "changed": 0,
        "gone": 0,
    }
    assert told["skipped"][0]["path"] == "a b.jpg" and told["seconds"] > 0
    assert (
        told["run"] == "runs/one" and told["fingerprint"] == CodeSet.open("codes.npy").fingerprint
    )
    assert len(Path("changes.ndjson").read_text().splitlines()) == 11

    Path("photos/03.png").unlink()
    Path("photos/04.png").rename("photos/new.png")
    shutil.copy("photos/05.png", "photos/06.png")
    told = encode("--changes", "changes.ndjson")
    assert [told[name] for name in ("kept", "new", "changed", "gone")] == [8, 1, 1, 2]
    changes = [json.loads(line) for line in Path("changes.ndjson").read_text().splitlines()]
    assert [(change["change"], change["path"]) for change in changes] == [
        ("gone", "03.png"),
        ("gone", "04.png"),
        ("new", "new.png"),
        ("changed", "06.png"),
    ]
    codes = CodeSet.open("codes.npy")
    assert changes[3]["code"] == codes.codes[changes[3]["row"]].tobytes().hex()
    assert encode("--changes", "changes.ndjson")["kept"] == 10
    assert Path("changes.ndjson").read_text() == ""

    Path("mine").write_text("mine")
    assert run("encode", "photos", "--changes", "mine") == 1
    assert "was not made by bitcodes" in capsys.readouterr().err

    shutil.copytree("photos", "sorted/a")
    shutil.copytree("photos", "sorted/b")
    assert run("prepare", "folder", "sorted", "lists", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["folder"], told["state"], told["classes"]) == ("lists", "new", 2)
    assert told["counts"] == {"train": 20, "test": 2, "database": 20}


def test_info_tells_and_verifies(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "photos", "--workers", 0) == 0
    capsys.readouterr()
    assert run("info", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["count"], told["bits"], told["skipped"]) == (11, 24, 1)
    assert (told["engine"], told["decode"], told["checksums"]) == ("torch", "reduced", "good")
    assert run("info") == 0
    assert "checksums" in capsys.readouterr().out
    assert run("info", "runs/one", "--json") == 0
    model = json.loads(capsys.readouterr().out)
    assert model["fingerprint"] == told["model"]
    data = bytearray(Path("codes.npy").read_bytes())
    data[-1] ^= 1
    Path("codes.npy").write_bytes(data)
    assert run("info") == 1
    assert "CRC-32" in capsys.readouterr().err


def test_export_and_use(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", "small.onnx") == 0
    assert capsys.readouterr().out == "small.onnx: tiny, 24 bits, images of 16 x 16 pixels\n"
    assert run("export", "small.onnx") == 1
    assert run("export", "small.pt") == 1
    assert run("encode", "photos", "--run", "small.onnx", "--workers", 0) == 0
    assert run("encode", "photos", "-o", "exact.npy", "--exact", "--workers", 0) == 0
    assert Path("codes.npy").read_bytes() == Path("exact.npy").read_bytes()
    capsys.readouterr()
    assert run("info", "small.onnx", "--json") == 0
    assert json.loads(capsys.readouterr().out)["exported"]
    assert run("search", "photos/03.png", "-k", 1) == 0
