"""CIFAR-10 from every form people have it in; a small stand-in of the same layout."""

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.datasets import cifar10
from bitcodes.datasets.archives import members
from bitcodes.datasets.cifar10 import CLASSES, prepare_cifar10, unseen_classes
from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.sources.lists import single_labels

TRAIN, TEST = 5, 2  # images a class, instead of 5,000 and 1,000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "PER_CLASS", {"train": TRAIN, "test": TEST})
    monkeypatch.setattr(cifar10, "LOW_DATA", {"train": 3, "test": 2})


def images() -> dict[str, bytes]:
    """Paths and contents that tell every image from every other one."""
    return {
        f"{half}/{name}/{i:04}.jpg": f"{half} {name} {i}".encode()
        for half, number in (("train", TRAIN), ("test", TEST))
        for name in CLASSES
        for i in range(number)
    }


def as_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def as_tar(file: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    with tarfile.open(file, "w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


def as_zip(file: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return file


def thulab() -> dict[str, bytes]:
    """The layout of thulab's cifar10.zip: numbered images, lists with paths from elsewhere."""
    files = {}
    lists: dict[str, list[str]] = {"train": [], "test": [], "database": []}
    for half, number in (("train", TRAIN * 10), ("test", TEST * 10)):
        for i in range(number):
            path = f"{half}/{i:05}.jpg"
            files[path] = path.encode()
            key = "test" if half == "test" else "train" if i < 20 else "database"
            label = " ".join("1" if c == i % 10 else "0" for c in range(10))
            lists[key].append(f"/home/somebody/data/cifar10/{path} {label}\n")
    return files | {f"{key}.txt": "".join(lines).encode() for key, lines in lists.items()}


def batches() -> dict[str, bytes]:
    """The official archive's files, with 10 images in each of its six batches."""
    files = {"cifar-10-batches-py/readme.html": b"<html>"}
    for number, name in enumerate(cifar10._BATCHES):
        labels = list(range(10)) if name == "test_batch" else list(range(9, -1, -1))
        pixels = np.zeros((10, 3, 32, 32), np.uint8)
        pixels[:, 0] = number
        pixels[:, 1] = np.array(labels)[:, None, None]
        pixels[:, 2, 0, 31] = 255  # the upper right corner is blue
        batch = {b"labels": labels, b"data": pixels.reshape(10, -1), b"batch_label": b"x"}
        files[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch, protocol=2)
    return files


@pytest.mark.parametrize("form", ["folder", "deep folder", "tar", "tar in a folder", "zip"])
def test_class_folders_in_any_form(form: str, tmp_path: Path) -> None:
    source = {
        "folder": lambda: as_folder(tmp_path / "s", images()),
        "deep folder": lambda: as_folder(tmp_path / "s/x", images()).parent,
        "tar": lambda: as_tar(tmp_path / "s", images()),
        "tar in a folder": lambda: as_tar(tmp_path / "s", images(), "./cifar/"),
        "zip": lambda: as_zip(tmp_path / "s", images()),
    }[form]()
    calls: list[tuple[int, int | None]] = []
    done = prepare_cifar10(tmp_path / "out", source, progress=lambda *call: calls.append(call))
    assert done.state == "new"
    assert calls[-1] == (70, 70)
    dataset = read_dataset(tmp_path / "out")
    assert dataset.protocol == "full"
    assert dataset.class_names == CLASSES
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [50, 20, 50]
    assert dataset.train.paths == dataset.database.paths
    assert all(path.startswith("test/") for path in dataset.test.paths)
    classes = single_labels(dataset.train.labels)  # type: ignore[arg-type]
    assert classes is not None
    for i, path in enumerate(dataset.train.paths):
        assert path.split("/")[1] == CLASSES[classes[i]]
        assert dataset.train.absolute_path(i).read_bytes() == images()[path]
    description = json.loads((tmp_path / "out/dataset.json").read_text())
    assert description["counts"] == {"train": 50, "test": 20, "database": 50}
    assert description["class_names"][3] == "cat"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "s"]


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    prepare_cifar10(tmp_path / "out", as_folder(tmp_path / "s", images()))
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert len(read_dataset(tmp_path / "elsewhere").train) == 50


@pytest.mark.parametrize("protocol", ["low-data", "low-data-54k"])
def test_low_data(protocol: cifar10.Protocol, tmp_path: Path) -> None:
    source = as_folder(tmp_path / "s", images())
    prepare_cifar10(tmp_path / "out", source, protocol, seed=5)
    dataset = read_dataset(tmp_path / "out")
    train, queries, database = (
        set(part.paths) for part in (dataset.train, dataset.test, dataset.database)
    )
    assert [len(train), len(queries)] == [30, 20]
    assert not queries & (train | database)
    if protocol == "low-data":
        assert train | queries | database == set(images())
        assert train <= database
        assert len(database) == 50
    else:
        assert not train & database
        assert len(database) == 20
    # Each class by the order of its own: the first queries, the next to train.
    for name in CLASSES:
        pool = [
            path for half in ("train", "test") for path in images() if f"{half}/{name}/" in path
        ]
        order = [pool[i] for i in hash_order(5, name, [str(i) for i in range(7)])]
        assert {path for path in queries if f"/{name}/" in path} == set(order[:2])
        assert {path for path in train if f"/{name}/" in path} == set(order[2:5])


@pytest.mark.parametrize("split", [None, 1, 2, 3])
def test_unseen_classes(split: int | None, tmp_path: Path) -> None:
    source = as_folder(tmp_path / "s", images())
    done = prepare_cifar10(tmp_path / "out", source, "unseen", seed=5, split=split)
    assert (done.description["protocol"], done.description["split"]) == ("unseen", split or 1)
    dataset = read_dataset(tmp_path / "out")
    train, queries, database = (
        Counter(path.split("/")[1] for path in part.paths)
        for part in (dataset.train, dataset.test, dataset.database)
    )
    unseen = set(unseen_classes(split or 1))
    assert len(unseen) == 3
    assert done.description["unseen_classes"] == unseen_classes(split or 1)
    assert queries == dict.fromkeys(CLASSES, TEST)
    assert database == dict.fromkeys(CLASSES, TRAIN)
    assert train == dict.fromkeys(set(CLASSES) - unseen, 3)
    assert {path.split("/")[0] for path in dataset.train.paths} == {"train"}
    for name in set(CLASSES) - unseen:
        chosen = {path for path in dataset.train.paths if f"/{name}/" in path}
        order = hash_order(5, name, [str(i) for i in range(TRAIN)])
        assert chosen == {f"train/{name}/{i:04}.jpg" for i in order[:3]}


def test_coarse_classes_are_trained_on(tmp_path: Path) -> None:
    out, source = tmp_path / "out", as_folder(tmp_path / "s", images())
    done = prepare_cifar10(out, source, "coarse")
    assert done.description["train_class_names"] == ["vehicle", "animal"]
    dataset = read_dataset(out)
    assert dataset.class_names == dataset.test.class_names == CLASSES
    assert dataset.train_class_names == dataset.train.class_names == ("vehicle", "animal")
    full = prepare_cifar10(tmp_path / "full", source)
    assert full.description["counts"] == done.description["counts"]
    for name in ("test.txt", "database.txt"):
        assert (out / name).read_text() == (tmp_path / "full" / name).read_text()
    vehicles = {"airplane", "automobile", "ship", "truck"}
    for path, label in zip(dataset.train.paths, dataset.train.labels.tolist(), strict=True):
        assert label == ([1, 0] if path.split("/")[1] in vehicles else [0, 1])
    # It is a source too, as it is or in another protocol, also without class folders.
    again = prepare_cifar10(tmp_path / "again", out)
    assert again.description["train_class_names"] == ["vehicle", "animal"]
    assert read_dataset(tmp_path / "again").train.labels.shape == (50, 2)
    flat = tmp_path / "flat"
    prepare_cifar10(flat, as_folder(tmp_path / "numbered", thulab()), "coarse")
    other = prepare_cifar10(tmp_path / "other", flat, "full")
    assert "train_class_names" not in other.description
    assert read_dataset(tmp_path / "other").train.labels.shape == (50, 10)


def test_the_splits_of_unseen_classes(tmp_path: Path) -> None:
    unseen = [name for split in cifar10.UNSEEN_SPLITS for name in unseen_classes(split)]
    assert len(set(unseen)) == 9
    out, source = tmp_path / "out", as_folder(tmp_path / "s", images())
    prepare_cifar10(out, source, "unseen", split=2)
    assert prepare_cifar10(out, source, "unseen").state == "unchanged"
    copy = prepare_cifar10(tmp_path / "copy", out).description
    assert (copy["split"], copy["unseen_classes"]) == (2, unseen_classes(2))
    with pytest.raises(DataError, match="split 2, not 3"):
        prepare_cifar10(out, source, "unseen", split=3)
    with pytest.raises(DataError, match="expected a split of 1, 2 or 3 with"):
        prepare_cifar10(tmp_path / "other", source, "unseen", split=4)
    with pytest.raises(DataError, match="found split 1 with the protocol full"):
        prepare_cifar10(tmp_path / "other", source, "full", split=1)


def test_the_split_is_the_same_from_every_form_and_changes_with_the_seed(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "s", images())
    archive = as_zip(tmp_path / "s.zip", dict(reversed(images().items())))
    prepare_cifar10(tmp_path / "a", folder, "low-data")
    prepare_cifar10(tmp_path / "b", archive, "low-data")
    prepare_cifar10(tmp_path / "c", folder, "low-data", seed=1)
    lists = [(tmp_path / out / "test.txt").read_text() for out in "abc"]
    assert lists[0] == lists[1] != lists[2]


@pytest.fixture
def one_test_image_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "PER_CLASS", {"train": 5, "test": 1})


@pytest.mark.usefixtures("one_test_image_a_class")
def test_the_official_archive(tmp_path: Path) -> None:
    source = as_tar(tmp_path / "cifar-10-python.tar.gz", batches())
    done = prepare_cifar10(tmp_path / "out", source)
    assert done.description["counts"] == {"train": 50, "test": 10, "database": 50}
    for label, name in enumerate(CLASSES):
        for number in range(5):
            pixels = np.asarray(Image.open(tmp_path / f"out/train/{name}/{number:04}.png"))
            assert pixels.shape == (32, 32, 3)
            assert pixels[5, 5].tolist() == [number, label, 0]
            assert pixels[0, 31].tolist() == [number, label, 255]
    # The unpacked archive will do as well.
    folder = as_folder(tmp_path / "s", batches())
    prepare_cifar10(tmp_path / "again", folder)
    assert (tmp_path / "again/train.txt").read_text() == (tmp_path / "out/train.txt").read_text()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/bitcodes-was-here",)


def test_pickles_cannot_run_code(tmp_path: Path) -> None:
    for evil in (Evil(), np.array([Evil()], dtype=object), {b"data": Evil()}):
        files = batches() | {"cifar-10-batches-py/test_batch": pickle.dumps(evil, protocol=2)}
        with pytest.raises(DataError, match=r"refused .*test_batch: not a batch .*posix.system"):
            prepare_cifar10(tmp_path / "out", as_tar(tmp_path / "s", files))
    assert not Path("/tmp/bitcodes-was-here").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({}, "not a batch of CIFAR-10"),
        ([], "not a batch of CIFAR-10"),
        ({b"data": np.zeros((10, 5), np.uint8), b"labels": [0] * 10}, r"found uint8 \(10, 5\)"),
        ({b"data": np.zeros((10, 3072)), b"labels": [0] * 10}, "found float64"),
        ({b"data": np.zeros((9, 3072), np.uint8), b"labels": [0] * 10}, r"found uint8 \(9, 3072\)"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, "labels from 0 to 9"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [b"a", b"b"]}, "numbers as labels"),
    ],
)
def test_strange_batches_are_refused(batch: object, reason: str, tmp_path: Path) -> None:
    files = batches() | {"cifar-10-batches-py/test_batch": pickle.dumps(batch, protocol=2)}
    with pytest.raises(DataError, match=reason):
        prepare_cifar10(tmp_path / "out", as_tar(tmp_path / "s", files))


