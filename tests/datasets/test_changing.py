"""A change of a dataset that is killed before each of its file operations."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitcodes.datasets import changing
from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.prepared import write_lists
from bitcodes.errors import BitcodesError, DataError
from bitcodes.sources.description import read_description
from bitcodes.sources.lists import read_list

NAMES = ["cat", "dog"]


def write(folder: Path, version: int) -> None:
    """Lists of `version` + 2 images to train on, all of other names in each version."""
    count = version + 2
    paths = [f"{NAMES[n % 2]}/{version}-{n}.png" for n in range(count)]
    labels = np.eye(2, dtype=np.uint8)[np.arange(count) % 2]
    queries = [f"cat/{version}-q.png"], np.array([[1, 0]], np.uint8)
    lists = {"train": (paths, labels), "database": (paths, labels), "test": queries}
    for path in [*paths, *queries[0]]:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    write_lists(folder, lists, NAMES, {"name": "pets", "version": version})


def versions(folder: Path) -> set[str]:
    dataset = read_dataset(folder)
    lists = (dataset.train, dataset.test, dataset.database)
    return {path.split("/")[1].split("-")[0] for part in lists for path in part.paths}


def version_of_a_list(folder: Path) -> str:
    """As `encode train.txt` reads it: the version of the list, and the same of its class names."""
    images = read_list(folder / "train.txt")
    description = read_description(folder)
    assert description is not None and f"{description['version']}-" in images.paths[0]
    return str(description["version"])


def killed_at(nth: int, folder: Path) -> bool:
    """Change the folder in a child that dies before its nth file operation; whether it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    count = 0

    def on_event(event: str, arguments: Any) -> None:
        nonlocal count
        if event == "open" or event.startswith(("os.", "shutil.")):
            count += 1
            if count == nth:
                os._exit(9)

    sys.addaudithook(on_event)
    try:
        write(folder, 1)
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("finish", ["by a reader", "by another change"])
def test_killed_anywhere(tmp_path: Path, finish: str) -> None:
    seen, seen_alone = [], []
    for nth in range(1, 1000):
        folder = tmp_path / str(nth)
        folder.mkdir()
        write(folder, 0)
        if not killed_at(nth, folder):
            break
        if finish == "by a reader":
            seen_alone.append(version_of_a_list(folder))
            (found,) = versions(folder)
            seen.append(found)
        else:
            write(folder, 2)
            assert versions(folder) == {"2"}
            left = {path.name for path in folder.iterdir() if path.is_file()}
            assert not list(folder.glob(".dataset.staging*"))
            assert left == {"train.txt", "test.txt", "database.txt", "dataset.json"}
    else:
        pytest.fail("it never came to an end")
    assert nth > 30
    if finish == "by a reader":
        assert seen == sorted(seen) and set(seen) == {"0", "1"}  # first the old, then the new
        assert seen_alone == seen


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with pytest.raises(ZeroDivisionError), changing.changed_together(tmp_path) as new:
        (new / "train.txt").write_text("half")
        raise ZeroDivisionError
    assert versions(tmp_path) == {"0"}
    assert not list(tmp_path.glob(".dataset*"))


def test_two_at_once(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with (
        changing.changed_together(tmp_path),
        pytest.raises(BitcodesError, match="being written by another"),
    ):
        write(tmp_path, 1)


def test_lists_of_two_versions_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 0)
    lines = (tmp_path / "train.txt").read_text().splitlines(keepends=True)
    (tmp_path / "train.txt").write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"train\.txt has 1 image, but dataset\.json says 2"):
        read_dataset(tmp_path)
