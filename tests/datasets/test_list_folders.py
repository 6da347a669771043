"""Lists of other projects: generated stand-ins in their layouts, with their paths."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bitcodes.datasets import published
from bitcodes.datasets.dataset import Dataset, read_dataset
from bitcodes.datasets.list_folders import prepare_lists
from bitcodes.datasets.published import Published
from bitcodes.errors import DataError

# Class numbers of each image, by its path below the folder of images.
SETS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "test": {"val2014/q0.jpg": [0], "val2014/q1.jpg": [1, 2]},
    "train": {"train2014/t0.jpg": [0, 2], "train2014/t1.jpg": [1]},
    "database": {
        "train2014/t0.jpg": [0, 2],
        "train2014/t1.jpg": [1],
        "val2014/d0.jpg": [2],
    },
}


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    touch(folder, *(path for part in SETS.values() for path in part))
    return folder


def line(path: str, classes: Sequence[int], columns: int = 3) -> str:
    return " ".join([path, *("1" if c in classes else "0" for c in range(columns))])


def write(folder: Path, before: str = "", ending: str = "\n", windows: bool = False) -> Path:
    """The lists of SETS, with paths that begin with `before`."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, part in SETS.items():
        lines = [line(before + path, classes) for path, classes in part.items()]
        text = "".join(each + ending for each in lines)
        (folder / f"{key}.txt").write_text(text.replace("/", "\\") if windows else text)
    return folder


def absolute(dataset: Dataset) -> list[list[Path]]:
    parts = (dataset.train, dataset.test, dataset.database)
    return [[part.absolute_path(i) for i in range(len(part))] for part in parts]


@pytest.mark.parametrize(
    ("before", "ending", "windows"),
    [
        ("", "\n", False),  # DeepHash-pytorch
        ("data/coco/", "\n", False),  # CSQ
        ("./data/coco/", "\n", False),  # HashNet for Caffe
        ("/home/someone/run/dataset/coco/", "\n", False),  # HashNet for PyTorch
        ("D:/sets/coco/", "\r\n", True),
        ("", "\r\n", True),
    ],
)
def test_paths_of_every_layout(
    before: str, ending: str, windows: bool, images: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "coco", before, ending, windows)
    done = prepare_lists(source, tmp_path / "out", root=images)
    assert (done.state, done.notes) == ("new", ())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("database.txt", "dataset.json", "test.txt", "train.txt")
    ]
    dataset = read_dataset(tmp_path / "out")
    parts = (SETS["train"], SETS["test"], SETS["database"])
    assert absolute(dataset) == [[images / path for path in part] for part in parts]
    assert dataset.test.labels is not None
    assert dataset.test.labels.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert (dataset.class_names, dataset.protocol) == (("0", "1", "2"), "own lists")


