"""What can be named to be encoded."""

import os
from pathlib import Path

import pytest
from hostile import make_hostile_folder

from bitcodes.data.sources import find_images, open_source, walk_images
from bitcodes.errors import DataError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "sub/c.jpeg", "sub/deep/d.tiff", "notes.md", ".hidden.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    (tmp_path / "list.txt").write_text("images/b.png 1 0\nimages/sub/c.jpeg 0 1\n")
    return tmp_path


def test_images_of_a_folder_are_found_and_sorted(here: Path) -> None:
    assert find_images(here / "images") == ["a.JPG", "b.png", "sub/c.jpeg", "sub/deep/d.tiff"]
    assert walk_images(here / "images")[1] == ["notes.md"]


def test_links_are_followed_but_not_in_circles(here: Path) -> None:
    (here / "images/sub/up").symlink_to("..")
    (here / "images/again").symlink_to("sub")
    (here / "images/self").symlink_to("self")
    (here / "elsewhere").mkdir()
    (here / "elsewhere/e.png").touch()
    (here / "images/other").symlink_to(here / "elsewhere")
    assert find_images(here / "images") == [
        *("a.JPG", "b.png", "other/e.png", "sub/c.jpeg", "sub/deep/d.tiff")
    ]


def test_what_cannot_be_read_is_found_too_so_that_it_can_be_explained(tmp_path: Path) -> None:
    assert set(make_hostile_folder(tmp_path)) == set(find_images(tmp_path))


def test_a_subfolder_that_cannot_be_listed_stands_for_itself(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_images(here / "images") == ["a.JPG", "b.png", "sub/c.jpeg", "sub/deep"]
    with pytest.raises(DataError, match=r"cannot read the folder .*Permission denied"):
        find_images(here / "images/sub/deep")


def test_a_folder(here: Path) -> None:
    images = open_source(["images"])
    assert images.root == here / "images"
    assert images.paths[2] == "sub/c.jpeg"
    assert images.labels is None


def test_a_list(here: Path) -> None:
    images = open_source(["list.txt"])
    assert images.root == here
    assert images.paths == ["images/b.png", "images/sub/c.jpeg"]
    assert images.labels is not None
    (here / "elsewhere").mkdir()
    (here / "list.txt").rename(here / "elsewhere/list.lst")
    with pytest.raises(DataError, match="2 of 2 images are not there"):
        open_source(["elsewhere/list.lst"])
    assert open_source(["elsewhere/list.lst"], root=Path()).paths == images.paths


def test_images_keep_the_order_they_are_named_in(here: Path) -> None:
    images = open_source(["images/b.png", f"{here}/images/a.JPG"])
    assert images.root == here
    assert images.paths == ["images/b.png", "images/a.JPG"]
    single = open_source(["images/b.png"])
    assert (single.root, single.paths) == (here, ["images/b.png"])


def test_images_outside_the_root_stay_absolute(here: Path) -> None:
    images = open_source(["images/b.png", "images/sub"], root=here / "images/sub")
    assert images.paths == [f"{here}/images/b.png", "c.jpeg", "deep/d.tiff"]
    assert images.absolute_path(0) == here / "images/b.png"


def test_standard_input(here: Path) -> None:
    images = open_source(["-"], stdin=b"images/b.png\nimages/sub/c.jpeg\n")
    assert images.root == here
    assert images.paths == ["images/b.png", "images/sub/c.jpeg"]
    assert images.labels is None
    with pytest.raises(DataError, match="standard input: 1 of 1 images are not there"):
        open_source(["-"], stdin=b"gone.png\n")
    with pytest.raises(DataError, match="standard input: the list is empty"):
        open_source(["-"], stdin=b"")


def test_labels_of_several_lists_are_put_together(here: Path) -> None:
    (here / "more.txt").write_text("images/a.JPG 1 1\n")
    images = open_source(["list.txt", "more.txt"])
    assert images.paths == ["images/b.png", "images/sub/c.jpeg", "images/a.JPG"]
    assert images.labels is not None
    assert images.labels.tolist() == [[1, 0], [0, 1], [1, 1]]
    with pytest.raises(DataError, match=r"'list.txt' has 2, 'images' has none"):
        open_source(["list.txt", "images"])


def test_class_names_are_kept_where_all_agree(here: Path) -> None:
    (here / "dataset.json").write_text('{"class_names": ["cat", "dog"]}')
    assert open_source(["list.txt"]).class_names == ("cat", "dog")
    assert open_source(["list.txt", "list.txt"]).class_names == ("cat", "dog")


def test_what_is_not_there(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(DataError, match=r"no such file or folder: 'gone.png'"):
        open_source(["gone.png"])
    with pytest.raises(DataError, match=r"no images in the folder 'empty' \(looked for .avif"):
        open_source(["empty"])
    with pytest.raises(DataError, match="no images named"):
        open_source([])
    (here / "broken.png").symlink_to("gone.png")
    assert open_source(["broken.png"]).paths == ["broken.png"]  # reading it will say why not
