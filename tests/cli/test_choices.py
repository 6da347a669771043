"""Closed choices: the command line lists the very values that the library takes."""

from enum import StrEnum
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from bitcodes.cli.app import app
from bitcodes.cli.duplicates import Keep
from bitcodes.cli.encode import DType, Engine
from bitcodes.cli.evaluate import Compat
from bitcodes.cli.prepare import Protocol
from bitcodes.datasets import cifar10
from bitcodes.metrics import compat
from bitcodes.models import engines
from bitcodes.tasks import duplicates


@pytest.mark.parametrize(
    ("choices", "values", "command"),
    [
        (Keep, duplicates.Keep, "duplicates"),
        (Engine, engines.Engine, "encode"),
        (DType, engines.DType, "encode"),
        (Compat, compat.CompatName, "evaluate"),
        (Protocol, cifar10.Protocol, "prepare cifar10"),
    ],
)
def test_the_choices_are_those_of_the_library(
    choices: type[StrEnum], values: Any, command: str
) -> None:
    assert tuple(map(str, choices)) == get_args(values)
    help_text = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert "|".join(choices) in help_text.output
