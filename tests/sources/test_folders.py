"""The files of a folder."""

import os
from pathlib import Path

import pytest
from hostile import find_images, make_hostile_folder, picture, saved

from bitcodes.errors import DataError
from bitcodes.images.camera_raw import RAW_SUFFIXES
from bitcodes.images.formats import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES
from bitcodes.sources import folders, left_out
from bitcodes.sources.folders import walk_files
from bitcodes.sources.left_out import LeftOut
from bitcodes.sources.source import open_stream
from bitcodes.sources.system_names import is_system_path


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


SYSTEM = ("@eaDir", "__MACOSX", ".thumbnails", "$RECYCLE.BIN", "#recycle", ".Trash-1000", ".git")
OTHER_MAKERS = (
    *(".@__thumb", "@Recycle", "@Recently-Snapshot", ".dtrash", ".picasaoriginals", ".recycle"),
    *("~snapshot", "RECYCLER", "Recycled", "FOUND.000", "LOST.DIR", "Network Trash Folder"),
    *("Temporary Items", "Archive Previews.lrdata", "Archive Smart Previews.lrdata", "@sharebin"),
)


@pytest.fixture
def as_it_is(tmp_path: Path) -> Path:
    """A folder with files of systems, and pictures of kinds that nothing here reads."""
    for name in ("a.jpg", "b/c.jpg", "._a.jpg", "b/.DS_Store", "b/Thumbs.db", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder in SYSTEM:
        (tmp_path / "b" / folder).mkdir()
        (tmp_path / "b" / folder / "thumb.jpg").touch()
    for name in ("x.svg", "y.SVG", "z.psb"):
        (tmp_path / name).touch()
    return tmp_path


def test_files_of_systems_are_left_out_and_counted(as_it_is: Path) -> None:
    counts = LeftOut()
    found = [path for path, is_image in walk_files(str(as_it_is), left_out=counts) if is_image]
    assert found == ["a.jpg", "b/c.jpg"]
    assert counts.folders.total() == len(SYSTEM)
    assert counts.files == 1  # ._a.jpg; the others are not named like images
    assert counts.unsupported == {".svg": 2, ".psb": 1}
    words = counts.describe()
    assert words.startswith("left out: 7 system folders (")
    assert "; 1 hidden image, which --all-files takes; 3 pictures of kinds that are" in words
    assert words.endswith("not supported (2 .svg, 1 .psb)")


def test_all_files_are_taken_if_asked_for(as_it_is: Path) -> None:
    counts = LeftOut()
    found = [path for path, is_image in walk_files(str(as_it_is), True, counts) if is_image]
    thumbnails = {f"b/{folder}/thumb.jpg" for folder in SYSTEM}
    assert set(found) == {"a.jpg", "b/c.jpg", "._a.jpg"} | thumbnails
    assert counts.describe() == (
        "left out: 3 pictures of kinds that are not supported (2 .svg, 1 .psb)"
    )


def test_nothing_left_out_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    counts = LeftOut()
    list(walk_files(str(tmp_path), left_out=counts))
    assert counts.describe() == ""


def test_a_folder_of_nothing_else_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "IMAGE_SUFFIXES", IMAGE_SUFFIXES - RAW_SUFFIXES)
    monkeypatch.setattr(left_out, "UNSUPPORTED_SUFFIXES", UNSUPPORTED_SUFFIXES | RAW_SUFFIXES)
    (tmp_path / "DSC_1.NEF").touch()
    with pytest.raises(DataError, match=r"no images .*1 .nef; for camera RAW: pip install 'bitcod"):
        open_stream([str(tmp_path)])


@pytest.mark.parametrize("name", OTHER_MAKERS)
def test_folders_of_other_makers_are_left_out(name: str, tmp_path: Path) -> None:
    for path in (f"{name}/thumb.jpg", f"b/{name}/thumb.jpg", "b/a.jpg", "found.jpg", "lost.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert find_images(tmp_path) == ["b/a.jpg", "found.jpg", "lost.jpg"]
    assert is_system_path(f"./b/{name}/thumb.jpg")
    assert not is_system_path("./b/../a.jpg")


def test_a_library_of_apple_has_its_originals_alone(tmp_path: Path) -> None:
    library = tmp_path / "Photos Library.photoslibrary"
    for path in ("originals/1/a.heic", "resources/derivatives/1/a.jpg", "database/b.jpg"):
        (library / path).parent.mkdir(parents=True)
        (library / path).touch()
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/c.jpg").touch()
    originals = "Photos Library.photoslibrary/originals/1/a.heic"
    assert find_images(tmp_path) == [originals, "resources/c.jpg"]
    assert find_images(library) == ["originals/1/a.heic"]


def test_images_without_an_image_suffix_are_counted(tmp_path: Path) -> None:
    jpeg, png = saved(picture(), "JPEG"), saved(picture(), "PNG")
    names = ("IMG_1", "b/IMG_2", "c.jpg~", "d.JPG_original", "e.jpeg?w=90", "f.png.1")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png if "png" in name else jpeg)
    for name in ("README", "Makefile", "x.jpg~", "a.txt"):
        (tmp_path / name).write_text("BM P6 words")
    (tmp_path / "a.bin").write_bytes(jpeg)
    counts = LeftOut()
    paths = [path for path, is_image in walk_files(str(tmp_path), left_out=counts) if is_image]
    assert paths == []
    assert counts.unnamed == 6
    told = "left out: 6 images without an image's suffix, which --all-files takes"
    assert counts.describe() == told
    with pytest.raises(DataError, match=f"no images .*{told}"):
        open_stream([str(tmp_path)])
    counts = LeftOut()
    found = [path for path, is_image in walk_files(str(tmp_path), True, counts) if is_image]
    assert sorted(found) == sorted(names)
    assert counts.describe() == ""


@pytest.mark.posix
def test_pipes_without_a_suffix_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_images(tmp_path) == []
