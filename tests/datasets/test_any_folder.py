"""What a folder gives to training: lists, classes, dates, or images without classes."""

from pathlib import Path
from typing import Any

import pytest
from small import make_dataset

from bitcodes.datasets.any_folder import Contents, contents, describe_classes, fit_to_data
from bitcodes.errors import DataError
from bitcodes.settings import Settings


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def settings(data: Path, **values: Any) -> Settings:
    return Settings.build({"data": data, **values})


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["cat/1.jpg", "dog/1.jpg"], Contents.CLASSES),
        (["cat/a/1.jpg", "dog/b/1.jpg", "notes.txt", ".hidden.jpg"], Contents.CLASSES),
        (["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg"], Contents.CLASSES),
        (["1.jpg", "2.png"], Contents.IMAGES),
        (["cat/1.jpg", "dog/1.jpg", "3.JPG"], Contents.IMAGES),
        (["only/1.jpg"], Contents.IMAGES),
        (["2010/1.jpg", "2011/1.jpg"], Contents.DATES),
        (["2010-05/1.jpg", "2010-05-23/1.jpg", "20110102/1.jpg"], Contents.DATES),
        (["2010/1.jpg", "pets/1.jpg"], Contents.CLASSES),
        (["0/1.jpg", "1/1.jpg"], Contents.CLASSES),
        (["3010/1.jpg", "201/1.jpg"], Contents.CLASSES),
        ([], Contents.IMAGES),
    ],
)
def test_what_lies_in_a_folder(names: list[str], kind: Contents, tmp_path: Path) -> None:
    assert contents(touch(tmp_path, *names)) == kind


def test_lists_come_first_and_must_be_complete(tmp_path: Path) -> None:
    data = touch(make_dataset(tmp_path / "d"), "cat/1.jpg", "dog/1.jpg")
    assert contents(data) == Contents.LISTS
    (data / "test.txt").unlink()
    with pytest.raises(DataError, match=r"has no test\.txt"):
        contents(data)
    with pytest.raises(DataError, match="there is no data folder"):
        contents(tmp_path / "gone")


def test_images_without_classes_are_fitted_without_labels(tmp_path: Path) -> None:
    photos = touch(tmp_path / "My Photos", "1.jpg")
    chosen, note = fit_to_data(settings(photos))
    assert (chosen.loss, chosen.bits) == ("itq", 128)
    assert note == (
        f"{photos} has no class folders, so its images are fitted without labels (--loss itq)"
    )
    assert fit_to_data(chosen) == (chosen, None)
    assert fit_to_data(settings(photos, bits=32))[0].bits == 32
    assert fit_to_data(settings(photos, loss="lsh")) == (
        settings(photos, loss="lsh", bits=128, instance_bits=0),
        None,
    )
    with pytest.raises(DataError, match="no class folders, and loss 'csq' needs labels"):
        fit_to_data(settings(photos, loss="csq"))


def test_albums_by_date_are_classes_only_if_one_says_so(tmp_path: Path) -> None:
    albums = touch(tmp_path / "a", "2010/1.jpg", "2011/1.jpg")
    chosen, note = fit_to_data(settings(albums))
    assert chosen.loss == "itq"
    assert note is not None
    assert "are dates (2010, 2011)" in note and note.endswith("if they are classes: --loss csq")
    trained = settings(albums, loss="csq")
    assert fit_to_data(trained) == (trained, None)


def test_classes_are_trained_on(tmp_path: Path) -> None:
    pets = touch(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg")
    assert fit_to_data(settings(pets)) == (settings(pets), None)
    assert describe_classes(pets, ["cat", "dog"], Path("l")) == (
        f"classes: cat, dog (the folders in {pets}); to fit without them: --loss itq",
        "10% of each are kept as queries for `bitcodes evaluate`; the others are trained on and "
        "searched; the lists are in l",
    )
    names = [f"c{number}" for number in range(20)]
    first, _ = describe_classes(pets, names, Path("l"))
    assert first.startswith("classes: c0, c1, c2, c3, c4, c5, c6, c7 and 12 more (")


def test_a_folder_around_class_folders_is_seen_through(tmp_path: Path) -> None:
    touch(tmp_path / "x", "my pets/cat/1.jpg", "my pets/dog/1.jpg")
    with pytest.raises(DataError, match=r"did you mean --data '.*/x/my pets'") as caught:
        fit_to_data(settings(tmp_path / "x"))
    assert str(caught.value).endswith("without labels: --loss itq")
