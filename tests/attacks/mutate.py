"""Small changes to valid files, of the kinds that readers are known to stumble over.

Every function takes a random.Random and makes the same change for the same state of it, on every
system. Used by the fuzz targets (tests/fuzz) and by benchmarks/mutations.py.
"""

import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Change = Callable[[bytes, random.Random], bytes]

BYTES = (0x00, 0x01, 0x0A, 0x20, 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0x9B, 0xC0, 0xFE, 0xFF)
"""Bytes that mean something in formats: zero, line ends, quotes, slashes, signs, invalid UTF-8."""

WHOLE = (
    *(0, 1, 2, 7, 255, 256, 4095, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
    *(-1, -2, -(2**31), -(2**63)),
)
"""Whole numbers at which sizes, counts and offsets overflow."""

NUMBERS: tuple[object, ...] = (
    *WHOLE,
    *(10**19, 10**400, 0.5, -0.5, 1e308, 5e-324),
    *(float("inf"), float("-inf"), float("nan")),
)
"""The same and more, for formats that write numbers as text."""

TEXTS = (
    *(
        "",
        "\0",
        "a\0b",
        "\n",
        "a\tb\r\n",
        "\x1b[2J\x07",
        "\x9b31m",
        "\u202egpj",
        "\u2028",
        "\ufeff",
    ),
    *("..", "../../etc/passwd", "/etc/passwd", "C:\\x", "\\\\server\\share", "-", "--help", "~"),
    *("<script>alert(1)</script>", "=cmd|' /C calc'!A0", "{0..9}", "x" * 300, "x" * 5000),
    *("\ud800", "\udcff", "e\u0301", "'\"", "null", "1e999", "../" * 2000),
)
"""Text that is more than text to some program."""


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four changes to a file; `others` are files of the kind, for pieces of them."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change = rng.choice(_CHANGES)
        if others and rng.random() < 0.1:
            data = splice(data, rng.choice(others), rng)
        else:
            data = change(data, rng)
    return data


# -- bytes -----------------------------------------------------------------------------------------


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A stretch of the bytes, more often a short one."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 12)))


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change one bit."""
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def put_byte(data: bytes, rng: random.Random) -> bytes:
    """Replace one byte with one that means something."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + bytes([rng.choice(BYTES)]) + data[place + 1 :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end."""
    return data[: rng.randrange(len(data) + 1)]


def remove(data: bytes, rng: random.Random) -> bytes:
    """Take out a stretch."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Repeat a stretch where it is."""
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def move(data: bytes, rng: random.Random) -> bytes:
    """Write one stretch over another."""
    start, end = _span(data, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[start:end] + data[place + end - start :]


def fill(data: bytes, rng: random.Random) -> bytes:
    """Fill a stretch with one byte."""
    start, end = _span(data, rng)
    return data[:start] + bytes([rng.choice(BYTES)]) * (end - start) + data[end:]


def insert(data: bytes, rng: random.Random) -> bytes:
    """Insert text or random bytes."""
    place = rng.randrange(len(data) + 1)
    text = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
    return data[:place] + rng.choice((text, rng.randbytes(rng.randrange(1, 40)))) + data[place:]


def put_number(data: bytes, rng: random.Random) -> bytes:
    """Replace 1, 2, 4 or 8 bytes with an extreme number, in either byte order."""
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice(WHOLE) % (1 << 8 * size)
    packed = struct.pack(rng.choice("<>") + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], number)
    place = rng.randrange(len(data) + 1)
    return data[:place] + packed + data[place + size :]


def put_digits(data: bytes, rng: random.Random) -> bytes:
    """Replace a number that is written in digits with an extreme one."""
    matches = list(re.finditer(rb"-?[0-9]+(?:\.[0-9]+)?", data[: 1 << 16]))
    if not matches:
        return put_number(data, rng)
    match = rng.choice(matches)
    return data[: match.start()] + str(rng.choice(NUMBERS)).encode() + data[match.end() :]


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


_CHANGES: tuple[Change, ...] = (
    *(flip, put_byte, truncate, remove, repeat, move, fill, insert),
    *(put_number, put_number, put_digits, put_digits),
)


# -- values of documents ---------------------------------------------------------------------------


def mutated_value(value: Any, rng: random.Random) -> Any:
    """A value of JSON or YAML with one thing in it replaced, removed, renamed, repeated or nested.

    The value itself stays as it is.
    """
    value = json.loads(json.dumps(value))  # a copy
    places = list(_places(value))
    if not places or rng.random() < 0.05:
        return extreme_value(rng)
    holder, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind < 4:
        holder[key] = extreme_value(rng)
    elif kind == 4:
        del holder[key]
    elif kind == 5 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif kind == 5:
        holder.append(holder[key])
    elif kind == 6:
        other, name = rng.choice(places)
        holder[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else other))
    else:
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    return value


def extreme_value(rng: random.Random) -> Any:
    """Any value of JSON, most often one that is too large, too deep or of another kind."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return nested(rng.choice((3, 49, 51, 300)))
    return rng.choice((None, True, False, [], {}, [[]], {"a": {}}, [None] * 100, [0, 1], ["a"]))


def nested(depth: int) -> Any:
    """So many lists within each other."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any) -> Any:
    """Each holder of a value, and the key in it; all of them, from outside in."""
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


# -- arrays ----------------------------------------------------------------------------------------

_DTYPES = (
    "u1",
    "i1",
    "<u2",
    ">i4",
    "<i4",
    "<i8",
    ">i8",
    "<u8",
    "<f2",
    "<f4",
    "<f8",
    "?",
    "S3",
    "U2",
)


def mutated_array(array: "np.ndarray[Any, Any]", rng: random.Random) -> "np.ndarray[Any, Any]":
    """An array with one value, its shape, its order or its dtype changed."""
    kind = rng.randrange(10)
    if kind < 5 and array.size:
        array = array.copy()
        place = rng.randrange(array.size)
        raw = array.reshape(-1)[place : place + 1].view(np.uint8)
        if kind < 2:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        else:
            raw[:] = np.frombuffer(rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * 16, np.uint8)[
                : len(raw)
            ]
        return array
    if kind == 5:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else array[None]
    if kind == 6:
        return np.concatenate([array, array]) if array.ndim else np.stack([array] * 2)
    if kind == 7:
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(_DTYPES))
    if kind == 8:
        return array[..., None] if rng.random() < 0.5 else array.reshape(-1)
    return np.asfortranarray(array) if rng.random() < 0.3 else array[::-1]
