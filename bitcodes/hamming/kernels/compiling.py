# mypy: disable-error-code="no-untyped-call"
"""How kernels are compiled: at their first call, and kept on the disk where that is possible."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

_not_kept: list[str] = []
"""Names of kernels for which numba found no folder."""


class _Cache(FunctionCache):
    """Numba's files of compiled functions. Whatever is wrong with them, a process can compile.

    A file may be cut off, or another user's, or the disk full.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError:
            return None
        except Exception:  # what unpickling raises
            with suppress(OSError):
                self.flush()  # so that it is written anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, RuntimeError):  # RuntimeError: numba has nothing to write
            super().save_overload(sig, data)


def kernel(function: Callable[..., Any]) -> Any:
    """Have numba compile a function, which releases the GIL, for the types it is called with."""
    return _kept(njit(nogil=True)(function))


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """The same for a function that other kernels call: its code becomes part of theirs."""
    return _kept(njit(nogil=True, inline="always")(function))


def are_kept() -> bool:
    """Whether later processes find what this one compiles.

    Numba keeps it in NUMBA_CACHE_DIR, in the package's folder or in the user's cache folder. A
    container may let it write to none of them.
    """
    return not _not_kept


def _kept(dispatcher: Any) -> Any:
    try:
        dispatcher._cache = _Cache(dispatcher.py_func)  # as njit(cache=True) does
    except RuntimeError:  # there is no folder
        _not_kept.append(dispatcher.py_func.__name__)
    return dispatcher
