"""Which code set a command means, and the command that it names as the next one."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from commands import run

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a code set of 3 codes, and the working folder two folders below it."""
    save_code_set(CodeSet.from_arrays(np.zeros((3, 2), np.uint8), 16), tmp_path / "codes.npy")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    return tmp_path


PARENT = os.path.join("..", "..", "codes.npy")  # noqa: PTH118


@pytest.mark.parametrize("command", ["info", "index", "duplicates"])
def test_the_set_of_a_folder_above_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(command, "--json") == 0
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert f"code set: {PARENT}\n" in shown.err


def test_a_search_in_the_set_of_a_folder_above(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", PARENT, "-k", 1) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3 and f"code set: {PARENT}\n" in shown.err


def test_the_nearest_one_counts_and_none_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_code_set(CodeSet.from_arrays(np.zeros((7, 2), np.uint8), 16), "codes.npy")
    assert run("info", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["count"] == 7 and shown.err == ""
    assert run("info", "other.npy") == 1
    assert "other.npy" in capsys.readouterr().err


def test_a_named_set_is_not_looked_for_elsewhere(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", "codes.npy") == 1
    assert run("search", PARENT, "--codes", "codes.npy") == 1
    assert "codes.npy: there is no such code set" in capsys.readouterr().err


def test_the_next_command_names_the_set_if_it_must(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_code_set(CodeSet.from_arrays(np.zeros((3, 2), np.uint8), 16), "more.npy")
    assert run("merge", PARENT, "more.npy", "-o", "two sets.npy") == 0
    named = "next: bitcodes search PHOTO --codes"
    assert capsys.readouterr().err.splitlines()[-1] in (
        f"{named} 'two sets.npy'",
        f'{named} "two sets.npy"',
    )
    assert run("index") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "next: bitcodes search PHOTO"
    assert run("index", "--json") == 0
    assert "next:" not in capsys.readouterr().err
