"""Files of settings, and what is wrong with the settings in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bitcodes.documents import read_json, read_yaml
from bitcodes.errors import ConfigError


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read a .yaml, .yml or .json file of settings into a dict; raises ConfigError."""
    read = read_json if path.suffix.lower() == ".json" else read_yaml
    try:
        values = read(path, ConfigError)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path}: no such settings file") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected settings as `name: value` pairs, found {type(values).__name__}"
        )
    return {str(key): value for key, value in values.items()}


def explain(error: ValidationError, where: str, known: Iterable[str]) -> Iterable[str]:
    """One line per wrong setting, beginning with `where`; `known` are the names of all settings."""
    lines: dict[str, str] = {}
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:  # of the settings together
            lines[""] = f"{where}: {message}"
            continue
        key = str(problem["loc"][0])
        if problem["type"] == "list_type" and key in lines:
            continue  # the line names the other types already
        if problem["type"] == "extra_forbidden":
            line = f"{where}: unknown setting '{key}'; known are {', '.join(known)}"
        elif problem["type"] == "missing":
            line = f"{where}: '{key}' is missing"
            if key == "data":
                line += (
                    "; name a folder with --data: one with a folder of images per class, one that "
                    "`bitcodes prepare` made, or one of images without classes"
                )
        else:
            reason = message[:1].lower() + message[1:]
            line = f"{where}: '{key}' is {problem['input']!r}: {reason}"
            if key in lines and problem["type"] == "enum":  # choices beside "auto"
                line = f"{lines[key]}, {problem['ctx']['expected']}"
            elif key in lines:  # a union of types reports once for each of them
                line = f"{lines[key]}, or {reason}"
        lines[key] = line
    return lines.values()
