"""Memory for the steps of training on a CPU."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST = 2**31 - 1  # bytes: an int of C's


def keep_freed_memory() -> bool:
    """Have this process keep what it frees for what it allocates next; whether that is possible.

    glibc hands blocks of some MB back to the system as soon as they are free. A step of training
    allocates hundreds of them, all anew in the next step: the system then clears every page
    again, which takes about a tenth of the step at 128 pixels. Elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    kept = mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, _LARGEST)
    return all(kept)
