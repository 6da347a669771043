"""Checks of what users of the library give as arguments."""

import operator
from typing import SupportsIndex

from bitcodes.errors import ConfigError
from bitcodes.wording import number_in_words, shortened


def check_whole(least: int, **arguments: SupportsIndex | None) -> None:
    """Raise ConfigError, with the argument's name, unless each is a whole number or None.

    `least` is the smallest number that they may be.
    """
    for name, value in arguments.items():
        if value is None:
            continue
        try:
            is_good = operator.index(value) >= least
        except TypeError:
            is_good = False
        if not is_good:
            expected = number_in_words(int, ge=least)
            raise ConfigError(f"{name}: expected {expected}; found {shortened(repr(value), 40)}")
