"""Searching without the compiled kernels where numba cannot build them."""

import threading
import traceback
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from bitcodes.hamming import fallback_callbacks

R = TypeVar("R")

_COMPILERS = ("numba", "llvmlite")

_lock = threading.Lock()
_loaded: ModuleType | None = None
_failure: str | None = None


def with_kernels(work: Callable[[ModuleType], R], otherwise: Callable[[], R]) -> R:
    """What `work` returns, or `otherwise` if the kernels that it uses cannot be compiled.

    `work` gets the module compiled.py. A failure is reported once, to the callbacks of
    `on_fallback` or as a warning; from then on the kernels are not tried again.
    """
    compiled = _loaded or _load()
    if compiled is None or _failure is not None:
        return otherwise()
    try:
        return work(compiled)
    except Exception as error:
        # An error of the compiler, and not one of compiled or other code.
        frames = traceback.walk_tb(error.__traceback__)
        if not any(str(f.f_globals.get("__name__")).startswith(_COMPILERS) for f, _ in frames):
            raise
        _give_up(error)
        return otherwise()


def kernels_load() -> bool:
    """Whether the kernels can be loaded here, as far as is known. Compiles nothing."""
    return _load() is not None and _failure is None


def _load() -> ModuleType | None:
    global _loaded
    if _failure is None and _loaded is None:
        try:
            from bitcodes.hamming import compiled
        except Exception as error:
            _give_up(error)
        else:
            _loaded = compiled
    return _loaded


def _give_up(error: Exception) -> None:
    global _failure
    reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
    with _lock:
        if _failure is not None:
            return
        _failure = reason
    message = (
        f"the search kernels cannot be compiled here ({reason}); searches use NumPy: the answers "
        "are the same, but large searches take longer. Install a version of numba that works"
    )
    if not fallback_callbacks:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    for callback in fallback_callbacks:
        callback(message)
