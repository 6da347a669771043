"""Small text files that anybody may have written, read with limits: JSON and YAML.

Only regular files are opened: a named pipe would wait for ever. Size, depth and, in YAML, aliases
are limited, so that a small file cannot take all memory or time.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from bitcodes.errors import BitcodesError, first_line
from bitcodes.files import open_regular

MOST_BYTES = 1 << 24
MOST_YAML_BYTES = 1 << 16
"""The parser of YAML takes seconds for a megabyte."""
DEEPEST = 50
"""Lists and mappings within each other."""


def read_bytes(path: Path, error: type[BitcodesError], most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises FileNotFoundError or NotADirectoryError if it is missing, else `error`, naming the file.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, most) + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None
    if len(data) > most:
        raise error(f"{path}: expected at most {most:,} bytes; is it the right file?")
    return data


def read_json(path: Path, error: type[BitcodesError]) -> Any:
    """The value in a JSON file, UTF-8 with or without a byte order mark; see read_bytes."""
    return parse_json(read_bytes(path, error), path, error)


def parse_json(data: bytes, path: Path, error: type[BitcodesError]) -> Any:
    """The value in the content of a JSON file. Raises `error`, naming the file."""
    try:
        value = json.loads(_text(data, path, error))
    except RecursionError:
        raise _too_deep(path, error) from None
    except ValueError as problem:
        raise error(f"{path}: is not valid JSON: {first_line(problem)}") from None
    check_depth(value, path, error)
    return value


def read_yaml(path: Path, error: type[BitcodesError]) -> Any:
    """The value in a YAML file; see read_bytes. Aliases are refused, and 016 is text."""
    import yaml

    text = _text(read_bytes(path, error, MOST_YAML_BYTES), path, error)
    try:
        return yaml.load(text, _loader())
    except RecursionError:
        raise _too_deep(path, error) from None
    except (ValueError, yaml.YAMLError) as problem:
        reason = " ".join(str(problem).split())
        raise error(f"{path}: is not valid YAML: {reason}") from None


def _text(data: bytes, path: Path, error: type[BitcodesError]) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot be read as text in UTF-8: {problem}") from None


def _too_deep(path: Path, error: type[BitcodesError]) -> BitcodesError:
    return error(f"{path}: expected at most {DEEPEST} lists and mappings within each other")


def check_depth(value: Any, path: Path, error: type[BitcodesError]) -> None:
    """Raise `error` if more than DEEPEST lists and mappings are within each other."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _too_deep(path, error)


def _loader() -> Any:
    """A safe loader with limits. Numbers are decimal: YAML 1.1 takes 016 for 14 and 1:30 for 90."""
    import yaml

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not read")
            self.depth += 1
            if self.depth > DEEPEST:
                raise RecursionError
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] not in _NUMBERS]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, pattern in _NUMBERS.items():
        Loader.add_implicit_resolver(tag, pattern, list("-+0123456789."))
    return Loader


_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(([0-9][0-9_]*)?\.[0-9]+([eE][-+]?[0-9]+)?|[0-9][0-9_]*\.([eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+|\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
    ),
}
"""What YAML 1.2 takes for numbers, in decimal; as in 1.1, digits may be grouped by _."""
