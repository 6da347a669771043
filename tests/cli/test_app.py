"""What holds for all commands: no path and no name is empty, which would be the working folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import run

from bitcodes.cli.app import SUMMARIES, app


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command, with the words that name it."""
    whole: Any = typer.main.get_command(app)
    for name in SUMMARIES:
        command = whole.get_command(None, name)
        parts = getattr(command, "commands", None)
        if parts is None:
            yield (name,), command
        else:
            yield from (((name, part), parts[part]) for part in parts)


def _values() -> Iterator[tuple[str, ...]]:
    """Command lines that give one option or argument an empty value."""
    for words, command in _commands():
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                yield (*words, "")
            elif not parameter.is_flag:
                yield (*words, parameter.opts[0], "")


@pytest.mark.parametrize("line", sorted(set(_values())), ids=" ".join)
def test_nothing_is_empty(
    line: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*line) == 2
    error = capsys.readouterr().err
    empty = "expected a value; found an empty one (is a variable of the shell not set?)"
    assert error.splitlines()[0].endswith(f": {empty}")
    assert error.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_no_one_of_several_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("search", "a.jpg", "") == 2
    assert capsys.readouterr().err.startswith("error: QUERIES: expected a value; found an empty")
