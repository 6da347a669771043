"""Saved indexes whose content was changed, with sizes and checksums that fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming import stored
from bitcodes.hamming.index import GroupedIndex, HammingIndex
from bitcodes.hamming.multi import MultiIndex
from bitcodes.hamming.stored import index_path, load_index, open_index, update_index
from bitcodes.tasks.index import build_index

BITS = 20
ARRAYS = ("codes", "starts", "rows")
TABLES = ("table-cuts", "table-offsets", "table-codes", "table-ids", "table-costs")


@pytest.fixture(scope="module")
def code_set(tmp_path_factory) -> CodeSet:
    """A set with an index with tables."""
    generator = np.random.default_rng(7)
    centers = generator.integers(0, 2, (30, BITS), np.uint8)
    flips = generator.random((300, BITS)) < 0.1
    bits = centers[generator.integers(0, 30, 300)] ^ flips
    codes = np.packbits(bits, axis=1)
    file = tmp_path_factory.mktemp("set") / "codes.npy"
    saved = save_code_set(CodeSet.from_arrays(codes, BITS), file)
    update_index(saved, tables=True)
    return saved


@pytest.fixture
def folder(code_set):
    """Its index, put back after the test."""
    folder = index_path(code_set.path)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    yield folder
    for file in set(folder.iterdir()) - set(before):
        file.unlink()
    for file, data in before.items():
        file.write_bytes(data)


def with_checksums(folder: Path) -> None:
    """Write a header that fits the files."""
    header = json.loads((folder / "index.json").read_bytes())
    header["files"] = {name: stored._checksum(folder / f"{name}.npy") for name in header["files"]}
    (folder / "index.json").write_text(json.dumps(header))


def answers(code_set: CodeSet, index) -> list[np.ndarray]:
    queries = code_set.codes[::7]
    within = index.within(queries, 3)
    return [*index.search(queries, 5), within.offsets, within.rows, within.distances]


def changed(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The array with one thing wrong with it."""
    array = array.copy()
    kind = generator.integers(0, 8)
    place = tuple(int(generator.integers(0, size)) for size in array.shape)
    if kind == 0:
        array[place] += 1
    elif kind == 1:
        array[place] = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.inf
    elif kind == 2:
        array[place] = 0
    elif kind == 3:
        return array[:-1]
    elif kind == 4:
        return array.astype(np.float32)
    elif kind == 5:
        return array[..., None]
    elif kind == 6:
        array = array[::-1]
    else:
        array[place] ^= 1 << int(generator.integers(0, 8)) if array.dtype.kind in "iu" else 1
    return array


@pytest.mark.parametrize("name", ARRAYS + TABLES)
def test_a_changed_array_changes_no_answer(code_set, folder, name):
    """Where the checksums fit, the content is compared with the set; else the scan answers."""
    generator = np.random.default_rng(list(name.encode()))
    expected = answers(code_set, HammingIndex(code_set))
    file = folder / f"{name}.npy"
    array = np.load(file)
    refused = 0
    for _ in range(25):
        try:
            other = changed(array, generator)
        except TypeError:  # no bits of floats
            continue
        np.save(file, other)
        with_checksums(folder)
        notes: list[str] = []
        index = open_index(code_set, note=notes.append)
        if isinstance(index, HammingIndex):
            refused += 1
            assert str(folder) in notes[0] and "bitcodes index" in notes[0]
        elif isinstance(index, MultiIndex):
            index.method = "tables"
        for result, one in zip(answers(code_set, index), expected, strict=True):
            np.testing.assert_array_equal(result, one)
    assert refused


@pytest.mark.parametrize("value", [np.inf, -np.inf, -1.0, 1e300])
@pytest.mark.parametrize("place", [(0, 0, 0), (-1, -1, 1)])
def test_costs_that_cannot_be_are_refused(code_set, folder, value, place):
    """They choose between tables and scan, and `index` prints what follows from them."""
    costs = np.load(folder / "table-costs.npy")
    costs[place] = value
    np.save(folder / "table-costs.npy", costs)
    with_checksums(folder)
    with pytest.raises(CodeSetError, match=r"table-costs: expected 0 to 1e\+18, or NaN"):
        load_index(code_set)
    summary = build_index(code_set.path, tables=True)
    assert summary.outcome == "built" and np.isfinite(list(summary.gains.values())).all()


@pytest.mark.parametrize("shape", [(2000, 3, 2), (3, 2000, 2), (3, 2), (3, 2, 3)])
def test_costs_of_another_shape_are_refused(code_set, folder, shape):
    np.save(folder / "table-costs.npy", np.zeros(shape))
    with_checksums(folder)
    with pytest.raises(CodeSetError, match="table-costs: "):
        load_index(code_set)


def test_other_files_than_those_of_an_index(code_set, folder):
    header = json.loads((folder / "index.json").read_bytes())
    for change in ({"../codes": {"size": 1, "crc32": 1}}, {"table-cuts": None}, {"codes": 3}):
        changed = {**header, "files": {**header["files"], **change}}
        (folder / "index.json").write_text(json.dumps(changed))
        with pytest.raises(CodeSetError, match="build it again"):
            load_index(code_set)
    for text in ("[" * 100_000, "[]", "{}", '{"format": "bitcodes-index/1"}', "\xff", "nan", ""):
        (folder / "index.json").write_text(text)
        with pytest.raises(CodeSetError, match="build it again"):
            load_index(code_set)
    for key, value in {"count": -1, "bits": "20", "files": [], "of": None}.items():
        (folder / "index.json").write_text(json.dumps({**header, key: value}))
        with pytest.raises(CodeSetError, match="build it again"):
            load_index(code_set)


def test_sound_ones_are_used(code_set, folder):
    assert isinstance(load_index(code_set), MultiIndex)
    update_index(code_set, tables=False)
    assert isinstance(load_index(code_set), GroupedIndex)
    update_index(code_set, tables=True, afresh=True)


def test_what_a_killed_process_left_is_removed(tmp_path):
    codes = np.zeros((3, 1), np.uint8)
    saved = save_code_set(CodeSet.from_arrays(codes, 8), tmp_path / "a[b].npy")
    update_index(saved)
    before = sorted(tmp_path.iterdir())
    for name in (".a[b].index.x1", ".a[b].index.x2/old"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".ab.index.x1").mkdir()  # of another set
    update_index(saved)
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / ".ab.index.x1"])


def test_a_good_index_is_freed_of_what_was_left_beside_it(tmp_path):
    codes = np.zeros((3, 1), np.uint8)
    saved = save_code_set(CodeSet.from_arrays(codes, 8), tmp_path / "codes.npy")
    update_index(saved)
    before = sorted(tmp_path.iterdir())
    (tmp_path / ".codes.index.x2/old").mkdir(parents=True)
    (tmp_path / ".codes.index-lock").touch()
    assert build_index(saved.path).outcome == "up to date"
    assert sorted(tmp_path.iterdir()) == before


def test_an_index_that_a_killed_process_had_moved_aside_is_put_back(tmp_path):
    codes = np.arange(8, dtype=np.uint8)[:, None]
    saved = save_code_set(CodeSet.from_arrays(codes, 8), tmp_path / "codes.npy")
    update_index(saved)
    before = sorted(tmp_path.iterdir())
    (tmp_path / ".codes.index.x2").mkdir()
    index_path(saved.path).rename(tmp_path / ".codes.index.x2/old")
    (tmp_path / ".codes.index.x1").mkdir()  # the new one, half made
    assert build_index(saved.path).outcome == "up to date"
    assert sorted(tmp_path.iterdir()) == before
