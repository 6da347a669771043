"""What a process frees, it gets again without the system clearing pages."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np

def faults(work):
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
ALLOCATING = f"""{FAULTS}
from bitcodes.models.memory import keep_freed_memory

def work():
    for _ in range(5):
        np.ones(64 << 20, np.uint8)
print(faults(work))
assert keep_freed_memory()
print(faults(work))
"""
ENCODING = f"""{FAULTS}
import torch
from bitcodes.images.transforms import Preprocessing
from bitcodes.models import hashing

torch.set_num_threads(1)
half = (0.5, 0.5, 0.5)
model = hashing.HashModel(
    "tf_efficientnet_lite0", 16, Preprocessing(image_size=128, mean=half, std=half)
)
def work():
    model.encode_batch(np.zeros((8, 128, 128, 3), np.uint8))
keep, hashing.keep_freed_memory = hashing.keep_freed_memory, lambda: False
print(faults(work))
hashing.keep_freed_memory = keep
print(min(faults(work) for _ in range(3)))  # the system may split a huge page once
"""
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")


def page_faults(program: str) -> tuple[int, int]:
    """Of the same work before freed memory is kept and after."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    before, after = map(int, done.stdout.split())
    return before, after


def test_freed_memory_is_kept() -> None:
    before, after = page_faults(ALLOCATING)
    assert before > 5  # where huge pages are 2 MB or more
    assert after < 5 * (64 << 20) // 4096 // 100


def test_encoding_keeps_what_it_frees() -> None:
    before, after = page_faults(ENCODING)
    assert before > 50 * after
