"""Ranges of names: shards-{0000..0099}.tar stands for a hundred archives."""

import os
import re
from collections.abc import Iterator
from itertools import product
from math import prod

from bitcodes.errors import DataError
from bitcodes.sources.paths import quote_path
from bitcodes.wording import shortened

MAX_NAMES = 1_000_000
"""More names than this in one argument are refused: nobody has as many archives."""

_RANGE = re.compile(r"\{([0-9]{1,18})\.\.([0-9]{1,18})\}")


def has_range(name: str) -> bool:
    """Whether it is written as a range of names."""
    return _RANGE.search(name) is not None


def expand(argument: str) -> Iterator[str]:
    """The names that an argument stands for, made as they are needed: itself if it has no range.

    A file that is named like a range is itself. Raises DataError for a range that descends, and for
    more than MAX_NAMES names.
    """
    ranges = list(_RANGE.finditer(argument))
    if not ranges or os.path.lexists(argument):
        return iter([argument])
    numbers, name = [], quote_path(shortened(argument))
    for match in ranges:
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise DataError(f"{name}: expected a range that ascends, found {match[0]}")
        numbers.append(range(first, last + 1))
    count = prod(map(len, numbers))
    if count > MAX_NAMES:
        raise DataError(
            f"{name}: expected at most {MAX_NAMES:,} names, found a range of "
            f"{shortened(f'{count:,}', 30)}"
        )
    texts = [argument[start:end] for start, end in _gaps(ranges, len(argument))]
    widths = [len(match[1]) for match in ranges]
    return (_name(texts, widths, values) for values in product(*numbers))


def _gaps(ranges: list[re.Match[str]], length: int) -> Iterator[tuple[int, int]]:
    """Where the text before, between and after the ranges begins and ends."""
    ends = [0, *(match.end() for match in ranges)]
    starts = [*(match.start() for match in ranges), length]
    return zip(ends, starts, strict=True)


def _name(texts: list[str], widths: list[int], values: tuple[int, ...]) -> str:
    parts = [f"{value:0{width}}" for value, width in zip(values, widths, strict=True)]
    return texts[0] + "".join(map(str.__add__, parts, texts[1:]))
