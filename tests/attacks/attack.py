"""What an attack is: a file, what it is offered as, and what is to be said of it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Attack(NamedTuple):
    """A hostile file, made the same on every system."""

    role: str
    """What it is made to be taken for, one of the names in readers.READERS."""
    content: bytes | Callable[[Path], object]
    """Its bytes, or what makes it under a name, where it is no plain file."""
    said: str | None = None
    """What the error or one of the reasons must hold, a regular expression. None: nothing is to be
    said, since it is a good file after all. "": anything may be said, or nothing."""


Attacks = dict[str, Attack]


def write(attack: Attack, file: Path) -> None:
    """Make the file of an attack."""
    if isinstance(attack.content, bytes):
        file.write_bytes(attack.content)
    else:
        attack.content(file)


def each(role: str, said: str | None, **contents: bytes) -> Attacks:
    """Attacks of one role of which the same is to be said; underscores in names become spaces."""
    return {name.replace("_", " "): Attack(role, data, said) for name, data in contents.items()}


def literally(text: str) -> str:
    """A regular expression for this very text."""
    return re.escape(text)
