"""Takes away what Windows does not have. Python imports this at its start, in every process.

Put this folder on PYTHONPATH: a process and all that it starts then do without the calls below, and
write their number into the file that BITCODES_TEST_PROCESSES names. Libraries do without them too.
They take the way that they have for a missing call; only torch looks at the name of the system.
"""

import multiprocessing
import multiprocessing.context
import os
import sys
import types
from typing import Any

_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
_CALLS = ("fork", "forkpty", "register_at_fork", "sched_getaffinity", "sysconf", "pread", "pwrite")
_CALLS += ("symlink", "mkfifo", "killpg", "statvfs", "O_CLOEXEC", "O_NONBLOCK")
_CALLS += ("posix_fadvise", "posix_fallocate", "sendfile")


def _take_away() -> None:
    import random  # noqa: F401 - imported before fork goes, or it expects register_at_fork

    for module in _MODULES:
        sys.modules[module] = None  # type: ignore[assignment] # to import it now raises ImportError
    for call in _CALLS:
        if hasattr(os, call):
            delattr(os, call)
    _tell_space_as_windows_does()
    _only_spawn(multiprocessing.context)
    _share_memory_as_elsewhere()
    _let_torch_load()


def _tell_space_as_windows_does() -> None:
    """Let shutil.disk_usage do without statvfs: on Windows it asks the system in another way."""
    import shutil  # now that the calls are gone, for it looks which there are

    usage: Any = types.SimpleNamespace(total=1 << 50, used=0, free=1 << 50)
    shutil.disk_usage = lambda path: usage


def _only_spawn(context: Any) -> None:
    """Leave one way to start a process: "fork" and "forkserver" raise ValueError."""
    contexts = context._concrete_contexts
    for method in ("fork", "forkserver"):
        contexts.pop(method, None)
    default = context._default_context
    default._default_context = contexts["spawn"]
    default._actual_context = None
    context.DefaultContext.get_all_start_methods = lambda self: ["spawn"]


def _share_memory_as_elsewhere() -> None:
    """Let multiprocessing map a temporary file, as on macOS; on Linux it asks for /dev/shm."""
    from multiprocessing import heap

    arena: Any = heap.Arena
    arena._dir_candidates = []


def _let_torch_load() -> None:
    """Replace torch's hook for forks, which asks for Windows by name before it does without."""
    stub: Any = types.ModuleType("torch.multiprocessing._atfork")
    stub.register_after_fork = lambda function: None
    sys.modules[stub.__name__] = stub


def _sign() -> None:
    with open(os.environ["BITCODES_TEST_PROCESSES"], "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{os.getpid()}\n")


if "BITCODES_TEST_PROCESSES" in os.environ:
    _take_away()
    _sign()
