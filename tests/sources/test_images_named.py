"""What can be named to be searched for, as a list in memory."""

import io
import tarfile
from pathlib import Path

import pytest

from bitcodes.errors import DataError
from bitcodes.sources.source import open_images


def test_a_folder(here: Path) -> None:
    images = open_images(["images"])
    assert images.root == here / "images"
    assert images.paths[2] == "sub/c.jpeg"
    assert images.labels is None


def test_a_list(here: Path) -> None:
    images = open_images(["list.txt"])
    assert images.root == here
    assert images.paths == ["images/b.png", "images/sub/c.jpeg"]
    assert images.labels is not None
    (here / "elsewhere").mkdir()
    (here / "list.txt").rename(here / "elsewhere/list.lst")
    with pytest.raises(DataError, match="not there: 2 of 2 images"):
        open_images(["elsewhere/list.lst"])
    assert open_images(["elsewhere/list.lst"], root=Path()).paths == images.paths


def test_images_keep_the_order_they_are_named_in(here: Path) -> None:
    images = open_images(["images/b.png", f"{here}/images/a.JPG"])
    assert images.root == here
    assert images.paths == ["images/b.png", "images/a.JPG"]
    single = open_images(["images/b.png"])
    assert (single.root, single.paths) == (here, ["images/b.png"])


def test_images_outside_the_root_stay_absolute(here: Path) -> None:
    images = open_images(["images/b.png", "images/sub"], root=here / "images/sub")
    assert images.paths == [f"{here}/images/b.png", "c.jpeg", "deep/d.tiff"]
    assert images.absolute_path(0) == here / "images/b.png"


def test_standard_input(here: Path) -> None:
    images = open_images(["-"], stdin=io.BytesIO(b"images/b.png\nimages/sub/c.jpeg\n"))
    assert images.root == here
    assert images.paths == ["images/b.png", "images/sub/c.jpeg"]
    assert images.labels is None
    with pytest.raises(DataError, match="standard input: not there: 1 of 1 image"):
        open_images(["-"], stdin=io.BytesIO(b"gone.png\n"))
    with pytest.raises(DataError, match="standard input: the list is empty"):
        open_images(["-"], stdin=io.BytesIO())


def test_labels_of_several_lists_are_put_together(here: Path) -> None:
    (here / "more.txt").write_text("images/a.JPG 1 1\n")
    images = open_images(["list.txt", "more.txt"])
    assert images.paths == ["images/b.png", "images/sub/c.jpeg", "images/a.JPG"]
    assert images.labels is not None
    assert images.labels.tolist() == [[1, 0], [0, 1], [1, 1]]
    with pytest.raises(DataError, match=r"'list.txt' has 2, 'images' has none"):
        open_images(["list.txt", "images"])


def test_class_names_are_kept_where_all_agree(here: Path) -> None:
    (here / "dataset.json").write_text('{"class_names": ["cat", "dog"]}')
    assert open_images(["list.txt"]).class_names == ("cat", "dog")
    assert open_images(["list.txt", "list.txt"]).class_names == ("cat", "dog")


@pytest.mark.posix
def test_what_is_not_there(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(DataError, match=r"no such file or folder: 'gone.png'"):
        open_images(["gone.png"])
    with pytest.raises(DataError, match=r"no images in the folder 'empty' \(looked for names"):
        open_images(["empty"])
    with pytest.raises(DataError, match="no images named"):
        open_images([])
    (here / "broken.png").symlink_to("gone.png")
    assert open_images(["broken.png"]).paths == ["broken.png"]  # reading it will say why not


def test_what_is_no_file_of_its_own_is_refused(here: Path) -> None:
    with tarfile.open("shard.tar", "w") as tar:
        tar.add("images/b.png")
    with pytest.raises(DataError, match=r"found an archive or a URL: 'images/b.png' is no file"):
        open_images(["shard.tar"])