def test_a_batch_that_is_missing_or_cut_short(tmp_path: Path) -> None:
    files = batches()
    batch = files.pop("cifar-10-batches-py/data_batch_3")
    with pytest.raises(DataError, match="incomplete, it lacks data_batch_3"):
        prepare_cifar10(tmp_path / "out", as_tar(tmp_path / "s", files))
    files["cifar-10-batches-py/data_batch_3"] = batch[:-100]
    with pytest.raises(DataError, match=r"refused .*data_batch_3: not a batch"):
        prepare_cifar10(tmp_path / "out", as_tar(tmp_path / "s", files))


def test_thulabs_lists_are_kept(tmp_path: Path) -> None:
    done = prepare_cifar10(tmp_path / "out", as_zip(tmp_path / "s.zip", thulab(), "cifar10/"))
    assert done.description["protocol"] == "own lists"
    dataset = read_dataset(tmp_path / "out")
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [20, 20, 30]
    assert dataset.train.paths[:2] == ["train/00000.jpg", "train/00001.jpg"]
    assert dataset.class_names == CLASSES
    assert dataset.test.absolute_path(3).read_bytes() == b"test/00003.jpg"


def test_thulabs_images_in_another_protocol(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "s", thulab())
    prepare_cifar10(tmp_path / "full", source, "full")
    dataset = read_dataset(tmp_path / "full")
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [50, 20, 50]
    classes = single_labels(dataset.train.labels)  # type: ignore[arg-type]
    assert classes is not None
    assert all(
        int(path[6:11]) % 10 == c for path, c in zip(dataset.train.paths, classes, strict=True)
    )
    prepare_cifar10(tmp_path / "low", source, "low-data-54k")
    assert len(read_dataset(tmp_path / "low").database) == 20


