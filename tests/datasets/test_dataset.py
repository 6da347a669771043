"""Prepared folders, and what is said about those that are not prepared."""

import json
from pathlib import Path

import pytest

from bitcodes.datasets.dataset import class_folders, read_dataset
from bitcodes.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def make_dataset(folder: Path) -> None:
    touch(folder, "a.png", "b.png", "c.png")
    (folder / "train.txt").write_text("a.png 1 0\nb.png 0 1\n")
    (folder / "database.txt").write_text("a.png 1 0\nb.png 0 1\n")
    (folder / "test.txt").write_text("c.png 0 1\n")


def test_a_data_folder(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    dataset = read_dataset(tmp_path)
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [2, 1, 2]
    assert dataset.class_names == ()
    assert dataset.protocol is None
    description = {"class_names": ["cat", "dog"], "protocol": "full"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == dataset.test.class_names == ("cat", "dog")
    assert repr(dataset) == (
        f"<Dataset: {len(dataset.train)} images to train on, 1 query, "
        f"{len(dataset.database)} in the database, 2 classes>"
    )
    assert dataset.protocol == "full"


def test_class_names_that_only_some_lists_show(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.png", "dog/b.png", "dog/c.png")
    (tmp_path / "train.txt").write_text("cat/a.png 1 0\ndog/b.png 0 1\n")
    (tmp_path / "database.txt").write_text("cat/a.png 1 0\ndog/b.png 0 1\n")
    (tmp_path / "test.txt").write_text("dog/c.png 0 1\n")
    assert read_dataset(tmp_path).class_names == ("cat", "dog")


def test_lists_of_a_data_folder_must_agree(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    (tmp_path / "test.txt").write_text("c.png 0 1 0\n")
    with pytest.raises(DataError, match=r"train.txt has 2, test.txt has 3, database.txt has 2"):
        read_dataset(tmp_path)
    for name in ("train", "test", "database"):
        (tmp_path / f"{name}.txt").write_text("c.png\n")
    with pytest.raises(DataError, match=r"train.txt has 0"):
        read_dataset(tmp_path)


def test_training_may_have_classes_of_its_own(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    (tmp_path / "train.txt").write_text("a.png 1 0 0\nb.png 0 0 1\n")
    names = {"class_names": ["cat", "dog"], "train_class_names": ["red", "green", "blue"]}
    (tmp_path / "dataset.json").write_text(json.dumps(names))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train_class_names == ("red", "green", "blue")
    (tmp_path / "test.txt").write_text("c.png 0 1 0\n")
    with pytest.raises(DataError, match=r"test.txt"):
        read_dataset(tmp_path)
    for key in ("train_class_names", "unseen_classes"):
        for wrong in ("cat", [1], None):
            (tmp_path / "dataset.json").write_text(json.dumps({**names, key: wrong}))
            with pytest.raises(DataError, match=f'"{key}" to be a list of names'):
                read_dataset(tmp_path)


def test_a_folder_that_is_not_prepared_yet_says_how(tmp_path: Path) -> None:
    def message(folder: Path) -> str:
        with pytest.raises(DataError) as caught:
            read_dataset(folder)
        return str(caught.value)

    assert "there is no data folder" in message(tmp_path / "gone")
    assert "bitcodes prepare" in message(tmp_path)
    pets = tmp_path / "pets"
    touch(pets, "cat/1.jpg", "dog/1.jpg")
    assert f"`bitcodes prepare folder {pets} {pets}-lists`" in message(pets)
    divided = tmp_path / "divided"
    touch(divided, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg")
    assert f"`bitcodes prepare folder {divided} {divided}-lists`" in message(divided)
    cifar = tmp_path / "cifar"
    touch(cifar, *(f"{half}/class {i}/1.png" for half in ("train", "test") for i in range(10)))
    assert f"`bitcodes prepare cifar10 {cifar} --source {cifar}`" in message(cifar)
    make_dataset(pets)
    (pets / "test.txt").unlink()
    assert "has no test.txt" in message(pets)


@pytest.mark.posix
def test_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "cat/deep/1.jpg", ".hidden/1.jpg", "notes/a.txt", "1.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert class_folders(tmp_path) == ["cat", "dog"]
