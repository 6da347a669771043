"""Names with control characters, wherever names come from: they are printed escaped."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run
from tiny import make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape, unescape
from bitcodes.codes.writer import CodeSetWriter, save_code_set
from bitcodes.sources.lists import write_list
from bitcodes.wording import CONTROLS

EVIL = "x\x1b]0;title\x07\x1b[2J\x9b31m\u202egpj\u2066\x0b\rend"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names that other systems forbid")

# What rich writes itself on a terminal: styles, the cursor, links.
_OWN = re.compile(r"\x1b\[[0-9;?]*[mhlKAJG]|\x1b\]8;[^\x1b]*\x1b\\|\n")


@pytest.fixture(params=["pipe", "terminal"])
def form(request, monkeypatch) -> str:
    """Both forms of output."""
    from bitcodes.cli import console

    for one in (console.out, console.err):
        monkeypatch.setattr(one, "_force_terminal", request.param == "terminal")
    return request.param


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run, pictures and a code set, all with evil names."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / f"run {EVIL}", 24)
    pictures = tmp_path / f"pictures {EVIL}"
    make_pictures(pictures, 6)
    for number in range(3):
        (pictures / f"{number:02}.png").rename(pictures / f"{number} {EVIL}.png")
    (pictures / f"damaged {EVIL}.png").write_bytes(b"no picture")
    return tmp_path


def check(captured: str) -> None:
    """Nothing but what rich writes itself."""
    left = CONTROLS.sub(
        lambda match: f"<{ord(match[0]):x}>", _OWN.sub("", captured).replace("\t", "")
    )
    assert left == _OWN.sub("", captured).replace("\t", "")
    assert "title" in captured  # it was there to be shown


def test_encode_search_and_more(folder: Path, form: str, capsys) -> None:
    pictures, model = f"pictures {EVIL}", f"run {EVIL}"
    set_name = f"codes {EVIL}.npy"
    query = f"{pictures}/0 {EVIL}.png"
    commands = [
        ("encode", pictures, "-o", set_name, "--run", model),
        ("info", set_name),
        ("info", model),
        ("search", query, "--codes", set_name),
        ("search", f"{pictures}/damaged {EVIL}.png", "--codes", set_name),
        ("search", f"nothing {EVIL}.png", "--codes", set_name),
        ("search", query, "--codes", f"missing {EVIL}.npy"),
        ("duplicates", set_name, "--radius", "24"),
        ("index", set_name),
        ("export", "--run", model, f"out {EVIL}.onnx"),
        ("export", set_name, "-"),
        ("export", set_name, "-", "--format", "csv"),
        ("merge", set_name, "-o", f"merged {EVIL}.npy"),
        ("encode", f"missing {EVIL}", "-o", set_name),
        ("encode", pictures, "-o", set_name, "--run", f"missing {EVIL}"),
        ("encode", pictures, "--strict", "-o", "strict.npy", "--run", model),
        ("finetune", "--data", f"missing {EVIL}"),
        ("evaluate", model),
        ("prepare", "folder", f"missing {EVIL}", "out"),
    ]
    for words in commands:
        run(*words)
        captured = capsys.readouterr()
        check(captured.out + captured.err + "title")


@pytest.mark.parametrize("command", ["info", "search", "duplicates"])
def test_json_has_escapes_for_all_of_them(folder: Path, command: str, capsys) -> None:
    codes = np.zeros((2, 1), np.uint8)
    names = [f"a{EVIL}.png", "b\u2028.png"]
    code_set = CodeSet.from_arrays(codes, 8, names, [0, 1], class_names=[EVIL, "b"])
    save_code_set(code_set, folder / "c.npy")
    words = ("search", "c.npy", "--codes", "c.npy") if command == "search" else (command, "c.npy")
    assert run(*words, "--json") == 0
    text = capsys.readouterr().out
    assert not CONTROLS.search(text.replace("\n", ""))
    if command != "info":
        assert escape(f"a{EVIL}.png") in strings(json.loads(text))


def strings(value: object) -> set[str]:
    """All text in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(strings, value))
    return {value} if isinstance(value, str) else set()


def test_every_field_of_a_header(folder: Path, form: str, capsys) -> None:
    with CodeSetWriter(
        folder / "c.npy",
        bits=8,
        columns=("labels",),
        root=f"/{EVIL}",
        class_names=(EVIL, "b"),
        **dict.fromkeys(("fingerprint", "backbone", "engine", "dtype", "decode", "source"), EVIL),
        run=f"/run {EVIL}",
    ) as writer:
        codes = np.array([[1], [2]], np.uint8)
        writer.append(codes, [f"{EVIL}1", f"{EVIL}2"], labels=np.array([0, 1], np.int32))
        writer.commit()
    for words in (
        ("info", "c.npy"),
        ("search", "c.npy", "--codes", "c.npy"),
        ("search", f"pictures {EVIL}/03.png", "--codes", "c.npy"),
        ("search", f"pictures {EVIL}/03.png", "--codes", "c.npy", "--run", f"run {EVIL}"),
        ("duplicates", "c.npy", "--radius", "8"),
        ("encode", f"pictures {EVIL}", "-o", "c.npy", "--run", f"run {EVIL}"),
    ):
        run(*words)
        captured = capsys.readouterr()
        check(captured.out + captured.err)


def test_settings_and_lists(folder: Path, form: str, capsys) -> None:
    (folder / "data").mkdir()
    write_list(folder / "data/train.txt", ["a.png"], np.array([[1, 0]], np.uint8))
    (folder / "c.json").write_text(json.dumps({EVIL: EVIL, "loss": EVIL, "backbone": EVIL}))
    for words in (
        ("finetune", "--data", "data", "--config", "c.json"),
        ("finetune", "--data", "data", "--loss", EVIL),
        ("finetune", "--data", "data", "--backbone", EVIL),
        ("encode", f"pictures {EVIL}", "--engine", EVIL),
    ):
        run(*words)
        captured = capsys.readouterr()
        check(captured.out + captured.err + "title")


def test_tab_separated_lines_can_be_read_back(folder: Path, capsys) -> None:
    name = f"tab\t{EVIL}\\n\udcff.png"
    save_code_set(CodeSet.from_arrays(np.zeros((1, 1), np.uint8), 8, [name]), folder / "c.npy")
    assert run("search", "c.npy", "--codes", "c.npy") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert unescape(line.split("\t")[4].encode()) == name
    assert os.fsencode(unescape(line.split("\t")[0].encode())) == os.fsencode(name)
