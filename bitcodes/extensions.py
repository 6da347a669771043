"""Losses and backbones that are not part of bitcodes, named as package.module:name.

A name makes code run only if the user gave it, as an option or an argument; if the environment
variable BITCODES_IMPORT has its module; or if an installed package declares it as an entry point.
Files name such code too, models and settings of runs among them, but choose nothing to import.
"""

import importlib
import os
import re
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from bitcodes.errors import ConfigError, first_line

Kind = Literal["loss", "backbone"]

VARIABLE = "BITCODES_IMPORT"
"""The environment variable: modules with commas."""

GROUPS: dict[Kind, str] = {"loss": "bitcodes.losses", "backbone": "bitcodes.backbones"}
"""The groups of entry points."""

_PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_trusted: set[str] = set()


def is_place(name: str) -> bool:
    """Whether a name has the form package.module:name."""
    return _PLACE.fullmatch(name) is not None


def installed(kind: Kind) -> dict[str, str]:
    """The names of installed entry points -> package.module:name."""
    return {entry.name: entry.value for entry in entry_points(group=GROUPS[kind])}


def trust(name: str) -> None:
    """Let a name of the form package.module:name be imported: the user gave it."""
    if is_place(name):
        _trusted.add(name)


def is_trusted(name: str, kind: Kind) -> bool:
    """Whether a name may be imported."""
    modules = os.environ.get(VARIABLE, "").split(",")
    is_named = name in _trusted or name.partition(":")[0] in map(str.strip, modules)
    return is_named or name in installed(kind).values()


def load(name: str, kind: Kind) -> Any:
    """What a name of the form package.module:name stands for, imported now.

    Modules are looked for where Python looks, then in the working folder. Raises ConfigError if the
    name may not be imported or cannot be.
    """
    module, _, attribute = name.partition(":")
    if not is_trusted(name, kind):
        raise refusal(kind, name, f"set {VARIABLE}={module} in the environment")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module runs any code
        raise ConfigError(
            f"the {kind} {name} cannot be imported: {problem(error)}; expected the module {module} "
            "in the working folder or installed"
        ) from error


def refusal(kind: Kind, name: str, remedy: str, file: Path | None = None) -> ConfigError:
    """The error for code that only a file names; `remedy` is what to do for those who trust it."""
    where = f"{file}: {kind}: {name}" if file is not None else f"the {kind} {name}"
    return ConfigError(
        f"{where} is code outside of bitcodes, and no file may choose what runs here; if you know "
        f"this code and trust it, {remedy}"
    )


def problem(error: Exception) -> str:
    """An error that code of a user raised, in a line: its kind, its message and its place."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_theirs = Path(__file__).parent not in Path(last.filename).parents
    is_file = is_theirs and not last.filename.startswith("<")
    place = f" ({Path(last.filename).name}, line {last.lineno})" if is_file else ""
    return f"{type(error).__name__}: {first_line(error)}{place}"
