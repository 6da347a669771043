"""The files of a folder."""

import os
from pathlib import Path

import pytest
from hostile import find_images, make_hostile_folder

from bitcodes.errors import DataError
from bitcodes.sources.folders import walk_files


def test_images_of_a_folder_are_found_and_sorted(here: Path) -> None:
    assert find_images(here / "images") == ["a.JPG", "b.png", "sub/c.jpeg", "sub/deep/d.tiff"]
    others = [path for path, is_image in walk_files("images") if not is_image]
    assert others == ["notes.md"]


@pytest.mark.posix
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


@pytest.mark.posix
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


def test_paths_come_in_their_order_where_folders_are_named_like_files(tmp_path: Path) -> None:
    for name in ("a/z.png", "a.png", "a-b/c.png", "a0/c.png", "A.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == ["A.png", "a-b/c.png", "a.png", "a/z.png", "a0/c.png"]
