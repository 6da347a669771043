"""Numbers of things in words, and commands to run."""

import os
import shlex

import pytest

from bitcodes.wording import command, counted


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
