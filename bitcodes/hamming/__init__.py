"""Exact Hamming search and the re-ranking of its shortlists."""

from collections.abc import Callable

compile_callbacks: list[Callable[[], None]] = []
fallback_callbacks: list[Callable[[str], None]] = []


def on_compile(callback: Callable[[], None]) -> None:
    """Have `callback` called when a search kernel has to be compiled, before it is.

    That happens once on a machine for each kind of search and length of codes (in every process
    where nothing can be written), takes seconds, and should be announced. It is called once at
    most, from whatever thread searches.
    """
    compile_callbacks.append(callback)


def on_fallback(callback: Callable[[str], None]) -> None:
    """Have `callback` called with a message if the kernels cannot be compiled on this machine.

    Searches then use NumPy: the answers are the same, but large searches take longer. It is called
    once at most, from whatever thread searches. Without a callback, the message is a
    RuntimeWarning.
    """
    if callback not in fallback_callbacks:
        fallback_callbacks.append(callback)
