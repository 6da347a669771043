"""Memory of networks on a CPU."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST = 2**31 - 1  # bytes: an int of C's


@cache  # once a process is enough
def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocations. Returns whether it can.

    glibc hands blocks of some MB back to the system as soon as they are free. A network allocates
    hundreds of them per few images, and the system clears every page again: about a tenth of a
    training step at 128 pixels, and up to half of the time of encoding in a virtual machine.
    """
    is_linux = sys.platform.startswith("linux")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if is_linux else None
    if mallopt is None:  # musl
        return False
    successes = mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, _LARGEST)
    return all(successes)
