"""`bitcodes duplicates --against` and `bitcodes compare` as a user runs them."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import run
from PIL import Image, ImageOps

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set


def spots(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A is in both sets, changed; b has a code near that of another picture; c is in one alone."""
    for folder in ("new", "old"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate("abc"):
        spots(number).save(tmp_path / "new" / f"{name}.png")
    ImageOps.mirror(spots(0)).save(tmp_path / "old" / "x.png")
    spots(8).save(tmp_path / "old" / "y.png")
    monkeypatch.chdir(tmp_path)
    save("new", [0b0, 0b1111, 0b11111111], ["a.png", "b.png", "c.png"])
    save("old", [0b1, 0b1101], ["x.png", "y.png"])
    return tmp_path


def save(folder: str, codes: list[int], names: list[str]) -> None:
    packed = np.array(codes, np.uint8)[:, None]
    save_code_set(
        CodeSet.from_arrays(packed, 8, names, root=Path(folder).resolve()), f"{folder}.npy"
    )


def test_one_set_against_another(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "new.npy", "--against", "old.npy", "--radius", 3) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "new/a.png\told/x.png\t1",
        "new/a.png\told/y.png\t3",
        "new/b.png\told/y.png\t1",
        "new/b.png\told/x.png\t3",
    ]
    assert "2 of 3 images are among the 2 images of old.npy, within distance 3" in shown.err


def test_pixels_decide_against_another_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("duplicates", "new.npy", "--against", "old.npy", "--radius", 3, "--verify")
    assert run(*words) == 0
    shown = capsys.readouterr()
    path, other, distance, kind, score = shown.out.rstrip().split("\t")
    assert (path, other, distance, kind) == ("new/a.png", "old/x.png", "1", "copy")
    assert float(score) > 0.8 and "3 pairs of different pictures left out" in shown.err
    assert run(*words, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (image,) = document["images"]
    assert (image["path"], image["row"], document["radius"]) == ("a.png", 0, 3)
    (match,) = image["matches"]
    assert (match["path"], match["distance"], match["kind"]) == ("x.png", 1, "copy")


def test_a_file_is_no_match_of_itself(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "new.npy", "--against", "new.npy", "--radius", 2) == 0
    assert capsys.readouterr().out == ""


def test_groups_do_not_go_with_against(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "new.npy", "--against", "old.npy", "--linkage", "chain") == 2
    assert "--against: it makes no groups: use it without" in capsys.readouterr().err


def test_a_page_of_matches(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("duplicates", "new.npy", "--against", "old.npy", "--radius", 3)
    assert run(*words, "--verify", "--html", "page.html") == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and "<script" not in page
    assert '<b class="role">copy</b>, 1 bit apart' in page and ">mirrored<" in page
    assert "1 of 3 images with a verified copy among" in page


def test_compare_says_by_its_exit_status(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "new/a.png", "old/x.png") == 0
    assert capsys.readouterr().out.startswith("copies: B is mirrored (score ")
    assert run("compare", "new/a.png", "new/b.png", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["mirrored"], document["one"]) == (None, False, "new/a.png")
    assert run("compare", "new/a.png", "none.png") == 2
    assert "error: 'none.png' cannot be read: " in capsys.readouterr().err
    assert run("compare", "new/a.png") == 2
    assert "B is missing" in capsys.readouterr().err
