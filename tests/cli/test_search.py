"""`bitcodes search` as a user runs it."""

import io
import json
import os
import shutil
import subprocess
import sys
import webbrowser
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import commands
import numpy as np
import pytest
from rich.console import Console
from tiny import make_pictures, make_run

from bitcodes.cli import console
from bitcodes.codes.codeset import CodeSet
from bitcodes.models.checkpoint import load_model
from bitcodes.runs import set_latest
from bitcodes.sources.lists import ImageList
from bitcodes.tasks.encoding.encode import encode


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 12 labelled photos, a run, and codes.npy with features."""
    monkeypatch.chdir(tmp_path)
    names = make_pictures(tmp_path / "photos", 12)
    run = make_run(tmp_path / "runs" / "one")
    set_latest(run)
    labels = np.eye(2, dtype=np.uint8)[np.arange(12) % 2]
    images = ImageList(names, labels, tmp_path / "photos", ("cat", "dog"))
    encode(load_model(run), images, tmp_path / "codes.npy", features=True)
    return tmp_path


run = partial(commands.run, "search", "--workers", "0")


def test_lines_for_other_programs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/03.png", "photos/04.png", "-k", 3) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert [row[:2] for row in rows] == [
        [f"photos/0{query}.png", str(rank)] for query in (3, 4) for rank in (1, 2, 3)
    ]
    assert rows[0] == ["photos/03.png", "1", "0", "1.0000", "photos/03.png", "dog"]
    assert rows[3] == ["photos/04.png", "1", "0", "1.0000", "photos/04.png", "cat"]
    assert run("photos/03.png", "--rerank", "-k", 1) == 0
    fields = capsys.readouterr().out.rstrip("\n").split("\t")
    assert fields[:6] == rows[0] and float(fields[6]) < 0.01


def test_without_the_querys_own_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/03.png", "-k", 2, "--exclude-self") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows] == ["1", "2"]
    assert "photos/03.png" not in [row[4] for row in rows]


def test_a_table_on_a_terminal(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=80, no_color=True, highlight=False)
    monkeypatch.setattr(console, "out", terminal)
    assert run("photos/03.png", "-k", 3) == 0
    shown = file.getvalue()
    for word in ("the 3 nearest by 24-bit codes, among 12 images", "photos/03.png", "dog"):
        assert word in shown
    for word in ("rank", "distance", "similarity", "label", "path", "100.0%", "✓", "of 3 correct"):
        assert word in shown
    assert capsys.readouterr().out == ""
    file.truncate(0)
    assert run("photos/03.png", "--radius", 0, "--rerank") == 0
    assert "features" in file.getvalue()


def test_json_is_one_document(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.jpg").write_bytes(b"no")
    assert run("photos", "--json", "--radius", 5, "--rerank", "-k", 2) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert "query broken.jpg left out: not an image" in shown.err
    assert document["skipped"][0]["path"] == "broken.jpg"
    assert {key: document[key] for key in ("codes", "bits", "count", "k", "radius", "rerank")} == {
        "codes": "codes.npy",
        "bits": 24,
        "count": 12,
        "k": 2,
        "radius": 5,
        "rerank": True,
    }
    assert [query["path"] for query in document["queries"]] == [f"{n:02}.png" for n in range(12)]
    first = document["queries"][5]["results"][0]
    assert first.pop("feature_distance") < 0.01
    assert first == {
        "rank": 1,
        "output_distance": None,
        "row": 5,
        "path": "05.png",
        "file": str(place / "photos" / "05.png"),
        "distance": 0,
        "similarity": 1.0,
        "labels": ["dog"],
        "relevant": True,
    }


def test_a_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/03.png", "--html", "page.html") == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and page.count("<img") == 11
    assert "page.html: open it in a browser" in capsys.readouterr().err


def test_pictures_on_a_terminal_and_a_note_elsewhere(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("photos/03.png", "-k", 1, "--show") == 0
    shown = capsys.readouterr()
    assert "no pictures, because standard output is not a terminal" in shown.err
    assert shown.out.startswith("photos/03.png\t1\t0")
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=80, color_system="truecolor")
    monkeypatch.setattr(console, "out", terminal)
    assert run("photos/03.png", "-k", 3, "--show") == 0
    assert "▀" in file.getvalue() and "distance 0" in file.getvalue()
    assert "\x1b]8;" in file.getvalue()
    assert run("photos/03.png", "--show", "--json") == 2


def test_a_terminal_without_colours_gets_no_links(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for no_color in (False, True):
        file = io.StringIO()
        terminal = Console(
            file=file, force_terminal=True, no_color=no_color, color_system="truecolor"
        )
        monkeypatch.setattr(console, "out", terminal)
        assert run("photos/03.png") == 0
        assert ("\x1b]8;" in file.getvalue()) != no_color


def test_the_browser_opens_the_page_that_was_written(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def open_page(uri: str) -> bool:
        assert Path(url2pathname(urlsplit(uri).path)).read_text("utf-8").startswith("<!doctype")
        opened.append(uri)
        return len(opened) < 3

    monkeypatch.setattr(webbrowser, "open", open_page)
    assert run("photos/03.png", "--html", "a b.html", "--open") == 0
    assert opened == [(place / "a b.html").as_uri()]
    assert "a b.html: opened in the browser" in capsys.readouterr().err
    assert run("photos/03.png", "--open") == 0
    assert "results.html" in opened[1]
    shutil.rmtree(Path(url2pathname(urlsplit(opened[1]).path)).parent)
    assert run("photos/03.png", "--html", "c.html", "--open") == 0
    assert "c.html: no browser was found; open the page in one" in capsys.readouterr().err


def test_copies(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/03.png", "-k", 2, "--copy-to", "hits") == 0
    assert capsys.readouterr().err.endswith("copied 2 images to hits\n")
    assert Path("hits/01 03.png").read_bytes() == Path("photos/03.png").read_bytes()


def test_paths_on_standard_input(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.TextIOWrapper(io.BytesIO(b"photos/02.png\nphotos/07.png\n"))
    monkeypatch.setattr(sys, "stdin", lines)
    assert run("-", "-k", 1) == 0
    assert [line.split("\t")[4] for line in capsys.readouterr().out.splitlines()] == [
        "photos/02.png",
        "photos/07.png",
    ]


def test_any_name_that_a_file_can_have(
    place: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = os.fsencode(place / "odd")
    make_pictures(place / "odd", 3)
    os.rename(folder + b"/00.png", folder + b"/a\tb\n\x1b[31m.png")  # noqa: PTH104
    os.rename(folder + b"/01.png", folder + b"/\xff\xfe.png")  # noqa: PTH104
    encode(load_model(), "odd", "odd.npy")
    assert run("odd", "--codes", "odd.npy", "-k", 1) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert lines[1].startswith(b"odd/a\\tb\\n\\x1b[31m.png\t1\t0\t1.0000\todd/a\\tb\\n")
    assert lines[2].startswith(b"odd/\\xff\\xfe.png\t1\t0")
    assert run("odd", "--codes", "odd.npy", "--json", "--html", "odd.html") == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert [query["path"] for query in document["queries"]] == [
        "02.png",
        "a\tb\\n\x1b[31m.png",
        "\\xff\\xfe.png",
    ]
    assert "\x1b" not in Path("odd.html").read_text(encoding="utf-8")


def test_errors_and_wrong_usage(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/03.png", "--codes", "none.npy") == 1
    assert "none.npy: there is no such code set" in capsys.readouterr().err
    assert run("nowhere.png") == 1
    assert "no such file or folder: 'nowhere.png'" in capsys.readouterr().err
    other = make_run(place / "runs" / "two", seed=1)
    assert run("photos/03.png", "--html", "codes.npy/page.html") == 1
    assert "cannot write codes.npy/page.html: codes.npy is not a folder" in capsys.readouterr().err
    assert run("photos/03.png", "--run", other) == 1
    assert "distances between their codes mean nothing" in capsys.readouterr().err
    assert run("photos/03.png", "--run", other, "--force") == 0
    for wrong in (
        ["--shortlist", 5],
        ["--rerank", "--shortlist", 5, "--radius", 3],
        ["--rerank", "--asymmetric"],
        ["-k", 0],
        ["--radius", -1],
        ["codes.npy"],
    ):
        assert run("photos/03.png", *wrong) == 2
    assert run() == 2


def test_a_code_set_is_searched_without_torch(place: Path) -> None:
    script = (
        "import sys\nfrom bitcodes.cli.app import main\n"
        "try: main(['search', 'codes.npy', '--rerank', '-k', '1', '--html', 'page.html'])\n"
        "except SystemExit as done: assert not done.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows] == ["0"] * 12
    assert [row[4] for row in rows] == [f"photos/{number:02}.png" for number in range(12)]
    assert CodeSet.open("codes.npy").count == 12
