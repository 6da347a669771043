"""Closed choices: help lists the very values that the library takes, and nothing else is taken."""

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
    assert "|".join(get_args(values)) in help_text.output
    wrong = CliRunner().invoke(app, [*command.split(), option, "none"], env={"COLUMNS": "200"})
    assert wrong.exit_code == 2
    assert option in wrong.output