def test_a_folder_in_thulabs_layout_is_prepared_where_it_is(tmp_path: Path) -> None:
    out = as_folder(tmp_path / "out", thulab())
    with pytest.raises(DataError, match="not there: 20 of"):  # the lists name another folder
        read_dataset(out)
    assert prepare_cifar10(out, out).state == "new"
    assert len(read_dataset(out).train) == 20
    assert prepare_cifar10(out, out).state == "unchanged"


def test_class_folders_are_prepared_where_they_are(tmp_path: Path) -> None:
    out = as_folder(tmp_path / "out", images())
    assert prepare_cifar10(out, out).state == "new"
    assert len(read_dataset(out).train) == 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_prepared_folder_is_a_source(tmp_path: Path) -> None:
    prepare_cifar10(tmp_path / "a", as_folder(tmp_path / "s", images()), "low-data", seed=3)
    same = prepare_cifar10(tmp_path / "b", tmp_path / "a")
    assert (same.description["protocol"], same.description["seed"]) == ("low-data", 3)
    assert (tmp_path / "a/test.txt").read_text() == (tmp_path / "b/test.txt").read_text()
    other = prepare_cifar10(tmp_path / "c", tmp_path / "a", "full")
    assert other.description["counts"]["test"] == 20


def test_running_it_again(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "s", images())
    out = tmp_path / "out"
    prepare_cifar10(out, source, "low-data")
    assert prepare_cifar10(out, source, "low-data").state == "unchanged"
    assert prepare_cifar10(out).state == "unchanged"  # and nothing is downloaded
    with pytest.raises(DataError, match=r"protocol 'low-data', not 'full'; for another division"):
        prepare_cifar10(out, source, "full")
    with pytest.raises(DataError, match="seed 0, not 1"):
        prepare_cifar10(out, source, seed=1)


