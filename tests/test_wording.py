"""Numbers of things in words, and commands to run."""

import os
import shlex
from pathlib import Path

import pytest

from bitcodes.errors import BitcodesError
from bitcodes.wording import as_utf8, command, counted, from_here, shown


def test_text_is_shown_as_it_is_on_one_line() -> None:
    assert shown("café 日本 a\\b 🎉") == "café 日本 a\\b 🎉"
    assert shown("a\tb\nc\r\x1b[31m\x7f") == r"a\tb\nc\r\x1b[31m\x7f"
    assert shown("\x9b1m\u202egpj.\u2028x\udcff\ud800") == r"\x9b1m\u202egpj.\u2028x\xff\ud800"


def test_an_error_has_a_line_for_each_argument() -> None:
    assert str(BitcodesError("a\x1b[2J\nb", "c")) == "a\\x1b[2J\\nb\nc"


def test_an_error_keeps_the_beginning_and_the_end_of_long_lines() -> None:
    first, second = str(BitcodesError("a" * 10**6 + "start over with --fresh", "b")).split("\n")
    assert first.startswith("aaaa") and first.endswith("aastart over with --fresh")
    assert "a... (1,000,023 characters) ...a" in first and len(first) < 5100 and second == "b"
    assert str(BitcodesError("c" * 5000)) == "c" * 5000


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 images"), (1, "1 image"), (2, "2 images"), (2880, "2,880 images")],
)
def test_one_and_several(number: int, text: str) -> None:
    assert counted(number, "image") == text


def test_irregular_plural() -> None:
    assert counted(1, "query", "queries") == "1 query"
    assert counted(1000, "query", "queries") == "1,000 queries"


@pytest.mark.skipif(os.name == "nt", reason="words are quoted for another shell there")
def test_a_command_is_quoted_for_the_shell() -> None:
    words = ["encode", "My Photos", "it's $HOME", "a;b", "shards-{00..09}.tar", "-o", "codes.npy"]
    text = command(*words)
    assert shlex.split(text) == ["bitcodes", *words]
    assert text.startswith("bitcodes encode 'My Photos' ")


def test_a_command_is_quoted_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    assert command("encode", "My Photos", "a.jpg") == 'bitcodes encode "My Photos" a.jpg'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"caf\xc3\xa9 \\ \xe2\x80\x8f", "café \\ \u200f"),
        (b"caf\xe9", r"caf\xe9"),
        (b"\xff\xfe", r"\xff\xfe"),
    ],
)
def test_names_that_any_file_can_hold(name: bytes, text: str) -> None:
    assert as_utf8(name.decode("utf-8", "surrogateescape")) == text
    assert as_utf8("\ud800") == r"\ud800"


def test_a_path_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path.cwd()
    assert from_here(here / "a" / "b") == Path("a/b")
    assert from_here(here.parent / "b") == here.parent / "b"
    assert from_here(Path("a")) == Path("a")
