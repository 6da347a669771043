"""The `bitcodes` command: its subcommands, and errors turned into one line and an exit code."""

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bitcodes
from bitcodes.errors import BitcodesError
from bitcodes.hamming import on_compile, on_fallback

# In the order in which a newcomer needs them. A module is imported when its command runs.
_COMMANDS = (
    *("prepare", "finetune", "encode", "search", "evaluate", "index", "duplicates"),
    *("merge", "info", "export"),
)

_EPILOG = """\
Results go to standard output, progress and notes to standard error. `--json`, if a command has it,
prints one JSON document on standard output and nothing else. Output has no colours if it is not
a terminal or if `NO_COLOR` is set.

Exit status: 0 done, 1 error, 2 wrong usage, 130 interrupted with Ctrl-C.
"""


class _Commands(TyperGroup):
    """Imports only the command that runs, so that help is instant."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"bitcodes.cli.{cmd_name}")
        if hasattr(module, "app"):
            command: Any = typer.main.get_group(module.app)
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            single.command(cmd_name)(getattr(module, cmd_name))
            command = typer.main.get_command(single)
        command.name = cmd_name
        _summarize(command)
        return command


def _summarize(command: Any) -> None:
    """Let lists of commands show the whole first paragraph of each help, not 45 characters."""
    command.short_help = " ".join((command.help or "").split("\n\n")[0].split())
    for part in getattr(command, "commands", {}).values():
        _summarize(part)


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"bitcodes {bitcodes.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Learn short binary codes for images and search them by Hamming distance."""


def _print_note(message: str) -> None:
    print(f"note: {message}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 1 a BitcodesError, 2 wrong usage, 130 interrupted."""
    on_compile(
        lambda: print("compiling the search kernels, once on this machine...", file=sys.stderr)
    )
    on_fallback(_print_note)
    try:
        app(arguments)
    except BitcodesError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is wrong, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
