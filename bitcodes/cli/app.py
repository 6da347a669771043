"""The `bitcodes` command: its subcommands, and errors turned into one line and an exit code."""

import atexit
import errno
import gc
import importlib
import io
import os
import re
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import bitcodes
from bitcodes.cli.help import Command
from bitcodes.cli.log import log_error, logging
from bitcodes.cli.usage import Commands, UsageError, explain
from bitcodes.errors import BitcodesError
from bitcodes.hamming import on_compile, on_fallback
from bitcodes.wording import shortened, shown

# The first paragraph of each command's help, in the order in which a newcomer needs the commands.
# They stand here so that the list of commands is shown without importing the modules of them all.
SUMMARIES = {
    "prepare": "Prepare a data folder: lists of images to train on, to query with and to search.",
    "finetune": "Fine-tune a pretrained network with a hash layer on a dataset.",
    "encode": "Encode images: write a code set with their codes, paths and labels.",
    "search": "Find the images nearest to each query, exactly, by the Hamming distance of their "
    "codes.",
    "serve": "Search in the browser and over HTTP.",
    "evaluate": "Measure retrieval quality: mAP, precision and recall, in total and per class.",
    "index": "Build the index of a code set, for faster searches with the same results.",
    "duplicates": "Find groups of near-duplicate images in a code set. Without --yes, no file is "
    "changed.",
    "select": "Select images that are unlike each other, for labelling or a gallery.",
    "compare": "Say whether two images are copies: one picture, perhaps changed.",
    "merge": "Join code sets of one model into one.",
    "push": "Store a code set in a database, to search it there or from other machines.",
    "info": "Describe a code set, a run or a model. Verify the checksums of a code set.",
    "export": "Write a model as one ONNX file, or the rows of a code set for other programs.",
}

_EPILOG = """\
Results go to standard output, progress and notes to standard error. `--json`, if a command has it,
prints one JSON document on standard output and nothing else. Output has no colours if it is not
a terminal or if `NO_COLOR` is set.

Exit status: 0 done, 1 error, 2 wrong usage, 130 interrupted with Ctrl-C. `compare`: 0 copies, 1 no
copies, 2 error.
"""


class _Commands(Commands):
    """Imports only the command that runs, and none to list them, so that help is instant."""

    _lists = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUMMARIES)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._lists = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in SUMMARIES:
            return None
        if self._lists:
            return TyperCommand(cmd_name, help=SUMMARIES[cmd_name])
        module = importlib.import_module(f"bitcodes.cli.{cmd_name}")
        if hasattr(module, "app"):
            command: Any = typer.main.get_group(module.app)
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            single.command(cmd_name, cls=Command)(getattr(module, cmd_name))
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
    print(f"note: {shown(message)}", file=sys.stderr)


def _announce_compiling() -> None:
    from bitcodes.hamming.kernels.compiling import are_kept

    if are_kept():
        print("compiling the search kernels, once on this machine...", file=sys.stderr)
        return
    _print_note(
        "compiling the search kernels, again in every process: no folder to keep them in can be "
        "written; NUMBA_CACHE_DIR can name one"
    )


def _take_names_as_utf_8() -> None:
    """Start anew in Python's UTF-8 mode if the locale has another encoding, such as ISO-8859-1.

    Names in lists, archives and code sets are UTF-8, and so are those of files: in the encoding of
    the locale they would not be found. What is printed keeps that encoding. Windows and macOS name
    files in UTF-8 by themselves.
    """
    is_set = os.environ.get("PYTHONUTF8") == "1"  # if it did not help, nothing will
    if sys.getfilesystemencoding() == "utf-8" or is_set or os.name != "posix":
        return
    os.environ.setdefault("PYTHONIOENCODING", getattr(sys.stdout, "encoding", None) or "utf-8")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, sys.orig_argv)


def _shorten_waiting() -> None:
    """Set how torch's threads wait for each other, unless the user has; before torch is loaded.

    By default they spin for milliseconds, and take the cores from whatever else runs on them. If
    they sleep at once (OMP_WAIT_POLICY=PASSIVE), an idle machine is slower. Brief spinning loses
    little on either: benchmarks/results/2026-11-28-waiting.md. GOMP_SPINCOUNT is GNU's, whose
    OpenMP comes with torch on Linux; KMP_BLOCKTIME, in milliseconds, is that of Intel and LLVM,
    which comes with torch on macOS and Windows.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ.update(GOMP_SPINCOUNT="10000", KMP_BLOCKTIME="1")


_OF_OPTION = re.compile(r"--[a-z][-a-z]*: ")
"""The beginning of an error of the library that is about the value of an option."""

_WRITABLE = "choose a folder that you may write to, or change its permissions"
_ADVICE = {
    errno.ENAMETOOLONG: "choose a shorter name or path",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: "choose a folder on another drive",
    errno.ENOSPC: "make room, and run this again",
    getattr(errno, "EDQUOT", errno.ENOSPC): "make room, and run this again",
    errno.EMFILE: "allow more open files (ulimit -n), or take fewer --workers",
}
"""What to do about what a system says of files, where no command knows better."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 1 a BitcodesError, 2 wrong usage, 130 interrupted."""
    if arguments is None:
        _take_names_as_utf_8()
        _leave_out_warnings()
    _prepare()
    with logging():
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _leave_out_warnings() -> None:
    """Leave out what libraries warn their callers of, here and in processes started from here."""
    if not sys.warnoptions:  # else somebody wants to see them
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"


def _prepare() -> None:
    """Set up what no command should have to think of."""
    from bitcodes.files import on_missing_protection

    on_missing_protection(_print_note)
    _shorten_waiting()
    # Else Python looks at all objects for unreachable ones before it ends: a sixth of a search.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):  # a name may hold what the terminal's encoding lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    on_compile(_announce_compiling)
    on_fallback(_print_note)


def _run(arguments: list[str]) -> int:
    """The exit status of a command line; errors are printed."""
    if sys.stdout is None:  # and the next file opened would take its place
        return _fail("standard output is closed; use > /dev/null to print nothing")
    try:
        status = app(arguments, standalone_mode=False)
        sys.stdout.flush()  # as long as errors can be told
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # which has shown the help
            log_error(explain(error, arguments))
        return 2
    except BitcodesError as error:
        return _fail(error, 2 if _OF_OPTION.match(str(error)) else 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _stop_printing()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # which Typer makes a failure of
            return _stop_printing()
        raise
    except OSError as error:
        if error.strerror is None or (error.filename is None and error.errno not in _ADVICE):
            raise  # not what a system says of a file: a bug
        where = (
            ""
            if error.filename is None
            else f"{shown(shortened(_name(error.filename2 or error.filename)))}: "
        )
        advice = _ADVICE.get(error.errno or 0)
        return _fail(f"{where}{error.strerror}{f'; {advice}' if advice else ''}")
    return status or 0


def _fail(problem: object, status: int = 1) -> int:
    log_error(problem)
    return status


def _stop_printing() -> int:
    """The reader went away (`| head`): nothing is wrong, and nothing more can be printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _name(file: str | bytes | int) -> str:
    """The name of a file as an OSError has it."""
    return os.fsdecode(file) if isinstance(file, str | bytes) else str(file)
