"""Class folders become lists, divided class by class, the same way on every machine."""

import json
import os
from pathlib import Path

import pytest

from bitcodes.datasets.class_folders import prepare_folder
from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.sources.lists import single_labels


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    names = [f"cat/{i}.jpg" for i in range(20)] + [f"dog/deep/{i}.png" for i in range(10)]
    return touch(tmp_path / "pets", *names)


def test_classes_are_divided_one_by_one(pets: Path, tmp_path: Path) -> None:
    done = prepare_folder(pets, tmp_path / "out")
    assert done.state == "new"
    assert done.notes == ()
    dataset = read_dataset(tmp_path / "out")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.protocol == "folder"
    lists = (dataset.train, dataset.test, dataset.database)
    classes = [single_labels(part.labels).tolist() for part in lists]  # type: ignore
    assert [(labels.count(0), labels.count(1)) for labels in classes] == [(18, 9), (2, 1), (18, 9)]
    assert dataset.train.paths == dataset.database.paths
    assert not set(dataset.test.paths) & set(dataset.train.paths)
    # The images stay where they are, and the first in the order by SHA-256 are the queries.
    names = sorted(f"{i}.jpg" for i in range(20))
    first = [f"{pets}/cat/{names[i]}" for i in hash_order(0, "cat", names)[:2]]
    assert sorted(dataset.test.paths[:2]) == sorted(first)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("database.txt", "dataset.json", "test.txt", "train.txt")
    ]


@pytest.mark.parametrize(
    ("queries", "train", "expected"),
    [
        (None, None, [27, 3, 27]),
        (0.5, None, [15, 15, 15]),
        (3, None, [24, 6, 24]),
        (3, 5, [10, 6, 24]),
        (0.5, 0.2, [3, 15, 15]),
        (0.001, 0.001, [2, 2, 28]),  # at least one of each class
    ],
)
def test_shares_and_numbers(
    queries: float | None, train: float | None, expected: list[int], pets: Path, tmp_path: Path
) -> None:
    prepare_folder(pets, tmp_path / "out", queries, train)
    dataset = read_dataset(tmp_path / "out")
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == expected
    assert set(dataset.train.paths) <= set(dataset.database.paths)


def test_the_seed_changes_the_division(pets: Path, tmp_path: Path) -> None:
    texts = set()
    for seed in (None, 0, 1, 2):
        prepare_folder(pets, tmp_path / f"out{seed}", 0.5, seed=seed)
        texts.add((tmp_path / f"out{seed}/test.txt").read_text())
    assert len(texts) == 3  # no seed is seed 0


def test_the_division_does_not_depend_on_where_the_folder_lies(pets: Path, tmp_path: Path) -> None:
    prepare_folder(pets, pets)
    before = (pets / "test.txt").read_text()
    assert str(pets) not in before  # paths are relative, since the images lie inside
    pets = pets.rename(tmp_path / "moved")
    assert len(read_dataset(pets).train) == 27
    (pets / "dataset.json").unlink()
    prepare_folder(pets, pets)
    assert (pets / "test.txt").read_text() == before


