"""encode --part, merge, info, export: as a user runs them."""

import json
from pathlib import Path

import pytest
from commands import run


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
    assert run("merge", "p1.npy", "p2.npy") == 1


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
