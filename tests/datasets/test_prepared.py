"""Data folders are written whole or not at all, and are recognised when they are done."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.prepared import check_settings, one_hot, staged_folder, write_dataset
from bitcodes.errors import BitcodesError, DataError
from bitcodes.files import lock

SETTINGS = {"name": "pets", "protocol": "full", "seed": 0}


def write(folder: Path, **items: list[tuple[str, int]]) -> None:
    for name, _ in (item for part in items.values() for item in part):
        (folder / name).touch()
    classes = {
        name: {key: [path for path, number in items[key] if number == label] for key in items}
        for label, name in enumerate(("cat", "dog"))
    }
    write_dataset(folder, classes, SETTINGS)


def test_a_data_folder_reads_back(tmp_path: Path) -> None:
    pairs = [("a.png", 0), ("b.png", 1)]
    write(tmp_path, train=pairs, test=[("c.png", 1)], database=pairs)
    assert (tmp_path / "train.txt").read_bytes() == b"a.png 1 0\nb.png 0 1\n"
    description = json.loads((tmp_path / "dataset.json").read_text())
    counts = {"train": 2, "test": 1, "database": 2}
    assert description == {**SETTINGS, "counts": counts, "class_names": ["cat", "dog"]}
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.protocol == "full"


def test_a_query_must_not_be_in_the_other_lists(tmp_path: Path) -> None:
    pairs = [("a.png", 0), ("b.png", 1)]
    with pytest.raises(DataError, match=r"1 query in both test.txt and train.txt .* b.png"):
        write(tmp_path, train=pairs, test=[("b.png", 1)], database=[("c.png", 0)])
    with pytest.raises(DataError, match=r"and database.txt"):
        write(tmp_path, train=pairs, test=[("c.png", 1)], database=[("c.png", 0)])
    with pytest.raises(DataError, match=r"test.txt would be empty"):
        write(tmp_path, train=pairs, test=[], database=pairs)
    assert not (tmp_path / "dataset.json").exists()


def test_one_hot() -> None:
    labels = one_hot([2, 0], 3)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_settings_of_a_folder_that_is_there(tmp_path: Path) -> None:
    assert check_settings(tmp_path / "new", SETTINGS) is None
    assert check_settings(tmp_path, SETTINGS) is None  # empty
    pairs = [("a.png", 0)]
    write(tmp_path, train=pairs, test=[("c.png", 1)], database=pairs)
    done = check_settings(tmp_path, SETTINGS)
    assert done is not None
    assert done.state == "unchanged"
    assert check_settings(tmp_path, {**SETTINGS, "protocol": None, "seed": None}) is not None
    with pytest.raises(DataError, match="prepared with protocol 'full', not 'low'; do that"):
        check_settings(tmp_path, {**SETTINGS, "protocol": "low"}, advice="do that")
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DataError, match="was not made by `bitcodes prepare`"):
        check_settings(tmp_path, SETTINGS)
    with pytest.raises(DataError, match="was not made by `bitcodes prepare`"):
        check_settings(tmp_path / "train.txt", SETTINGS)


def test_a_staged_folder_appears_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    out = tmp_path / "deep/out"
    with staged_folder(out) as folder:
        (folder / "a").touch()
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["a"]
    assert list(out.parent.iterdir()) == [out]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with staged_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert (tmp_path / "out/a").exists()


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with staged_folder(tmp_path / "out") as folder:
            (folder / "a").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".out.staging/new"
    left.mkdir(parents=True)
    (left / "half").touch()
    with staged_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize("left", [(".dataset.lock",), (".dataset.lock", ".dataset.staging/half")])
def test_a_folder_with_nothing_but_what_a_killed_process_left_is_empty(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    for name in left:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    assert check_settings(out, SETTINGS) is None
    assert list(out.iterdir()) == []


def test_a_prepared_folder_is_freed_of_what_was_left_beside_it(tmp_path: Path) -> None:
    pairs = [("a.png", 0), ("b.png", 1)]
    out = tmp_path / "out"
    out.mkdir()
    write(out, train=pairs, test=[("c.png", 1)], database=pairs)
    staging = tmp_path / ".out.staging"
    staging.mkdir()
    (staging / "lock").touch()
    assert check_settings(out, SETTINGS) is not None
    assert list(tmp_path.iterdir()) == [out]
    staging.mkdir()
    with lock(staging / "lock", "it"):  # another process is at work
        assert check_settings(out, SETTINGS) is not None
        assert (staging / "lock").exists()


def test_two_at_once_are_kept_apart(tmp_path: Path) -> None:
    staging = tmp_path / ".out.staging"
    (staging / "new").mkdir(parents=True)
    (staging / "new/half").touch()
    with (
        lock(staging / "lock", "it"),
        pytest.raises(BitcodesError, match="being written by another process"),
        staged_folder(tmp_path / "out"),
    ):
        pass
    assert (staging / "new/half").exists()