def test_running_it_again_takes_new_images_in(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_folder(pets, out, queries=0.25, seed=7)
    before = set(read_dataset(out).test.paths)
    assert prepare_folder(pets, out).state == "unchanged"
    touch(pets, "cat/new 1.jpg", "cat/new 2.jpg")
    done = prepare_folder(pets, out)
    assert done.state == "updated"
    assert done.description["queries"] == 0.25
    assert done.description["seed"] == 7
    after = read_dataset(out)
    assert len(after.test) + len(after.database) == 32
    assert len(before & set(after.test.paths)) >= len(before) - 2


def test_other_settings_are_refused(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_folder(pets, out)
    with pytest.raises(DataError, match=r"already prepared with queries 0.1, not 5"):
        prepare_folder(pets, out, queries=5)
    other = touch(tmp_path / "other", "a/1.jpg", "b/1.jpg")
    with pytest.raises(DataError, match="already prepared with name 'pets', not 'other'"):
        prepare_folder(other, out)
    with pytest.raises(DataError, match="was not made by `bitcodes prepare`"):
        prepare_folder(pets, other)


def test_a_division_that_is_there_is_kept(tmp_path: Path) -> None:
    source = touch(
        tmp_path / "s",
        *(f"train/{name}/{i}.jpg" for name in ("cat", "dog", "owl") for i in range(4)),
        *(f"val/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(2)),
    )
    prepare_folder(source, tmp_path / "out")
    dataset = read_dataset(tmp_path / "out")
    assert dataset.class_names == ("cat", "dog", "owl")
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [12, 4, 12]
    assert all("/val/" in path for path in dataset.test.paths)
    prepare_folder(source, tmp_path / "fewer", train=1)
    dataset = read_dataset(tmp_path / "fewer")
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [3, 4, 12]
    with pytest.raises(DataError, match="has its queries in val/"):
        prepare_folder(source, tmp_path / "more", queries=1)
    touch(source, "val/emu/1.jpg")
    with pytest.raises(DataError, match="val/ has classes that train/ lacks: emu"):
        prepare_folder(source, tmp_path / "more")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    source = touch(tmp_path / "s", *(f"{name}/{i}.jpg" for name in ("train", "bus") for i in "ab"))
    assert prepare_folder(source, tmp_path / "out").description["class_names"] == ["bus", "train"]


def test_what_is_left_out_is_said(pets: Path, tmp_path: Path) -> None:
    touch(pets, "cat/notes.txt", "cat/Thumbs.db", "dog/.DS_Store", "owl/one.png", "empty/a/b.txt")
    done = prepare_folder(pets, tmp_path / "out")
    assert done.description["class_names"] == ["cat", "dog", "owl"]
    assert done.notes == (
        f"no images in {pets / 'empty'}: left out",
        f"2 files in {pets} without an image's name: left out",
        "the class owl has 1 image: none of them is a query",
    )


def test_classes_that_are_too_small(pets: Path, tmp_path: Path) -> None:
    for queries in (10, 11):
        with pytest.raises(DataError, match=f"dog: 10 images cannot give {queries} queries and"):
            prepare_folder(pets, tmp_path / "out", queries)
    with pytest.raises(DataError, match=r"dog: expected 1 to 9 images to train on, found 15"):
        prepare_folder(pets, tmp_path / "out", train=15)
    with pytest.raises(DataError, match=r"each class has one image, and needs at least 2: one as"):
        prepare_folder(touch(tmp_path / "s", "a/1.jpg", "b/1.jpg"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("images", [2, 3, 4, 5])
def test_a_class_of_two_images_or_more_gives_a_query(images: int, tmp_path: Path) -> None:
    few = [f"{name}/{i}.jpg" for name in "ab" for i in range(images)]
    source = touch(tmp_path / "s", *few, "lonely/1.jpg")
    done = prepare_folder(str(source), str(tmp_path / "out"))
    dataset = read_dataset(tmp_path / "out")
    assert [len(dataset.test), len(dataset.database)] == [2, 2 * images - 1]
    assert done.notes == ("the class lonely has 1 image: none of them is a query",)


@pytest.mark.posix
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    odd = os.fsdecode(b"pets \xe9")
    try:
        source = touch(tmp_path / odd, *(f"{odd}/{i}.jpg" for i in range(3)), "dog/1.jpg")
    except OSError:
        pytest.skip("this drive takes no such names")
    for folder, out in ((source, tmp_path / "out"), (source, source)):
        assert prepare_folder(folder, out).state == "new"
        assert prepare_folder(folder, out).state == "unchanged"
        dataset = read_dataset(out)
        assert dataset.class_names == ("dog", r"pets \xe9")
        files = {dataset.test.absolute_path(0), *map(dataset.database.absolute_path, range(3))}
        assert files == set(source.rglob("*.jpg"))


@pytest.mark.posix
def test_a_path_that_no_list_can_hold_leaves_nothing(tmp_path: Path) -> None:
    source = touch(tmp_path / "s", *(f"{name}/{i}.jpg" for name in ("a", "b") for i in range(3)))
    (source / "a" / "0.jpg").rename(source / "a" / "0\n.jpg")
    with pytest.raises(DataError, match="a list file cannot hold the path"):
        prepare_folder(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("amount", [0, -1, 2.5, float("nan"), float("inf")])
def test_amounts_that_make_no_sense(amount: float, pets: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a share between 0 and 1 or a whole number"):
        prepare_folder(pets, tmp_path / "out", queries=amount)
    with pytest.raises(DataError, match="expected a share between 0 and 1 or a whole number"):
        prepare_folder(pets, tmp_path / "out", train=amount)


def test_what_is_no_folder_of_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        prepare_folder(tmp_path / "gone", tmp_path / "out")
    touch(tmp_path / "flat", "1.jpg", "2.jpg")
    with pytest.raises(DataError, match=r"expected at least two folders of images.*found none"):
        prepare_folder(tmp_path / "flat", tmp_path / "out")
    touch(tmp_path / "one", "cat/1.jpg")
    with pytest.raises(DataError, match=r"found cat$"):
        prepare_folder(tmp_path / "one", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_settings_are_recorded(pets: Path, tmp_path: Path) -> None:
    prepare_folder(pets, tmp_path / "out", queries=2)
    assert json.loads((tmp_path / "out/dataset.json").read_text()) == {
        "queries": 2,
        "train": None,
        "seed": 0,
        "name": "pets",
        "protocol": "folder",
        "source": str(pets),
        "counts": {"train": 26, "test": 4, "database": 26},
        "class_names": ["cat", "dog"],
    }
