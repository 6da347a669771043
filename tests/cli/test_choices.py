"""Closed choices: help lists the very values that the library takes, and nothing else is taken."""

import re
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from bitcodes import choices
from bitcodes.cli.app import app


@pytest.mark.parametrize(
    ("values", "command", "option"),
    [
        (choices.Keep, "duplicates", "--keep"),
        (choices.Linkage, "duplicates", "--linkage"),
        (choices.LinkKind, "duplicates", "--link"),
        (choices.Engine, "encode", "--engine"),
        (choices.DType, "encode", "--dtype"),
        (choices.CompatName, "evaluate", "--compat"),
        (choices.Protocol, "prepare cifar10", "--protocol"),
    ],
)
def test_the_choices_are_those_of_the_library(values: Any, command: str, option: str) -> None:
    help_text = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    shown = re.split(rf"│ +{option} ", help_text.output)[1].split("│ --")[0]
    assert all(re.search(rf"\b{value}\b", shown) for value in get_args(values))
    wrong = CliRunner().invoke(app, [*command.split(), option, "none"], env={"COLUMNS": "200"})
    assert wrong.exit_code == 2
    assert option in wrong.output


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("finetune", "--loss", "d"), ["dpn", "dch"]),
        (("finetune", "--backbone", "tf"), ["tf_efficientnet_lite0_stages"]),
        (("search", "x", "--order", ""), ["sum", "class"]),
        (("evaluate", "--format", ""), ["table", "markdown", "latex", "csv"]),
        (("se",), ["search", "serve", "select"]),
        (("finetune", "--learn"), ["--learning-rate"]),
    ],
)
def test_the_tab_key_completes(
    words: tuple[str, ...],
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {
        "_BITCODES_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("bitcodes", *words)),
        "COMP_CWORD": str(len(words)),
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        app(prog_name="bitcodes")
    assert end.value.code == 0
    assert set(names) <= set(capsys.readouterr().out.split())
