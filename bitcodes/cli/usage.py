"""Wrong usage in words: a line in the style of all errors, and what was perhaps meant."""

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from bitcodes.cli.help import shorten_flags
from bitcodes.wording import closest, command, either, shortened, shown

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for wrong usage; it has no public name there."""

_NO_CHOICE = re.compile(r"(?:Value error, )?('.*') is not one of (.*)", re.DOTALL)
_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)


class Commands(TyperGroup):
    """A group of commands that says what a word may stand for that is none of them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help, with flags as commands have them."""
        shorten_flags(self.get_params(ctx))
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer does it; a word that is no command is wrong usage."""
        name = args[0]
        is_wrong = not name.startswith("-") and self.get_command(ctx, name) is None
        if is_wrong and not ctx.resilient_parsing:
            ctx.fail(self._no_command(ctx, name, args))
        return super().resolve_command(ctx, args)

    def _no_command(self, ctx: Any, name: str, args: Sequence[str]) -> str:
        if (instead := self.instead_of_path(args)) is not None:
            return f"expected a command; found {instead}"
        problem = f"no such command: {shortened(name)}"
        names = self.list_commands(ctx)
        if close := closest(name.lower(), names):
            return f"{problem}; did you mean {close}?"
        return f"{problem}; expected {either(names)}"

    def instead_of_path(self, args: Sequence[str]) -> str | None:
        """What to say if the first of `args` names a file or a folder, in place of a command."""
        from bitcodes.tasks.advice import command_for

        advice = command_for(args[0])
        return None if advice is None else f"{advice.kind}; {advice.then(*args[1:])}"


def explain(error: Any, words: Sequence[str]) -> str:
    """What is wrong with the `words` after bitcodes, and where help is; text for people."""
    context = error.ctx
    names = [] if context is not None else [word for word in words[:1] if word[:1] != "-"]
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return f"{shown(_problem(error))}\nhelp: {command(*names, '--help')}"


def _problem(error: Any) -> str:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        close = closest(error.option_name, error.possibilities or ())
        meant = f"; did you mean {close}?" if close else ""
        return f"no such option: {error.option_name}{meant}"
    if kind == "BadOptionUsage":
        is_flag = "does not take" in error.message
        expected = "no value" if is_flag else "a value after it"
        return f"{error.option_name}: expected {expected}"
    name = _name(error)
    if kind == "MissingParameter":
        return f"{name} is missing; expected {_meaning(error.param)}"
    message = error.message.strip()
    if match := _NO_CHOICE.fullmatch(message.rstrip(".")):
        choices = re.findall(r"'([^']*)'", match[2])
        message = f"expected {either(choices)}; found {shortened(match[1])}"
    elif match := _EXTRA.fullmatch(message):
        message = f"expected no more arguments; found {shortened(match[1])}"
    return f"{name}: {message}" if name else message


def _name(error: Any) -> str:
    """The option or argument that an error is about, as one types it; "" if it is about none."""
    hint, param = getattr(error, "param_hint", None), getattr(error, "param", None)
    if hint is not None:
        return hint if isinstance(hint, str) else "/".join(hint)
    if param is None:
        return ""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return "/".join(sorted(param.opts, key=len, reverse=True))


def _meaning(param: Any) -> str:
    """The first sentence of the help of an argument or option that is missing."""
    text = (getattr(param, "help", None) or "a value").split(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]
