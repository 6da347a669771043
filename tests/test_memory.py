"""The memory that docs/operations.md promises, by the number of images."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tiny import make_model, make_pictures

from bitcodes.sources.lists import ImageList
from bitcodes.tasks.encoding.encode import encode

SEARCH, INDEX, ENCODE = 20, 130, 100
"""Bytes per code of 64 bits, and per image with the files' pages and what is fixed in part."""

MEASURE = """
import resource, sys
from bitcodes.tasks.index import build_index
from bitcodes.tasks.searching.search import search

UNIT = 1 if sys.platform == "darwin" else 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

def use(name):
    search("query.npy", name)
    searched = peak()
    build_index(name, tables=True)
    return searched, peak()

_, before = use("small.npy")  # what is loaded and compiled once
print(*(most - before for most in use("large.npy")))
"""


def test_search_and_index_take_so_many_bytes_per_code(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="this system does not tell a process its memory")
    count, rng = 1_000_000, np.random.default_rng(0)
    for name, rows in {"query": 1, "small": 1000, "large": count}.items():
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 256, (rows, 8), np.uint8))
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    searched, built = map(int, done.stdout.split())
    assert searched < SEARCH * count
    assert built < INDEX * count


def test_encoding_keeps_no_images(tmp_path: Path) -> None:
    (name,) = make_pictures(tmp_path / "photos", 1)
    model, peaks = make_model(), []
    for count in (64, 64, 1088):  # the first loads what is loaded once
        images = ImageList([name] * count, None, tmp_path / "photos")
        tracemalloc.start()
        code_set = encode(model, images, tmp_path / f"{len(peaks)}.npy", workers=0)
        assert code_set.count == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < ENCODE * 1024
