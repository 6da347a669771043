"""How help shows arguments and options: short names of values, one form of defaults, 80 columns."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand

from bitcodes.wording import either

_DEFAULT = "Default: "
"""What begins the last sentence of a help text, which says what happens without the option."""

_LONGEST = 15
"""Characters of the choices of an option that stand in the place of its value."""


class Command(TyperCommand):
    """A command whose help fits 80 columns, and that takes no empty values."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parameters: list[Any] = self.params
        for parameter in parameters:
            _describe(parameter)
            parameter.process_value = partial(_process_value, parameter.process_value)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help; the command cannot run afterwards."""
        shorten_flags(self.get_params(ctx))
        super().format_help(ctx, formatter)


def shorten_flags(parameters: Iterable[Any]) -> None:
    """Show flags without a type, and both names of one as one: --[no-]flip."""
    for parameter in parameters:
        if not getattr(parameter, "is_flag", False):
            continue
        parameter.metavar = ""
        if parameter.secondary_opts:
            parameter.opts = [f"--[no-]{parameter.opts[0].removeprefix('--')}"]
            parameter.secondary_opts = []


def _describe(parameter: Any) -> None:
    """Name the values of a parameter, its choices and its default as all help does."""
    kind = getattr(parameter, "type_descriptor", parameter)  # some versions of Typer have none
    if choices := [str(getattr(one, "value", one)) for one in getattr(kind, "choices", None) or ()]:
        _list(choices, parameter)
    if parameter.param_type_name == "argument":  # whose metavar is its name
        parameter.display_type_rich = lambda ctx: None
    elif parameter.metavar is None:
        parameter.metavar = "PATH" if getattr(kind, "is_path", False) else "TEXT"
    default = parameter.default
    has_default = not (default is None or default is False or parameter.required)
    if has_default and parameter.show_default and _DEFAULT not in parameter.help:
        parameter.help += f" {_DEFAULT}{default}."
    parameter.show_default = False


def _list(choices: list[str], parameter: Any) -> None:
    """Show the choices of a parameter: in place of its value if they are short, else in words."""
    listed = "|".join(choices)
    if len(listed) <= _LONGEST:
        parameter.metavar = listed
        return
    parameter.metavar = "NAME"
    if any(choice not in parameter.help for choice in choices):
        meaning, *default = parameter.help.partition(_DEFAULT)
        parameter.help = f"{meaning.strip()} One of {either(choices)}. {''.join(default)}".strip()


def _process_value(process: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    """Let no option or argument be empty: as a path, that would mean the working folder."""
    if "" in (value if isinstance(value, list | tuple) else [value]):
        raise typer.BadParameter(
            "expected a value; found an empty one (is a variable of the shell not set?)"
        )
    return process(context, value)
