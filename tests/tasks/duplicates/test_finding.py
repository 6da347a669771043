"""Groups of near-duplicates are groups of files, and nothing advises deleting the only copy."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError, ConfigError
from bitcodes.tasks.duplicates.finding import find_duplicates
from bitcodes.tasks.duplicates.groups import Duplicates


def pictures(folder: Path, **sides: int) -> None:
    for name, side in sides.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(file, "PNG")


def duplicates(root: Path | None, *paths: str, keep=None) -> Duplicates:
    """Those among images that all have one code."""
    codes = np.zeros((len(paths), 2), np.uint8)
    return find_duplicates(CodeSet.from_arrays(codes, 16, paths, root=root), keep=keep)


def groups(result: Duplicates) -> list[list[str]]:
    return [[image.path for image in group] for group in result.groups]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_and_its_target_are_one_file(tmp_path: Path, make) -> None:
    pictures(tmp_path, b=3)
    make(tmp_path / "b", tmp_path / "a")
    result = duplicates(tmp_path, "a", "b")
    assert groups(result) == []
    assert len(result.notes) == 1 and "counted once" in result.notes[0]
    pictures(tmp_path, c=3)
    result = duplicates(tmp_path, "a", "b", "c")
    kept = "b" if make is os.symlink else "a"
    assert groups(result) == [[kept, "c"]]


def test_a_file_under_two_paths_is_one_file(tmp_path: Path) -> None:
    pictures(tmp_path, a=3, x__y=1)
    result = duplicates(tmp_path, "a", "x/../a", "a")
    assert groups(result) == []
    assert "2 paths lead to a file that another path leads to" in result.notes[0]


def test_what_is_gone_is_neither_kept_nor_a_reason_to_delete(tmp_path: Path) -> None:
    pictures(tmp_path, b=3, c=3)
    for keep in ("first", "largest", None):
        result = duplicates(tmp_path, "a", "b", keep=keep)
        assert groups(result) == []
        assert result.notes == (
            "1 image of groups left out: no longer there ('a'); `bitcodes encode` brings the set "
            "up to date",
        )
        assert groups(duplicates(tmp_path, "a", "b", "c", keep=keep)) == [["b", "c"]]


def test_images_of_other_folders_count_where_that_of_the_set_is_gone(tmp_path: Path) -> None:
    """A set of one folder, to which another was appended."""
    pictures(tmp_path, there__b=3, there__c=2)
    gone, there = tmp_path / "gone", tmp_path / "there"
    result = duplicates(gone, "a", str(there / "b"))
    assert groups(result) == [] and "no longer there ('a')" in result.notes[0]
    result = duplicates(gone, "a", str(there / "b"), str(there / "c"))
    assert groups(result) == [[str(there / "b"), str(there / "c")]]

    result = duplicates(gone, "a", "b")
    assert groups(result) == [["a", "b"]]
    assert result.notes == (
        f"{gone} is not there, so it is not known which of these images still are: look before "
        "you remove any",
    )


def test_a_thumbnail_of_the_system_is_not_kept(tmp_path: Path) -> None:
    pictures(tmp_path, **{"@eaDir__x.jpg": 3, "photos__x.jpg": 3})
    result = duplicates(tmp_path, "@eaDir/x.jpg", "photos/x.jpg")
    assert groups(result) == [["photos/x.jpg", "@eaDir/x.jpg"]]


def test_sizes_that_are_unknown_are_not_compared(tmp_path: Path) -> None:
    pictures(tmp_path, a=3, c=9)
    (tmp_path / "b").write_bytes(b"damaged")
    assert groups(duplicates(tmp_path, "a", "c", keep="largest")) == [["c", "a"]]
    result = duplicates(tmp_path, "a", "b", "c", keep="largest")
    assert groups(result) == [["a", "b", "c"]]
    assert result.notes == (
        "1 group with an image whose size is unknown ('b'): there the first by path is kept, not "
        "the largest",
    )


@pytest.mark.parametrize("name", ["z.zip", "z.tar", "z.tar.gz"])
def test_images_in_an_archive_are_measured_there(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "files"
    pictures(folder, **{"a__x.png": 3, "b__x.png": 9, "c__x.png": 5})
    shutil.make_archive(
        str(tmp_path / "z"), {"gz": "gztar"}.get(name[-2:], name[-3:]), root_dir=folder
    )
    paths = ("a/x.png", "b/x.png", "c/x.png")
    result = duplicates(tmp_path / name, *paths)
    assert groups(result) == [["b/x.png", "a/x.png", "c/x.png"]]
    assert result.notes == ()
    # The same beside files, with the archive as a folder: a copy outside of it may be the largest.
    pictures(tmp_path, copy=20)
    result = duplicates(tmp_path, *(f"{name}/{path}" for path in paths), "copy", f"{name}/gone.png")
    assert groups(result) == [["copy", f"{name}/a/x.png", f"{name}/b/x.png", f"{name}/c/x.png"]]
    assert len(result.notes) == 1 and "1 image of groups left out: no longer" in result.notes[0]
    assert groups(duplicates(tmp_path, f"{name}/a/x.png", f"{name}/b/x.png")) == [
        [f"{name}/b/x.png", f"{name}/a/x.png"]
    ]


def test_the_best_has_most_pixels_then_most_bytes_then_the_first_path(tmp_path: Path) -> None:
    pictures(tmp_path, a=3, b=9, c=9, d=9)
    with (tmp_path / "c").open("ab") as file:
        file.write(bytes(100))
    assert groups(duplicates(tmp_path, "a", "b", "c", "d")) == [["c", "a", "b", "d"]]
    assert groups(duplicates(tmp_path, "a", "b", "d")) == [["b", "a", "d"]]
    assert groups(duplicates(tmp_path, "a", "b", "c", "d", keep="first")) == [["a", "b", "c", "d"]]
    result = duplicates(tmp_path, "a", "b")
    assert result.keep == "largest"
    assert result.describe().endswith("keep: most pixels, then most bytes, then first by path")
    assert duplicates(tmp_path, "a", "b", keep="first").describe().endswith("first by path")


def test_an_unknown_size_is_never_guessed(tmp_path: Path) -> None:
    result = duplicates(None, "b", "a")
    assert (result.keep, groups(result), result.notes) == ("first", [["a", "b"]], ())
    with pytest.raises(CodeSetError, match="--keep first"):
        duplicates(None, "a", "b", keep="largest")


def test_without_the_images_rows_are_groups(tmp_path: Path) -> None:
    assert groups(duplicates(None, "a", "b")) == [["a", "b"]]
    assert groups(duplicates(tmp_path / "elsewhere", "a", "b")) == [["a", "b"]]


def test_a_star_ends_at_the_radius_and_a_chain_does_not() -> None:
    # Codes 0000, 0001, 0011, 0111: each a bit from the next. The first by path, c, is the second.
    codes = np.array([[0x00], [0x10], [0x30], [0x70]], np.uint8)
    code_set = CodeSet.from_arrays(codes, 4, ["d", "c", "f", "e"])
    star = find_duplicates(code_set, 1)
    assert [[(i.path, i.distance, i.distances) for i in group] for group in star.groups] == [
        [("c", 0, ()), ("d", 1, (1,)), ("f", 1, (1, 2))]  # e is two bits from c
    ]
    assert "1 group within distance 1 of the image to keep: 2 duplicates" in star.describe()
    assert groups(find_duplicates(code_set, 1, linkage="complete")) == [["c", "d"], ["e", "f"]]
    chain = find_duplicates(code_set, 1, linkage="chain")
    assert [(i.path, i.distance) for i in chain.groups[0]] == [
        *(("c", 0), ("d", 1), ("f", 1), ("e", 2))
    ]


def test_groups_that_are_too_large_are_left_out() -> None:
    codes = np.array([[0], [0], [0], [255], [255]], np.uint8)
    code_set = CodeSet.from_arrays(codes, 8, list("abcde"))
    result = find_duplicates(code_set, 1, max_group=2)
    assert groups(result) == [["d", "e"]]
    assert result.notes == ("1 group of more than 2 images left out ('a' and 2 more)",)


def test_rules_count_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path, a=3, long__name=9, x__b=9)
    for place, name in enumerate(("x/b", "long/name", "a")):
        os.utime(tmp_path / name, (10**9 + place, 10**9 + place))
    for keep, expected in {
        "first": "a",
        "largest": "long/name",
        "largest,shortest-path": "x/b",
        "largest,oldest": "x/b",
        "shortest-path": "a",
        "oldest": "x/b",
        "folder:long": "long/name",
        "folder:none,folder:x,largest": "x/b",
    }.items():
        result = duplicates(tmp_path, "a", "long/name", "x/b", keep=keep)
        assert result.groups[0][0].path == expected, keep
    assert result.describe().endswith(
        "; keep: in none, then in x, then most pixels, then most bytes, then first by path"
    )


@pytest.mark.parametrize("keep", ["", "best", "largest,", "folder:", "largest, oldest"])
def test_other_rules_are_refused(keep: str) -> None:
    with pytest.raises(ConfigError, match=r"expected first, largest, .*; found "):
        duplicates(None, "a", "b", keep=keep or ",")
