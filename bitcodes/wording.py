"""Words for people: text that is safe to show, numbers of things, and commands to run."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control characters, those that break lines or change the direction of text, lone surrogates."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def shown(text: object) -> str:
    r"""Text on one line that a terminal shows as it is: escape becomes `\x1b`, a newline `\n`.

    A byte that is not UTF-8 (in Python a lone surrogate, as os.fsdecode makes it) becomes `\xNN`.
    """
    return CONTROLS.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return ascii(match[0])[1:-1]


def escape_in_json(text: str) -> str:
    r"""JSON text with control characters, also those above ASCII, written as `\uXXXX`."""
    return CONTROLS.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def as_utf8(text: str) -> str:
    r"""Text that any file of UTF-8 can hold: a byte of a file's name that is not becomes `\xNN`."""
    return _SURROGATES.sub(_escaped, text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 image", "2,880 images"; `plural` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def either(choices: Iterable[object]) -> str:
    """Choices in words: "cpu", "cpu or cuda", "cpu, cuda or mps"."""
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def number_in_words(
    kind: type,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
) -> str:
    """What numbers are meant, such as "a whole number from 1 to 1024" or "a number above 0"."""
    words = "a whole number" if kind is int else "a number"
    if ge is not None and le is None and lt is None:
        return f"{words} of at least {ge:,.12g}"
    if ge is not None:
        words += f" from {ge:,.12g}"
    if gt is not None:
        words += f" above {gt:,.12g}"
    to = "to" if ge is not None else "up to"
    if le is not None:
        words += f" {to} {le:,.12g}"
    if lt is not None:
        words += f" {to} below {lt:,.12g}"
    return words


def shortened(text: str, length: int = 80) -> str:
    """A text, cut if it is longer than this; it says how long it is then."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text):,} characters)"


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that a mistyped word may stand for, if there is one."""
    from difflib import get_close_matches  # only a mistake needs it

    return next(iter(get_close_matches(word, list(names), n=1)), None)


def from_here(path: Path) -> Path:
    """A path as one names it from the working folder: relative if it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def command(*words: object) -> str:
    """`bitcodes WORDS...` as one line, with words quoted for the shell of this system."""
    return f"bitcodes {quoted(*words)}"


def quoted(*words: object) -> str:
    """Words as one line that the shell of this system takes apart in the same way."""
    texts = [str(word) for word in words]
    if os.name != "nt":
        return shlex.join(texts)
    import subprocess

    return subprocess.list2cmdline(texts)
