"""Files of settings, and what is wrong with settings: what was expected, and what was found."""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import EnumType
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from bitcodes.documents import read_json, read_yaml
from bitcodes.errors import ConfigError
from bitcodes.wording import closest, either, number_in_words, shortened

_QUOTED = re.compile(r"'(\w+)'")


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
            f"{path}: expected settings as `name: value` pairs; found {_shown(values)}"
        )
    return {str(key): value for key, value in values.items()}


def explain(error: ValidationError, where: str, known: Mapping[str, FieldInfo]) -> Iterable[str]:
    """One line per wrong setting; `known` are the declarations of all settings by name.

    Lines begin with `where`, a file, and name settings as that does. An empty `where` stands for
    the command line: then settings have the names of their options.
    """
    prefix = f"{where}: " if where else ""

    def name(key: str) -> str:
        return key if where else f"--{key.replace('_', '-')}"

    lines: dict[str, str] = {}
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if not key:  # of the settings together
            line = _QUOTED.sub(lambda match: name(match[1]), message)
        elif problem["type"] == "extra_forbidden":
            line = f"unknown setting '{key}'; {_meant(key, known)}"
        elif problem["type"] == "missing":
            line = f"{name(key)} is missing"
            if key == "data":
                line += (
                    "; name a folder with --data: one with a folder of images per class, one that "
                    "`bitcodes prepare` made, or one of images without classes"
                )
        else:
            own_words = message if problem["type"] == "value_error" else None
            expected = own_words or f"expected {expectation(known[key])}"
            line = f"{name(key)}: {expected}; found {_shown(problem['input'])}"
        lines.setdefault(key, prefix + line)  # a union of types reports once for each of them
    return lines.values()


def expectation(field: FieldInfo) -> str:
    """What a setting may be, in words, such as "auto or a number above 0"."""
    return either(_parts(field.annotation, field.metadata))


def _parts(annotation: Any, metadata: Iterable[Any]) -> Iterator[str]:
    origin = get_origin(annotation)
    if isinstance(annotation, TypeVar):
        yield from _parts(getattr(annotation, "__default__", None), ())
    elif isinstance(annotation, EnumType):
        yield from map(str, annotation)
    elif origin is Literal:
        yield from map(str, get_args(annotation))
    elif origin is list or annotation is list:
        yield "several of them with commas"
    elif annotation in (int, float):
        yield number_in_words(annotation, **_bounds(metadata))
    elif annotation in (bool, str, Path):
        yield {bool: "true or false", str: "text", Path: "a path"}[annotation]
    elif hasattr(annotation, "__metadata__"):  # Annotated, perhaps with words of its own
        words = [entry for entry in annotation.__metadata__ if isinstance(entry, str)]
        yield from words or _parts(get_args(annotation)[0], annotation.__metadata__)
    else:  # a union
        for part in get_args(annotation):
            yield from _parts(part, ())


def _bounds(metadata: Iterable[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            bounds |= _bounds(entry.metadata)
        for name in ("ge", "gt", "le", "lt"):
            if getattr(entry, name, None) is not None:
                bounds[name] = getattr(entry, name)
    return bounds


def _meant(key: str, known: Iterable[str]) -> str:
    """What a name that is unknown may stand for."""
    names = list(known)
    close = closest(key.replace("-", "_"), names)
    return f"did you mean '{close}'?" if close else f"known are {', '.join(names)}"


def _shown(value: object) -> str:
    """A value as a file of settings has it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "`name: value` pairs"
    if isinstance(value, list | tuple):
        return shortened(f"[{', '.join(map(str, value))}]")
    return shortened(repr(value))
