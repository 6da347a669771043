"""Exact Hamming search and the re-ranking of its shortlists."""

from collections.abc import Callable

_compile_callbacks: list[Callable[[], None]] = []


def on_compile(callback: Callable[[], None]) -> None:
    """Have `callback` called when a search kernel has to be compiled, before it is.

    That happens once on a machine for each kind of search and length of codes, takes seconds, and
    should be announced. It is called once at most, from whatever thread searches.
    """
    _compile_callbacks.append(callback)