def test_images_beside_the_lists_or_below_the_working_folder(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = write(images, "data/coco/")
    prepare_lists(beside, tmp_path / "first")
    elsewhere = write(tmp_path / "lists", "coco/images/")
    monkeypatch.chdir(tmp_path)
    prepare_lists(elsewhere, "second")
    assert absolute(read_dataset(tmp_path / "first")) == absolute(read_dataset(Path("second")))


def test_lists_whose_roots_differ(images: Path, tmp_path: Path) -> None:
    """The same image by two paths is one image."""
    source = write(tmp_path / "coco", "/home/a/")
    lines = [line(f"E:\\b\\{path}", classes) for path, classes in SETS["database"].items()]
    (source / "database.txt").write_text("\n".join(lines))
    prepare_lists(source, tmp_path / "out", root=images)
    dataset = read_dataset(tmp_path / "out")
    assert set(dataset.train.paths) < set(dataset.database.paths)


def test_class_numbers_in_place_of_labels(tmp_path: Path) -> None:
    """The queries lack the last class."""
    source = tmp_path / "lists"
    touch(source, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (source / "train.txt").write_text("a.jpg 3\nb.jpg 0\n")
    (source / "database.txt").write_text("a.jpg 3\nb.jpg 0\nc.jpg 1\n")
    (source / "test.txt").write_text("d.jpg 2\n")
    prepare_lists(source, tmp_path / "out")
    dataset = read_dataset(tmp_path / "out")
    assert dataset.test.labels is not None and dataset.train.labels is not None
    assert dataset.test.labels.tolist() == [[0, 0, 1, 0]]
    assert dataset.train.labels.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


def test_lists_in_parts_are_joined(images: Path, tmp_path: Path) -> None:
    """HashNet has its lists for Caffe in eight parts, some without a line end at the end."""
    source = write(tmp_path / "coco", "./data/coco/")
    for key in ("test", "database"):
        lines = (source / f"{key}.txt").read_text().splitlines()
        (source / f"{key}.txt").unlink()
        (source / "test").mkdir(exist_ok=True)
        for number, text in enumerate(lines):
            (source / f"test/{key}{number}.txt").write_text(text)
    prepare_lists(source, tmp_path / "out", root=images)
    paths = [images / path for path in SETS["database"]]
    assert absolute(read_dataset(tmp_path / "out"))[2] == paths
    (source / "test/database1.txt").unlink()
    with pytest.raises(DataError, match=r"expected all parts; found no database1\.txt"):
        prepare_lists(source, tmp_path / "other", root=images)


def test_a_published_division_and_its_figure(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Published("Tiny of Somebody", 3, 2, 2, 3, "map@5000")
    monkeypatch.setattr(published, "PUBLISHED", (tiny,))
    source = write(tmp_path / "coco")
    done = prepare_lists(source, tmp_path / "out", root=images)
    assert done.notes == ()
    description = json.loads((tmp_path / "out/dataset.json").read_text())
    assert description["protocol"] == "Tiny of Somebody"
    assert description["metric"] == "map@5000"
    assert description["counts"] == {"train": 2, "test": 2, "database": 3}

    (source / "database.txt").write_text(line("val2014/d0.jpg", [2]))
    done = prepare_lists(source, tmp_path / "out", root=images)
    assert done.state == "updated"
    assert "database.txt has 1 image, not 3" in done.notes[0]
    assert done.description["protocol"] == "own lists" and "metric" not in done.description


def test_running_it_again(images: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "coco")
    prepare_lists(source, tmp_path / "out", root=images)
    assert prepare_lists(source, tmp_path / "out", root=images).state == "unchanged"
    other = write(tmp_path / "other")
    with pytest.raises(DataError, match="is already prepared with name 'coco', not 'other'"):
        prepare_lists(other, tmp_path / "out", root=images)
    with pytest.raises(DataError, match="has the lists to read: name another folder to write"):
        prepare_lists(source, source, root=images)


def test_queries_in_the_database(images: Path, tmp_path: Path) -> None:
    """As in HashNet's lists of MS-COCO."""
    source = write(tmp_path / "coco", "/a/")
    with (source / "database.txt").open("a") as file:
        file.writelines(f"{line('/b/' + path, c)}\n" for path, c in SETS["test"].items())
    with pytest.raises(DataError, match=r"of 2 queries, 2 in database\.txt too .*--drop-queries"):
        prepare_lists(source, tmp_path / "out", root=images)
    assert not (tmp_path / "out").exists()
    done = prepare_lists(source, tmp_path / "out", root=images, drop_queries=True)
    assert done.notes[0].startswith("queries dropped from other lists: 2 in database.txt. Figures")
    assert done.description["counts"] == {"train": 2, "test": 2, "database": 3}
    dataset = read_dataset(tmp_path / "out")
    assert dataset.database.labels is not None
    assert dataset.database.labels.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_a_list_of_queries_alone_is_not_emptied(images: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "coco")
    (source / "database.txt").write_bytes((source / "test.txt").read_bytes())
    with pytest.raises(DataError) as caught:
        prepare_lists(source, tmp_path / "out", root=images, drop_queries=True)
    assert str(caught.value) == (
        f"{source}: every image of database.txt is a query too, so --drop-queries would leave "
        "none: expected images that are no queries. Put other images in database.txt, or leave "
        "some out of test.txt"
    )
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_there(images: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "coco", "/a/")
    for name in ("train2014/t0.jpg", "val2014/q1.jpg"):
        (images / name).unlink()
    with pytest.raises(DataError) as caught:
        prepare_lists(source, tmp_path / "out", root=images)
    assert str(caught.value) == (
        f"{source}: not there: 3 of 7 lines ('/a/train2014/t0.jpg' of train.txt; "
        "'/a/val2014/q1.jpg' of test.txt; '/a/train2014/t0.jpg' of database.txt). Looked for in "
        f"{images}, also without the first folders of a path; name the folder with the images by "
        "--root"
    )
    with pytest.raises(DataError, match=r"7 of 7 lines \(.*, \.\.\.\)\. Looked for in .* and "):
        prepare_lists(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("test", line("val2014/q0.jpg", [0], 4), "test.txt has 4"),
        ("train", "train2014/t0.jpg\n", "expected labels after each path"),
        ("train", "", "the list is empty"),
        ("train", line("train2014/t0.jpg", [0]), "give 1 image different labels .*t0.jpg"),
        ("train", f"{line('train2014/t0.jpg', [0, 2])}\n" * 2, "train.txt names 1 image more than"),
    ],
)
def test_lists_that_do_not_fit_together(
    key: str, text: str, reason: str, images: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "coco")
    (source / f"{key}.txt").write_text(text)
    with pytest.raises(DataError, match=reason):
        prepare_lists(source, tmp_path / "out", root=images)
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_missing(images: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "coco")
    (source / "database.txt").unlink()
    with pytest.raises(DataError, match=r"found no database\.txt\. Some projects offer large"):
        prepare_lists(source, tmp_path / "out", root=images)
    with pytest.raises(DataError, match=r"found no train\.txt"):
        prepare_lists(tmp_path / "nothing", tmp_path / "out", root=images)


def test_images_of_no_class_are_counted(images: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "coco")
    touch(images, "val2014/d1.jpg")
    with (source / "database.txt").open("a") as file:
        file.write(line("val2014/d1.jpg", []))
    done = prepare_lists(source, tmp_path / "out", root=images)
    assert done.notes == ("database.txt has 1 image of no class; nothing is relevant to them",)
