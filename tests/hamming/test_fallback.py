"""Where numba cannot build the kernels, searches use NumPy and say so once."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tiny
from numba import njit
from numba.extending import intrinsic

from bitcodes import hamming
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming import compiled, fallback, pairing, stored
from bitcodes.hamming.duplicates import chains, code_pairs
from bitcodes.hamming.index import GroupedIndex, HammingIndex, group
from bitcodes.hamming.kernels import count, probing, sliced
from bitcodes.hamming.multi import MultiIndex, extend, with_tables
from bitcodes.models.checkpoint import load_model
from bitcodes.sources.lists import ImageList
from bitcodes.tasks.encoding.encode import encode

BITS = 20


@intrinsic
def _unknown_to_llvm(context):
    from numba.core import types

    def generate(context, builder, signature, arguments):
        raise AttributeError("no such instruction")

    return types.int64(), generate


@njit
def _fails(*arguments):
    return _unknown_to_llvm()


def break_import(patch):
    patch.setitem(sys.modules, "bitcodes.hamming.compiled", None)
    patch.delattr(hamming, "compiled")
    patch.setattr(fallback, "_loaded", None)


def break_compiler(patch):
    for module in (compiled.scan, sliced, count, probing):
        for name, value in vars(module).items():
            if hasattr(value, "py_func"):
                patch.setattr(module, name, _fails)
    patch.setattr(pairing, "compare_in_groups", _fails)


@pytest.fixture(params=[break_import, break_compiler])
def broken(request, monkeypatch):
    """Messages about kernels that cannot be built, as a list that grows; call it to break them."""
    messages = []
    monkeypatch.setattr(fallback, "_failure", None)
    monkeypatch.setattr(fallback, "fallback_callbacks", [messages.append])
    monkeypatch.setattr("bitcodes.hamming.scanner.PLAIN_LIMIT", 0)

    def break_now():
        request.param(monkeypatch)
        return messages

    return break_now


def some_codes(count, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.random((9, BITS)) < 0.5
    return pack_bits(centers[rng.integers(9, size=count)] ^ (rng.random((count, BITS)) < 0.05))


def answers(index, queries):
    """All that an index can be asked, as arrays."""
    labels = np.arange(len(index)) % 3
    pairs = np.concatenate([np.empty((3, 0), int), *map(np.stack, index.pairs(2))], axis=1)
    results = [pairs[:, np.lexsort(pairs[1::-1])], *index.search(queries, 7)]
    results += [*index.search(queries[:1], 7), *index.within(queries, 3)]
    results += [*index.within(queries, 3, limit=4), index.count(queries)]
    return [*results, *index.count(queries, labels, labels[: len(queries)])]


@pytest.mark.parametrize("kind", ["rows", "grouped", "multi"])
def test_same_answers_without_kernels(broken, kind):
    codes = some_codes(600)
    queries = np.concatenate([codes[:3], some_codes(20, 1)])
    index = {
        "rows": lambda: HammingIndex(codes, BITS),
        "grouped": lambda: group(codes, BITS),
        "multi": lambda: with_tables(group(codes, BITS), "tables"),
    }[kind]()
    expected = answers(HammingIndex(codes, BITS), queries)
    messages = broken()
    for _ in range(2):
        for ours, theirs in zip(answers(index, queries), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    index.compile()
    assert len(messages) == 1
    assert "NumPy" in messages[0]
    if isinstance(index, GroupedIndex):
        assert sum(map(len, chains(index, code_pairs(index, 2)))) > 0


def test_an_index_has_tables_only_where_there_are_kernels(broken, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "TABLES_FROM", 1)
    codes = some_codes(600)
    code_set = save_code_set(CodeSet.from_arrays(codes[:500], BITS), tmp_path / "codes.npy")
    multi, _ = stored.update_index(code_set)
    assert isinstance(multi, MultiIndex)
    grown = save_code_set(CodeSet.from_arrays(codes, BITS), tmp_path / "codes.npy", force=True)
    messages = broken()
    with pytest.raises(CodeSetError, match="numba"):
        extend(multi, codes[500:])
    with pytest.raises(CodeSetError, match="numba"):
        stored.update_index(grown, tables=True)
    index, done = stored.update_index(grown)
    assert done == "built" and isinstance(index, GroupedIndex)
    assert isinstance(stored.load_index(grown), GroupedIndex)
    assert len(messages) == 1


def test_a_failure_without_a_callback_is_a_warning(broken, monkeypatch):
    broken()
    monkeypatch.setattr(fallback, "fallback_callbacks", [])
    index = HammingIndex(some_codes(50), BITS)
    with pytest.warns(RuntimeWarning, match="cannot be compiled"):
        index.search(some_codes(2), 1)
    with warnings.catch_warnings(action="error"):
        index.search(some_codes(2), 1)


def test_other_errors_are_not_taken_for_failures(monkeypatch):
    monkeypatch.setattr("bitcodes.hamming.scanner.PLAIN_LIMIT", 0)

    def fails(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(compiled.scan, "nearest_of_few", fails)
    with pytest.raises(ZeroDivisionError):
        HammingIndex(some_codes(50), BITS).search(some_codes(2), 1)
    assert fallback.kernels_load()


def test_callbacks_are_kept_once():
    before = list(hamming.fallback_callbacks)
    try:
        for _ in range(2):
            hamming.on_fallback(print)
        assert hamming.fallback_callbacks == [*(c for c in before if c is not print), print]
    finally:
        hamming.fallback_callbacks[:] = before


SEARCH = """
import sys
sys.path.insert(0, sys.argv[1])
import tiny
from bitcodes.cli.app import main
from bitcodes.hamming import scanner
scanner.PLAIN_LIMIT = 0
if sys.argv[2] == "broken":
    sys.modules["llvmlite.ir"] = None
main("search --workers 0 photos/03.png photos/04.png -k 3".split())
"""


def test_the_command_says_so_in_one_note(tmp_path):
    names = tiny.make_pictures(tmp_path / "photos", 6)
    run = tiny.make_run(tmp_path / "runs" / "one")
    encode(load_model(run), ImageList(names, None, tmp_path / "photos"), tmp_path / "codes.npy")
    command = [sys.executable, "-c", SEARCH, str(Path(tiny.__file__).parent)]
    works, broken = (
        subprocess.run([*command, state], capture_output=True, text=True, check=True, cwd=tmp_path)
        for state in ("works", "broken")
    )
    assert works.stdout.count("\n") == 6
    assert broken.stdout == works.stdout
    assert works.stderr.count("note:") == 0
    assert broken.stderr.count("note:") == 1
    assert "searches use NumPy" in broken.stderr
