"""List files as users have them, and the errors that name the line."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.errors import DataError
from bitcodes.sources.description import read_description
from bitcodes.sources.lists import (
    ImageList,
    ListStream,
    file_lines,
    parse_list,
    read_list,
    single_labels,
    write_list,
)


def parse(text: str | bytes) -> ImageList:
    content = text.encode() if isinstance(text, str) else text
    return parse_list(content, "train.txt", Path("/data"))


def fails(text: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        parse(text)
    return str(caught.value)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_one_hot_and_multi_hot_lines() -> None:
    images = parse("/path/to/train/image1.png 1 0 0\nb.png 0 1 1\n")
    assert images.paths == ["/path/to/train/image1.png", "b.png"]
    assert images.labels is not None
    assert images.labels.dtype == np.uint8
    assert images.labels.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert images.absolute_path(0) == Path("/path/to/train/image1.png")
    assert images.absolute_path(1) == Path("/data/b.png")


def test_windows_line_ends_blank_lines_tabs_byte_order_mark_and_no_final_line_end() -> None:
    images = parse(b"\xef\xbb\xbf\r\na.png 1 0\r\n\r\n  b.png\t0\t1  \r\n \nc.png  1  1")
    assert images.paths == ["a.png", "b.png", "c.png"]
    assert images.labels is not None
    assert images.labels.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_paths_with_spaces_and_with_names_like_labels() -> None:
    usual = "".join(f"my photos/a {i}.png 1 0\n" for i in range(6))
    images = parse(usual + "photo 1 0 1\n1 1 0\n1 0 0 1\nx10 0 0 1\nphoto 10 1 0 1\n")
    assert images.paths[5:] == ["my photos/a 5.png", "photo 1", "1", "1 0", "x10 0", "photo 10 1"]
    assert images.labels is not None
    assert images.labels[5:, 1].tolist() == [0, 1, 0, 1, 1, 1]


def test_a_list_without_labels() -> None:
    images = parse("a.png\nphoto 1\nb c.jpg\n")
    assert images.paths == ["a.png", "photo 1", "b c.jpg"]
    assert images.labels is None
    assert images.class_names == ()


def test_paths_are_bytes_of_any_kind() -> None:
    images = parse(b"caf\xe9.png 1 0\nline\xe2\x80\xa8separator.png 0 1\n")
    assert os.fsencode(images.paths[0]) == b"caf\xe9.png"
    assert images.paths[1] == "line\u2028separator.png"


@pytest.mark.parametrize(
    ("text", "line", "expected", "found"),
    [
        ("a.png 1 0\nb.png 0 1\nc.png 1\n", 3, "expected 2 labels", "found 1: 'c.png 1'"),
        ("a.png 1 0\n\nb.png 0 1 1\nc.png 0 1\n", 3, "expected 2 labels", "found '0 1 1'"),
        ("a.png 1 0\nb.png 7\nc.png 0 1\n", 2, "expected 2 labels", "found '7'"),
        ("a.png 1 0\nb.png 0 2\nc.png 0 1\n", 2, "expected 2 labels", "found '0 2'"),
        ("a.png 1 0\nb.png\nc.png 0 1\n", 2, "expected 2 labels", "found 0: 'b.png'"),
        ("a.png 1 0\nb.png 1 0\n1 0\n", 3, "expected 2 labels", "found 1: '1 0'"),
        ("a.png 3 1\nb.png 7 1\n", 1, "expected 1 label, each 0 or 1", "found '3 1'"),
        ("a.png 3\nb.png 7\nc 1.png\n", 1, "expected no labels, or labels", "found '3'"),
        ("a.png,3\nb.png;7\nc.png 1 0\n", 1, "expected no labels, or labels", "found '3'"),
        ('"a.png" 1 0\n"b.png" 0 1\n"c.png" 1 2\n', 3, "expected 2 labels", "found '1 2'"),
        ("a.png 1 0\nb.png 0 1\n#c.png 1\n", 3, "expected 2 labels", "found 1"),
        ("a.png 1 0\rb.png 0 1\r", 1, "expected one path", "a carriage return within"),
        ("a.jpg cat\n", 1, "expected no labels", "found 'cat'"),
        ("a.jpg,0,1\nb.JPG 0,1\n", 2, "0 or 1", "found '0,1'"),
        ("a.png\nb\0.png\n", 2, "expected text", "found a zero byte"),
    ],
)
def test_a_wrong_line_is_named(text: str, line: int, expected: str, found: str) -> None:
    message = fails(text)
    assert message.startswith(f"train.txt, line {line}: ")
    assert expected in message
    assert found in message


def test_what_is_no_list() -> None:
    assert "the list is empty" in fails("\n \r\n")
    assert "found UTF-16" in fails("a.png 1 0\n".encode("utf-16"))


@pytest.mark.posix
def test_images_that_are_not_there_are_named_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "sub/b.png", "list of images.txt")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    file = tmp_path / "list.txt"
    file.write_text("a.png 1 0\nsub/b.png 0 1\n")
    assert len(read_list(file)) == 2
    lines = ["a.png", "x.png", "folder.png", "broken.png", "gone/y.png", f"{tmp_path}/z.png"]
    file.write_text("".join(f"{line} 1 0\n" for line in lines))
    with pytest.raises(DataError) as caught:
        read_list(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: not there: 5 of 6 images (line 2: 'x.png'; line 3: ")
    assert "broken.png', ...)" in message
    assert f"Relative paths are taken from {tmp_path}" in message
    assert len(read_list(file, check_exists=False)) == 6


def test_one_missing_image_of_a_long_list(tmp_path: Path) -> None:
    names = [f"images/{i:05}.png" for i in range(3000)]
    touch(tmp_path, *names)
    (tmp_path / "list.txt").write_text("".join(f"{name} 1 0\n" for name in names))
    assert len(read_list(tmp_path / "list.txt")) == 3000
    (tmp_path / names[1234]).unlink()
    with pytest.raises(DataError, match=r"1 of 3,000 .*line 1235: 'images/01234.png'"):
        read_list(tmp_path / "list.txt")


def test_the_root_of_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "images/a.png")
    (tmp_path / "lists").mkdir()
    file = tmp_path / "lists/train.txt"
    file.write_text("images/a.png 1 0\n")
    images = read_list(file, root=tmp_path)
    assert images.absolute_path(0) == tmp_path / "images/a.png"
    with pytest.raises(DataError, match=f"this one lies under {tmp_path}: "):
        read_list(file)
    monkeypatch.chdir(tmp_path)
    assert read_list(Path("lists/train.txt"), root=Path()).root == tmp_path  # always absolute


def test_a_line_in_another_encoding_is_suspected(tmp_path: Path) -> None:
    touch(tmp_path, "café.png")
    file = tmp_path / "list.txt"
    file.write_bytes("café.png 1 0\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"'caf\\\\xe9.png'.*not UTF-8"):
        read_list(file)


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the list file .*No such file"):
        read_list(tmp_path / "gone.txt")


def test_class_names_from_the_description_beside_the_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"class_names": ["cat", "dog"]}))
    file = tmp_path / "train.txt"
    file.write_text("a.png 0 1\n")
    assert read_list(file).class_names == ("cat", "dog")
    file.write_text("a.png 0 1 0\n")
    with pytest.raises(DataError, match=r"expected 2 labels per line.* dataset.json .* found 3"):
        read_list(file)


def test_class_names_from_folders_that_agree_with_the_labels() -> None:
    assert parse("x/cat/1.png 1 0\nx/dog/1.png 0 1\ny/cat/2.png 1 0\n").class_names == (
        "cat",
        "dog",
    )
    assert parse("x/cat/1.png 1 0\nx/dog/1.png 0 1\nx/cow/2.png 1 0\n").class_names == ()
    assert parse("x/pet/1.png 1 0\nx/pet/1.png 0 1\n").class_names == ()  # one folder, two classes
    assert parse("x/cat/1.png 1 0 0\nx/dog/1.png 0 1 0\n").class_names == ()  # the third is unknown
    assert parse("x/cat/1.png 1 1\nx/dog/1.png 0 1\n").class_names == ()  # multi-hot
    assert parse("1.png 1 0\n2.png 0 1\n").class_names == ()


def test_single_labels() -> None:
    found = single_labels(np.array([[0, 0, 1], [1, 0, 0]], np.uint8))
    assert found is not None
    assert found.dtype == np.int32
    assert found.tolist() == [2, 0]
    assert single_labels(np.array([[0, 1, 1], [1, 0, 0]], np.uint8)) is None
    assert single_labels(np.array([[0, 0, 0], [1, 0, 0]], np.uint8)) is None
    # 257 ones are not one, though they are in eight bits.
    assert single_labels(np.ones((1, 257), np.uint8)) is None


PATHS = st.text(
    st.characters(exclude_characters="\0\n\r", exclude_categories=("Cs",)), min_size=1, max_size=20
).map(lambda text: f"x{text}.png")


@settings(deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=8), st.integers(0, 5), st.integers(0, 2**32))
def test_lists_round_trip(paths: list[str], classes: int, seed: int) -> None:
    labels = None
    if classes:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, (len(paths), classes), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "list.txt"
        write_list(file, paths, labels)
        if classes == 1:  # else these may be the numbers of two classes
            (Path(folder) / "dataset.json").write_text('{"class_names": ["only"]}')
        images = read_list(file, check_exists=False)
    assert list(images.paths) == paths
    if labels is None:
        assert images.labels is None
    else:
        np.testing.assert_array_equal(images.labels, labels)


@pytest.mark.parametrize(
    "path",
    ["#1.png", "# 1.png", '"a".png', "'a.png'", '"', "#", "a.png,1", 'a, "b"; c.png', "#x 1"],
)
@pytest.mark.parametrize("labels", [None, [[1, 0], [0, 1]]])
def test_paths_like_other_things_round_trip(
    path: str, labels: list[list[int]] | None, tmp_path: Path
) -> None:
    array = None if labels is None else np.array(labels, np.uint8)
    write_list(tmp_path / "list.txt", [path, "plain.png"], array)
    images = read_list(tmp_path / "list.txt", check_exists=False)
    assert images.paths == [path, "plain.png"]
    assert (None if images.labels is None else images.labels.tolist()) == labels


ONE_HOT = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "my a.png 1 0 0\nb.JPG 0 0 1\nc.png 0 1 0\n",
        "my a.png\t1\t0\t0\r\nb.JPG\t0 0 1\r\nc.png 0 1 0",
        "my a.png,1,0,0\nb.JPG, 0, 0, 1\nc.png;0;1;0\n",
        '"my a.png" 1 0 0\n"b.JPG",0,0,1\nc.png 0 1 0\n',
        "'my a.png' 1 0 0\n'b.JPG'\t0 0 1\nc.png,0,1,0\n",
        "\ufeff# my photos, a.jpg\n\nmy a.png 1 0 0\n# b.png 0 1 0\nb.JPG 0 0 1\n#\nc.png 0 1 0",
        "path,x,y,z\nmy a.png,1,0,0\nb.JPG,0,0,1\nc.png,0,1,0\n",
        "my a.png 0\nb.JPG 2\nc.png 1\n",
        "filename\tlabel\nmy a.png\t0\nb.JPG\t2\nc.png\t1\n",
        'file,class\n"my a.png",0\nb.JPG,2\nc.png,1\n',
    ],
)
def test_lists_as_people_write_them(text: str) -> None:
    images = parse(text)
    assert images.paths == ["my a.png", "b.JPG", "c.png"]
    assert images.labels is not None
    assert images.labels.tolist() == ONE_HOT


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig"])
def test_files_of_windows(code: str, tmp_path: Path) -> None:
    """UTF-16, as its shell writes it, a mark at the beginning, and its separators."""
    touch(tmp_path, "deep/my é.png", "b.png")
    text = ".\\deep\\my é.png 1 0\r\nb.png 0 1\r\n"
    file = tmp_path / "list.txt"
    file.write_bytes(text.encode(code))
    stream = ListStream(file_lines(file), "list.txt", tmp_path)
    for paths in ([item.path for item in stream], read_list(file).paths):
        assert [os.path.normpath(path) for path in paths] == [
            os.path.normpath(path) for path in ("deep/my é.png", "b.png")
        ]


@pytest.mark.posix
def test_a_backslash_in_a_name_stays(tmp_path: Path) -> None:
    touch(tmp_path, "a\\b.png", "a/b.png", "c/d.png")
    (tmp_path / "list.txt").write_text("a\\b.png\nc\\d.png\n")
    assert list(read_list(tmp_path / "list.txt").paths) == ["a\\b.png", "c/d.png"]


def test_urls_of_files_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE"):  # the second on Windows
        monkeypatch.setenv(name, str(home))
    touch(tmp_path, "a b.png", "home/c.png", "~/d.png")
    url = (tmp_path / "a b.png").as_uri()
    assert "%20" in url
    file = tmp_path / "list.txt"
    file.write_text(f"{url} 1 0\n~/c.png 0 1\n~/d.png 1 1\n")
    expected = [str(tmp_path / "a b.png"), str(home / "c.png"), str(tmp_path / "~/d.png")]
    stream = ListStream(file_lines(file), "list.txt", tmp_path)
    for paths in ([item.path for item in stream], read_list(file).paths):
        assert [os.path.abspath(tmp_path / path) for path in paths] == expected  # noqa: PTH100

    file.write_text("file:///nowhere/e.png\n")
    with pytest.raises(DataError, match=r"not there: 1 of 1 image \(line 1: 'file:///nowhere"):
        read_list(file)


def test_class_numbers() -> None:
    images = parse("a.png 2\nb.png 0\nc.png 11\n")
    assert images.labels is not None
    assert images.labels.shape == (3, 12)
    assert images.labels.argmax(1).tolist() == [2, 0, 11]
    assert (images.labels.sum(1) == 1).all()
    assert parse("cat/a.png 1\ndog/b.png 2\nfox/c.png 0\n").class_names == ("fox", "cat", "dog")
    assert "class numbers below 100,000, found 100,000" in fails("a.png 100000\n")


TWO = "a.png 0\nb.png 1\nc.png 1\n"


def test_numbers_of_two_classes_are_not_taken_for_one_label() -> None:
    message = fails(TWO)
    assert message.startswith("train.txt: expected labels that mean one thing")
    assert "--labels index" in message and "--labels multi-hot" in message
    for all_equal in ("a.png 0\nb.png 0\n", "a.png,1\n", "x 1\n"):
        assert "mean one thing" in fails(all_equal)
    file = Path("train.txt")

    def labels_of(text: str, **options: Any) -> list[list[int]]:
        labels = parse_list(text.encode(), file.name, file, **options).labels
        assert labels is not None
        return labels.tolist()

    assert labels_of(TWO, labels="index") == [[1, 0], [0, 1], [0, 1]]
    assert labels_of(TWO, labels="multi-hot") == [[0], [1], [1]]
    assert labels_of(TWO, class_names=("x", "y")) == [[1, 0], [0, 1], [0, 1]]
    assert labels_of(TWO, class_names=("x",)) == [[0], [1], [1]]
    assert labels_of("x 1\ny 0\n", labels="index") == [[0, 1], [1, 0]]
    assert labels_of("a.png 0 1\n", labels="multi-hot") == [[0, 1]]
    with pytest.raises(DataError, match=r"line 2: expected a class number from 0 to 2 .*'b.png 3'"):
        labels_of("a.png 2\nb.png 3\n", class_names=("x", "y", "z"))
    with pytest.raises(DataError, match=r"line 1: expected a class number from 0 to 1 .*'a.png'"):
        labels_of("a.png\nb.png 1\n", labels="index")


@pytest.mark.parametrize("path", ["a\nb.png", "a\rb.png", " a.png", "a.png ", "\ta", ""])
def test_a_path_that_no_line_can_hold_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rename it"):
        write_list(tmp_path / "list.txt", ["fine.png", path], None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"class_names": "cat"}', '{"class_names": [1]}']
)
def test_a_damaged_description_is_an_error(text: str, tmp_path: Path) -> None:
    assert read_description(tmp_path) is None
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_description(tmp_path)