def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "s", images())

    def interrupt(done: int, _: int | None) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_cifar10(tmp_path / "out", source, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert prepare_cifar10(tmp_path / "out", source).state == "new"


def test_sources_that_are_not_complete_or_not_cifar10(tmp_path: Path) -> None:
    def fails(files: dict[str, bytes], protocol: cifar10.Protocol | None = None) -> str:
        with pytest.raises(DataError) as caught:
            prepare_cifar10(tmp_path / "out", as_zip(tmp_path / "s.zip", files), protocol)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    files = images()
    del files["train/cat/0003.jpg"]
    assert "expected 5 images of the class cat in train/, found 4" in fails(files)
    pets = {path.replace("horse", "hamster"): content for path, content in images().items()}
    assert "hamster" in fails(pets)
    assert "`bitcodes prepare folder`" in fails(pets)
    assert "found neither" in fails({"notes.txt": b"hello"})
    two = {f"{prefix}/{path}": content for path, content in images().items() for prefix in "ab"}
    assert "expected one folder with train/ and test/, found a and b" in fails(two)
    files = thulab()
    files["train.txt"] += b"train/99999.jpg 1 0 0 0 0 0 0 0 0 0\n"
    assert "not in the source: 1 of 21 images (such as 'train/99999.jpg')" in fails(files)
    files = thulab()
    files["test.txt"] = files["train.txt"]
    assert "in both test.txt and train.txt" in fails(files)
    damaged = thulab() | {"dataset.json": b"{"}
    assert "s.zip/dataset.json: is not valid JSON" in fails(damaged)
    del files["database.txt"]
    assert "in no list and so without a class" in fails(files)
    files = {path: content for path, content in thulab().items() if not path.endswith("txt")}
    assert "expected the class folders airplane, " in fails(files)


def test_a_source_with_an_image_twice(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for _ in range(2):
            entry = tarfile.TarInfo("train/cat/1.jpg")
            archive.addfile(entry)
    with pytest.raises(DataError, match=r"train/cat/1.jpg occurs twice"):
        prepare_cifar10(tmp_path / "out", tmp_path / "s.tar")


@pytest.mark.posix
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["train/cat/" + "a" * 300 + ".jpg"], "its name is too long"),
        (["train/" + "a/" * 3000 + "a.jpg"], "its name is too long"),
        (["train/cat.jpg", "train/cat.jpg/a.jpg"], "cannot be written|occurs twice"),
    ],
)
def test_names_that_no_folder_can_have(names: list[str], reason: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(DataError, match=reason):
        prepare_cifar10(tmp_path / "out", tmp_path / "s.tar")


def test_downloads_go_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import utils

    def fetch(url: str, root: Path, filename: str, md5: str) -> None:
        assert url == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
        assert md5 == "c58f30108f718f92721af3b95e74349a"
        Path(root).mkdir(parents=True, exist_ok=True)
        as_tar(Path(root) / filename, images())

    monkeypatch.setattr(utils, "download_url", fetch)
    monkeypatch.chdir(tmp_path)
    prepare_cifar10("data/cifar10")  # the default: data is made
    # The archive is kept beside it, for other protocols.
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == ["cifar-10-python.tar.gz", "cifar10"]

    def fail(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(utils, "download_url", fail)
    with pytest.raises(DataError, match=r"no network.*--source cifar-10-python.tar.gz"):
        prepare_cifar10(tmp_path / "other")


def test_an_unknown_protocol(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found 'tiny'"):
        prepare_cifar10(tmp_path, tmp_path, "tiny")  # type: ignore[arg-type]


@pytest.mark.skipif("BITCODES_DATA" not in os.environ, reason="BITCODES_DATA is not set")
def test_the_real_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All names of the real archive are read, but only the first images of each class prepared."""
    monkeypatch.setattr(cifar10, "PER_CLASS", {"train": 20, "test": 5})
    numbers: Counter[tuple[str, ...]] = Counter()
    some = {}
    for member in members(Path(os.environ["BITCODES_DATA"]) / "cifar10-images.tar.xz"):
        kind = member.path.parts[-3:-1]
        numbers[kind] += 1
        if kind[0] in cifar10.PER_CLASS and numbers[kind] <= cifar10.PER_CLASS[kind[0]]:
            some[str(member.path)] = member.read()
    assert numbers == {
        **{("train", name): 5000 for name in CLASSES},
        **{("test", name): 1000 for name in CLASSES},
    }
    prepare_cifar10(tmp_path / "out", as_tar(tmp_path / "some.tar.xz", some))
    dataset = read_dataset(tmp_path / "out")
    assert [len(dataset.train), len(dataset.test)] == [200, 50]
    assert Image.open(dataset.train.absolute_path(0)).size == (32, 32)
