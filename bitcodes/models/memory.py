"""Memory for networks on a CPU."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST = 2**31 - 1  # bytes: an int of C's


@cache  # once a process is enough
def keep_freed_memory() -> bool:
    """Have this process keep what it frees for what it allocates next; whether that is possible.

    glibc hands blocks of some MB back to the system as soon as they are free. A network allocates
    hundreds of them for each few images, and all anew for the next: the system then clears every
    page again, which takes about a tenth of a training step at 128 pixels, and in a virtual machine
    up to half of the time of encoding. Elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    kept = mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, _LARGEST)
    return all(kept)
