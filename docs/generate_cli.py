"""Write docs/cli.md from the commands' own help: `make docs`.

It reads the functions behind the commands, their docstrings and the help of their parameters,
rather than the drawn help pages, so that the text does not depend on how a version of Typer draws.
"""

import enum
import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, ParameterInfo
from typer.utils import get_params_from_function

from bitcodes.cli.app import app

TARGET = Path(__file__).with_name("cli.md")

_HEAD = """\
# The commands

<!-- Written by `make docs` from the commands' own help. Change the help, not this file. -->

Results go to standard output, progress and notes to standard error. `--json`, where a command has
it, prints one JSON document on standard output and nothing else. Colours are left out where the
output is not a terminal or `NO_COLOR` is set.

Exit status: 0 done, 1 something was wrong and the last lines say what, 2 wrong usage, 130
interrupted by Ctrl-C.

`bitcodes --install-completion` teaches your shell to complete the commands and their options.
"""

# Where a default is told in the help, the value itself being None: "... [default: 48]", "[required,
# here or in --config]", "... Default: the newest run."
_TOLD_DEFAULT = re.compile(r"\s*(?:\[(?:default: )?([^\[\]]*)\]|Default: (.*)\.)$")


@dataclass(frozen=True)
class Parameter:
    """An argument or an option as a user sees it."""

    name: str
    default: str
    help: str
    argument: bool
    required: bool


@dataclass(frozen=True)
class Command:
    """A command by its full name, such as `bitcodes prepare cifar10`."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    group: bool = False

    @property
    def usage(self) -> str:
        """The line that shows how to call it."""
        if self.group:
            return f"{self.name} COMMAND ..."
        words = [p.name if p.required else f"[{p.name}]" for p in self.parameters if p.argument]
        return " ".join([self.name, "[OPTIONS]", *words])


def commands() -> Iterator[Command]:
    """Every command there is, in the order of the help."""
    root: Any = typer.main.get_command(app)
    for name in root.list_commands(None):
        module = importlib.import_module(f"bitcodes.cli.{name}")
        if not hasattr(module, "app"):
            yield _command(f"bitcodes {name}", getattr(module, name))
            continue
        group: typer.Typer = module.app
        help_text = group.info.help
        if not isinstance(help_text, str) and group.registered_callback is not None:
            help_text = inspect.getdoc(group.registered_callback.callback)
        yield Command(f"bitcodes {name}", str(help_text or ""), (), group=True)
        for info in group.registered_commands:
            function = info.callback
            assert function is not None
            yield _command(f"bitcodes {name} {info.name or function.__name__}", function)


def _command(name: str, function: Callable[..., Any]) -> Command:
    help_text = (inspect.getdoc(function) or "").partition("\f")[0].strip()
    parameters = [
        _parameter(name, found.annotation, found.default)
        for name, found in get_params_from_function(function).items()
        if not found.default.hidden
    ]
    return Command(name, help_text, tuple(parameters))


def _parameter(name: str, kind: Any, info: ParameterInfo) -> Parameter:
    if get_origin(kind) in (Union, types.UnionType):  # X | None
        kind = next(part for part in get_args(kind) if part is not type(None))
    many = get_origin(kind) is list
    argument = isinstance(info, ArgumentInfo)
    if argument:
        shown = info.metavar or name.upper()
        if many and not shown.endswith("..."):
            shown += "..."
    else:
        shown = _flags(name, get_args(kind)[0] if many else kind, info)
    default, help_text = _default(info)
    return Parameter(shown, default, help_text, argument, info.default is ...)


def _flags(name: str, kind: Any, info: ParameterInfo) -> str:
    long = "--" + name.replace("_", "-")
    declared = list(info.param_decls or ())
    if kind is bool:
        return ", ".join(declared or [f"{long}/--no-{long[2:]}"]).replace("/", ", ")
    if issubclass(kind, enum.Enum):
        word = "|".join(choice.value for choice in kind)
    else:
        word = {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")
    return f"{', '.join(declared or [long])} {info.metavar or word}"


def _default(info: ParameterInfo) -> tuple[str, str]:
    """(default, help) for the table; a default told in the help is taken from there."""
    value = info.default
    help_text = " ".join((info.help or "").split())
    if value is ...:
        return "required", help_text
    told = _TOLD_DEFAULT.search(help_text)
    if told:
        default = told[1] or told[2]
        return default if " " in default else f"`{default}`", help_text[: told.start()]
    if value is None or isinstance(value, bool) or value in ((), []):
        return "", help_text
    return f"`{getattr(value, 'value', value)}`", help_text


def document() -> str:
    """The whole page as Markdown."""
    every = list(commands())
    summary = ["| command | |", "| --- | --- |"]
    for command in every:
        first = " ".join(command.help.split("\n\n")[0].split())
        anchor = command.name.replace(" ", "-")
        summary.append(f"| [`{command.name}`](#{anchor}) | {first} |")
    return "\n".join([_HEAD, *summary, "", "\n\n".join(map(_section, every)), ""])


def _section(command: Command) -> str:
    parts = [f"## {command.name}", command.help, f"```\n{command.usage}\n```"]
    for title, argument in (("argument", True), ("option", False)):
        rows = [
            f"| `{_cell(p.name)}` | {_cell(p.default)} | {_cell(p.help)} |"
            for p in command.parameters
            if p.argument is argument
        ]
        if rows:
            parts.append("\n".join([f"| {title} | default | |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the page."""
    TARGET.write_text(document(), encoding="utf-8")
    print(f"wrote {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    main()
