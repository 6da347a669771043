"""What a process frees, it gets again without the system clearing pages."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from bitcodes.models.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    for _ in range(5):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(-faults() + faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_freed_memory_is_kept() -> None:
    def page_faults(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    pages = 5 * (64 << 20) // 4096
    assert page_faults("keep") < pages // 100
    assert page_faults("do not") > 5  # where huge pages are 2 MB or more
