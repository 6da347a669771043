"""`bitcodes select` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import run
from parsed_page import Page
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.codes.writer import save_code_set
from bitcodes.tasks.select import select


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four pictures: the codes of a and c are equal, b differs from them in 3 bits, d in 20."""
    names = ["a.png", "b.png", "c.png", "d\t.png"]
    (tmp_path / "photos").mkdir()
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name)
    bits = np.zeros((4, 20), bool)
    bits[1, :3] = True
    bits[3] = True
    save_code_set(
        CodeSet.from_arrays(pack_bits(bits), 20, paths=names, root=tmp_path / "photos"),
        tmp_path / "codes.npy",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_list_for_other_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("select", "-n", 3) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["photos/a.png", "photos/d\\t.png", "photos/b.png"]
    assert shown.err.splitlines()[-1] == (
        "3 of 4 images; each other image is within distance 0 of one of these"
    )
    assert run("select", "codes.npy") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "4 of 4 images"


def test_json_and_a_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("select", "-n", 2, "--json", "--html", "page.html") == 0
    document = json.loads(capsys.readouterr().out)
    first, second = document.pop("images")
    assert document == {"codes": "codes.npy", "bits": 20, "count": 4, "radius": 3}
    file = str(place / "photos" / "a.png")
    assert first == {"row": 0, "path": "a.png", "file": file, "distance": None}
    assert (second["row"], second["distance"]) == (3, 20)
    page = Page(Path("page.html").read_text(encoding="utf-8"))
    text = " ".join("".join(page.text).split())
    assert "the most typical" in text and "20 bits from those before" in text
    assert len(page.of("img")) == 2


def test_class_bits_weigh_more_where_codes_have_two_parts() -> None:
    bits = np.zeros((3, 6), bool)
    bits[1, 0] = True  # a class bit: distance 4
    bits[2, 2:5] = True  # three instance bits: distance 3
    parts = Parts(class_bits=2, instance_bits=4, class_weight=4)
    selection = select(CodeSet.from_arrays(pack_bits(bits), 6, parts=parts), 2)
    assert [image.row for image in selection.images] == [0, 1]
    assert selection.radius == 3
