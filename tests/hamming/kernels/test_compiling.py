"""Kernels are kept on the disk; where that is impossible, they are compiled all the same."""

import errno
import importlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core import caching

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.hamming.kernels import compiling

_numbers = itertools.count()


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import a kernel that adds, from a module that no process has used yet, or has again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(compiling, "_not_kept", [])
    name = f"adding_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(
        "from bitcodes.hamming.kernels.compiling import kernel\n\n\n"
        "@kernel\ndef add(a, b):\n    return a + b\n"
    )

    def load_anew():
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name).add

    return load_anew


def files(tmp_path, suffix):
    return sorted((tmp_path / "__pycache__").glob(f"*.{suffix}"))


def hits(kernel):
    return sum(kernel.stats.cache_hits.values())


def test_a_kernel_is_kept(load, tmp_path):
    first = load()
    assert (first(2, 3), hits(first)) == (5, 0)
    assert len(files(tmp_path, "nbi")) == len(files(tmp_path, "nbc")) == 1
    second = load()
    assert (second(2, 3), hits(second)) == (5, 1)
    assert compiling.are_kept()


def test_without_a_folder_a_kernel_is_compiled_every_time(load, tmp_path, monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    for _ in range(2):
        kernel = load()
        assert (kernel(2, 3), hits(kernel)) == (5, 0)
    assert not files(tmp_path, "nbi")
    assert not compiling.are_kept()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_kernel_that_cannot_be_written_is_compiled(load, tmp_path, monkeypatch, number):
    def refuse(self, path):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", refuse)
    kernel = load()
    assert kernel(2, 3) == 5
    assert not files(tmp_path, "nbi")


def test_a_kernel_that_cannot_be_read_is_compiled(load, tmp_path):
    assert load()(2, 3) == 5
    (index,) = files(tmp_path, "nbi")
    index.unlink()
    index.mkdir()  # root may read any file
    kernel = load()
    assert (kernel(2, 3), hits(kernel)) == (5, 0)


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("size", [0, 10, 60])
def test_a_damaged_file_is_written_anew(load, tmp_path, suffix, size):
    assert load()(2, 3) == 5
    (file,) = files(tmp_path, suffix)
    file.write_bytes(file.read_bytes()[:size])
    kernel = load()
    assert (kernel(2, 3), hits(kernel)) == (5, 0)
    kernel = load()
    assert (kernel(2, 3), hits(kernel)) == (5, 1)


SEARCH = """
import sys
from numba.core import caching
from bitcodes.cli.app import main
from bitcodes.hamming import scanner
scanner.PLAIN_LIMIT = 0
if sys.argv[1] == "read-only":
    caching.CacheImpl._locator_classes = []
main("search queries.npy -k 50".split())  # all, so that none is left that is as near
"""


def test_a_search_where_nothing_can_be_written_says_so_in_one_note(tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (50, 2), np.uint8)
    save_code_set(CodeSet.from_arrays(codes, 16), tmp_path / "codes.npy")
    save_code_set(CodeSet.from_arrays(codes[:2], 16), tmp_path / "queries.npy")
    # The second keeps nothing of what it compiles, so it may compile in the quickest way.
    usual, read_only = (
        subprocess.run(
            [sys.executable, "-c", SEARCH, state],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=os.environ | optimization,
        )
        for state, optimization in (("usual", {}), ("read-only", {"NUMBA_OPT": "0"}))
    )
    assert usual.stdout.count("\n") == 100
    assert read_only.stdout == usual.stdout
    (note,) = read_only.stderr.splitlines()
    assert note.startswith("note: ") and "NUMBA_CACHE_DIR" in note
