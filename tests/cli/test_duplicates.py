"""`bitcodes duplicates` and `bitcodes index` as a user runs them."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from commands import run
from PIL import Image
from rich.console import Console

from bitcodes.cli import console
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven pictures: b and a share a code, d is a bit away from them, c and e share another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["b.png", "c.png", "a.png", "d.png", "e.png", "f.png", "gone.png"]
    for place, name in enumerate(names[:-1]):
        side = 40 if name == "e.png" else 16
        Image.new("RGB", (side, side), (40 * place, 99, 99)).save(folder / name)
    bits = np.zeros((7, 20), bool)
    bits[3, 7] = True
    bits[[1, 4], :10] = True
    bits[[5, 6], 10:] = True
    bits[6, :5] = True
    save_code_set(
        CodeSet.from_arrays(pack_bits(bits), 20, paths=names, root=folder), tmp_path / "codes.npy"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lines_for_other_programs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "--radius", 0, "--keep", "first") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "1\tkeep\t0\tphotos/a.png",
        "1\tduplicate\t0\tphotos/b.png",
        "2\tkeep\t0\tphotos/c.png",
        "2\tduplicate\t0\tphotos/e.png",
    ]
    assert "2 groups of equal codes: 2 duplicates among 7 images" in shown.err
    assert shown.err.splitlines()[-2].endswith("; keep: first by path")
    assert run("duplicates", "codes.npy", "--radius", 1) == 0
    shown = capsys.readouterr()
    assert "; keep: most pixels, then most bytes, then first by path\n" in shown.err
    assert shown.out.splitlines() == [
        "1\tkeep\t0\tphotos/a.png",
        "1\tduplicate\t0\tphotos/b.png",
        "1\tduplicate\t1\tphotos/d.png",
        "2\tkeep\t0\tphotos/e.png",
        "2\tduplicate\t0\tphotos/c.png",
    ]


def test_the_default_radius_is_an_eighth_of_the_bits(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bits, radius in ((20, 2), (128, 16), (7, 0)):
        codes = np.zeros((2, bits), bool)
        codes[1, :radius] = True
        save_code_set(CodeSet.from_arrays(pack_bits(codes), bits), "codes.npy", force=True)
        assert run("duplicates", "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["radius"], document["extra"]) == (radius, 1)


def test_json_and_a_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "--radius", 5, "--json", "--html", "page.html") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["extra"] == 3 and document["distinct"] == 5 and document["radius"] == 5
    assert [[image["row"] for image in images] for images in document["groups"]] == [
        [2, 0, 3],
        [4, 1],
    ]
    assert "1 image of groups left out: no longer there ('gone.png')" in document["notes"][0]
    assert document["groups"][0][2] == {
        "row": 3,
        "path": "d.png",
        "file": str(place / "photos" / "d.png"),
        "distance": 1,
        "distances": [1, 1],
        "kind": None,
        "score": None,
        "changes": [],
    }
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<img") == 5 and page.count('class="missing"') == 0


def test_a_table_on_a_terminal(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=80, no_color=True, highlight=False)
    monkeypatch.setattr(console, "out", terminal)
    assert run("duplicates", "--radius", 1) == 0
    shown = file.getvalue()
    heading = "2 groups within distance 1 of the image to keep: 3 duplicates among 7 images"
    for word in (heading, "keep", "photos/d.png"):
        assert word in shown


def test_wrong_usage(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("duplicates", "none.npy") == 1
    assert "no such code set" in capsys.readouterr().err
    for words, problem in (
        (("--radius", -1), "--radius: expected a whole number of at least 0, or auto; found '-1'"),
        (
            ("--radius", "two"),
            "--radius: expected a whole number of at least 0, or auto; found 'two'",
        ),
        (
            ("--keep", "best"),
            "--keep: expected first, largest, oldest, shortest-path or folder:DIR, "
            "or several with commas; found 'best'",
        ),
        (("--radius",), "--radius: expected a value after it"),
        (("a.npy", "b.npy"), "expected no more arguments; found b.npy"),
        (("--radus", 1), "no such option: --radus; did you mean --radius?"),
    ):
        assert run("duplicates", *words) == 2
        assert capsys.readouterr() == ("", f"error: {problem}\nhelp: bitcodes duplicates --help\n")
    np.save("bare.npy", np.zeros((3, 2), np.uint8))
    capsys.readouterr()
    assert run("duplicates", "bare.npy") == 0
    assert capsys.readouterr().out.splitlines()[0] == "1\tkeep\t0\t0"
    assert run("duplicates", "bare.npy", "--keep", "largest") == 1
    assert "use --keep first" in capsys.readouterr().err


def test_index(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("index") == 0
    assert "codes.index: 7 codes, 5 distinct (71.4%); built" in capsys.readouterr().out
    assert run("index", "codes.npy") == 0
    assert "up to date" in capsys.readouterr().out
    assert run("duplicates", "--radius", 0) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    save_code_set(CodeSet.from_arrays(np.zeros((3, 2), np.uint8), 16), "codes.npy", force=True)
    assert run("index", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("seconds") >= 0
    assert document == {
        **{"index": "codes.index", "count": 3, "distinct": 1, "built": True},
        **{"tables": 0, "gains": {}},
    }


def test_index_with_tables_grows_with_the_set(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = pack_bits(np.random.default_rng(0).random((300, 20)) < 0.5)
    save_code_set(CodeSet.from_arrays(codes[:200], 20), place / "codes.npy", force=True)
    assert run("index", "--tables") == 0
    assert "built in" in capsys.readouterr().out
    save_code_set(CodeSet.from_arrays(codes, 20), place / "codes.npy", force=True)
    assert run("index", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["count"], document["tables"], document["built"]) == (300, 5, True)
    assert set(document["gains"]) == {"1 nearest", "10 nearest", "100 nearest", "radius 2"}
    assert run("index", "--no-tables") == 0
    assert run("index") == 0
    assert "up to date" in capsys.readouterr().out
    assert not list((place / "codes.index").glob("table-*"))


def with_stat(place: Path) -> None:
    """The set of `place` with sizes and times, as encode writes it, and without what is gone."""
    code_set = CodeSet.open("codes.npy")
    names = list(code_set.paths)[:-1]
    status = [(place / "photos" / name).stat() for name in names]
    stat = [(one.st_size, one.st_mtime_ns) for one in status]
    codes = np.array(code_set.codes[:-1])
    new = CodeSet.from_arrays(codes, 20, names, stat=stat, root=place / "photos")
    save_code_set(new, "codes.npy", force=True)


def test_duplicates_are_moved_and_moved_back(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_stat(place)
    before = sorted(path.name for path in (place / "photos").iterdir())
    words = ("duplicates", "--radius", 0, "--move-to", "moved")
    assert run(*words) == 0
    shown = capsys.readouterr()
    lines = [f"photos/{a}.png\tmoved/{a}.png\tphotos/{b}.png" for a, b in ("ba", "ce")]
    assert shown.out.splitlines() == [line.replace("/", os.sep) for line in lines]
    assert "2 images to move to moved; nothing was moved yet: add --yes to do it" in shown.err
    assert not Path("moved").exists()
    assert run(*words, "--yes", "--json", "--list", "rest.txt") == 0
    document = json.loads(capsys.readouterr().out)
    undo = document["undo_file"]
    assert document["done"] and len(document["moves"]) == 2
    assert sorted(path.name for path in Path("moved").iterdir()) == [
        "b.png",
        "c.png",
        "undo-1.json",
    ]
    assert len(Path("rest.txt").read_text().splitlines()) == 2
    assert run("duplicates", "--undo", undo) == 0
    assert "2 images to move back from moved" in capsys.readouterr().err
    assert run("duplicates", "--undo", undo, "--yes") == 0
    assert "moved 2 images back from moved" in capsys.readouterr().err
    assert sorted(path.name for path in (place / "photos").iterdir()) == before
    assert not Path("moved").exists()


def test_only_decided_images_are_moved(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_stat(place)
    words = ("duplicates", "--decided", "--move-to", "moved", "--yes")
    assert run(*words) == 0
    assert "no duplicates are decided yet" in capsys.readouterr().err
    assert not Path("moved").exists()
    # Beyond any radius, against the rules of --keep, and with an image that is not in the set.
    lines = "duplicate\tc.png\te.png\tx.png\nduplicate\tf.png\ta.png\n"
    Path("codes.decisions.tsv").write_text(lines)
    assert run("duplicates", "--decided") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "1\tkeep\t0\tphotos/c.png",
        "1\tduplicate\t0\tphotos/e.png",
        "2\tkeep\t0\tphotos/f.png",
        "2\tduplicate\t10\tphotos/a.png",
    ]
    assert "1 image of decisions left out: not in codes.npy ('x.png')" in shown.err
    assert "2 groups as decided: 2 duplicates among 6 images" in shown.err
    assert run(*words) == 0
    assert sorted(path.name for path in Path("moved").glob("*.png")) == ["a.png", "e.png"]
    (place / "photos" / "f.png").unlink()
    capsys.readouterr()
    assert run("duplicates", "--decided") == 0
    assert capsys.readouterr().out == ""


def test_acting_needs_the_options_that_go_together(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, problem in (
        (("--yes",), "--yes: it needs --move-to"),
        (("--link", "hard"), "--link: it needs --move-to"),
        (("--turned",), "--turned: it needs --verify"),
        (
            ("codes.npy", "--undo", "u.json", "--move-to", "d"),
            "--undo: the undo file says all: use it without CODES and --move-to",
        ),
        (("--open", "--move-to", "d"), "--move-to: it makes no page: use it without --open"),
        (
            ("--decided", "--verify", "--radius", 3),
            "--decided: the groups are those of the decisions: use it without --radius and "
            "--verify",
        ),
        (("--link", "soft"), "--link: expected hard or symbolic; found 'soft'"),
    ):
        assert run("duplicates", *words) == 2
        assert capsys.readouterr().err.startswith(f"error: {problem}\n")
    assert run("duplicates", "--undo", "none.json") == 1
    assert "none.json: there is no such file; expected the undo file" in capsys.readouterr().err
