"""A code set follows all that it was made from: nothing is dropped that was not named."""

import io
import os
import shutil
import sys
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import run
from tiny import make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.runs import set_latest
from bitcodes.tasks.encoding.origin import read_origins

encode = partial(run, "encode", "--workers", 0)
NAMES = [f"{number:02}.png" for number in range(4)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 4 photos in each of three folders, archives of them, and a run."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        make_pictures(tmp_path / name, 4, seed=number)
        pack(name)
    set_latest(make_run(tmp_path / "runs" / "one"))
    return tmp_path


def pack(folder: str) -> None:
    with tarfile.open(f"{folder}.tar", "w") as packed:
        for file in sorted(Path(folder).iterdir()):
            packed.add(file, file.name)


def places() -> list[str]:
    """Where the images of codes.npy lie, from the working folder, in their order."""
    codes = CodeSet.open("codes.npy", verify=True)
    files = [codes.absolute_path(row) for row in range(codes.count)]
    return [file.relative_to(Path.cwd()).as_posix() for file in files]


def images(*folders: str) -> list[str]:
    return [f"{folder}/{name}" for folder in folders for name in NAMES]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of errors and notes."""
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("suffix", ["", ".tar"])
def test_what_was_added_stays_if_the_first_source_is_encoded_again(
    place: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    one, two = f"a{suffix}", f"b{suffix}"
    assert encode(one) == encode(two, "--append") == 0
    before = CodeSet.open("codes.npy").codes.tolist()
    for again in (one, two):
        capsys.readouterr()
        assert encode(again) == 0
        assert "up to date: the same model" in capsys.readouterr().err
    (place / "a" / "01.png").unlink()
    shutil.copy("a/00.png", "a/new.png")
    (place / "b" / "02.png").unlink()  # not looked at
    pack("a")
    capsys.readouterr()
    assert encode(one) == 0
    assert "7 kept, 1 new, 0 changed, 1 gone\n" in capsys.readouterr().err
    left = [one + path[1:] for path in images("a") if path != "a/01.png"]
    assert places() == [*left, *(two + path[1:] for path in images("b")), f"{one}/new.png"]
    codes = CodeSet.open("codes.npy").codes.tolist()
    assert codes[:7] == before[:1] + before[2:]
    assert codes[7] == before[0]


def test_without_images_all_sources_are_followed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("a") == encode("b", "--append") == encode("c.tar", "--append") == 0
    (place / "a" / "00.png").unlink()
    (place / "b" / "01.png").unlink()
    (place / "c" / "02.png").unlink()
    pack("c")
    assert encode() == 0
    gone = {"a/00.png", "b/01.png", "c.tar/02.png"}
    assert places() == [path for path in images("a", "b", "c.tar") if path not in gone]
    capsys.readouterr()
    assert encode() == 0
    assert capsys.readouterr().err.count("up to date") == 3


def test_several_of_the_sources_at_once(place: Path) -> None:
    assert encode("a", "b") == encode("c", "--append") == encode("c.tar", "--append") == 0
    for name in "abc":
        (place / name / "03.png").unlink()
    assert encode("c", "a", "b") == 0
    gone = {f"{name}/03.png" for name in "abc"}
    assert places() == [path for path in images("a", "b", "c", "c.tar") if path not in gone]
    assert encode("b", "a") == 0
    assert len(read_origins(CodeSet.open("codes.npy"), Path("codes.npy"))) == 3


def test_a_source_within_another_owns_its_images(place: Path) -> None:
    shutil.move("b", "a/b")
    shutil.move("c.tar", "a/c.tar")
    assert encode("a") == encode("a/c.tar", "--append") == 0
    (place / "a" / "b" / "00.png").unlink()
    assert encode("a") == 0
    left = [path for path in images("a", "a/b", "a/c.tar") if path != "a/b/00.png"]
    assert places() == left


def test_lists_drop_what_they_alone_can_have_brought(place: Path) -> None:
    Path("one.txt").write_text("a/00.png 0 1\nb/00.png 1 0\n")
    Path("two.txt").write_text("a/01.png 0 1\nb/01.png 1 0\n")
    assert encode("one.txt") == encode("two.txt", "--append") == 0
    Path("two.txt").write_text("a/01.png 1 0\na/02.png 0 1\n")
    assert encode("two.txt") == 0
    made = CodeSet.open("codes.npy")
    assert made.labels is not None
    rows = dict(zip(made.paths, made.labels.tolist(), strict=True))
    # Either list can have had b/01.png.
    assert rows == {"a/00.png": 1, "b/00.png": 0, "b/01.png": 0, "a/01.png": 0, "a/02.png": 1}


@pytest.mark.parametrize("after", [["a", "c"], ["a/00.png"], ["list.txt"]])
def test_other_images_are_not_dropped_without_force(
    place: Path, capsys: pytest.CaptureFixture[str], after: list[str]
) -> None:
    Path("list.txt").write_text("a/00.png\na/01.png\n")
    assert encode("a", "b") == 0
    assert encode(*after) == 1
    error = last_line(capsys)
    assert error.startswith("error: codes.npy was made from 'a', 'b', and ")
    assert "of its 8 images are not among these, for example '" in error
    assert "--append" in error and "--force" in error and "-o" in error
    assert places() == images("a", "b")
    assert encode("a", "b", "c") == 0
    assert places() == images("a", "b", "c")
    assert encode(*after, "--force") == 0
    assert set(places()) <= set(images("a", "c"))


def test_images_that_are_gone_may_be_left_out(place: Path) -> None:
    names = images("a", "b")
    assert encode(*names, "a.tar") == 0
    for name in (names[1], names[5]):
        Path(name).unlink()
    shutil.copy(names[0], "a/new.png")
    left = [names[0], *names[2:5], *names[6:]]
    assert encode(*left, "a/new.png") == 1  # the archive is there
    assert encode(*left, "a/new.png", "a.tar") == 0
    assert places() == [*left, "a/new.png", *images("a.tar")]
    Path("a.tar").unlink()
    assert encode(*left) == 1  # new.png is there
    assert encode(*left, "a/new.png") == 0
    assert places() == [*left, "a/new.png"]


def test_other_paths_on_standard_input_are_not_the_same_source(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(*paths: str) -> None:
        lines = "".join(f"{path}\n" for path in paths).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))

    give(*images("a"))
    assert encode("-") == 0
    give(*images("b"))
    assert encode("-") == 1
    assert "was made from '-', and 4 of its 4 images are not among these" in last_line(capsys)
    Path("a/00.png").unlink()
    give(*images("a", "b")[1:])
    assert encode("-") == 0
    assert places() == images("a", "b")[1:]


def test_a_set_that_does_not_know_its_sources_keeps_what_is_elsewhere(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("a") == encode("b", "--append") == 0
    Path("codes.origin.json").unlink()
    assert encode("a") == 1
    assert "codes.npy exists already, and 4 of its 8 images are not among" in last_line(capsys)
    assert len(places()) == 8
    assert encode("a", "--append") == 0
    assert encode("a", "--force") == 0
    assert places() == images("a")


def test_a_part_does_not_replace_the_whole(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("a") == 0
    for _ in range(2):
        assert encode("a", "--part", "1/2", "-o", "codes.npy") == 1
        assert "2 of its 4 images are not among these" in last_line(capsys)
        assert places() == images("a")
        Path("codes.origin.json").unlink(missing_ok=True)
    for part in ("1/2", "2/2"):
        assert encode("a", "--part", part) == 0
        assert encode("a", "--part", part) == 0
    assert places() == images("a")
    assert encode("a", "--part", "1/2", "-o", "codes.part-2-of-2.npy") == 1
    assert run("merge", "codes.part-1-of-2.npy", "codes.part-2-of-2.npy", "--force") == 0
    assert places() == images("a")
    assert encode("a", "--part", "03/16", "-o", "x.npy") == 1  # it is empty
    assert encode("a", "b", "c", "--part", "3/12") == 0
    assert Path("codes.part-03-of-12.npy").is_file()


def test_an_unreadable_image_that_is_gone_is_forgotten(place: Path) -> None:
    Path("a/bad.png").write_bytes(b"no picture")
    assert encode("a") == encode("b", "--append") == 0
    assert [path for path, _ in CodeSet.open("codes.npy").skipped] == ["bad.png"]
    Path("a/bad.png").unlink()
    assert encode("b") == 0
    assert [path for path, _ in CodeSet.open("codes.npy").skipped] == ["bad.png"]
    assert encode("a") == 0
    assert CodeSet.open("codes.npy").skipped == []
    assert places() == images("a", "b")


def test_a_stopped_repetition_of_all_sources_forgets_none(place: Path) -> None:
    assert encode("a") == encode("b", "--append") == 0
    shutil.copy("a/00.png", "a/new.png")
    Path("b/bad.png").write_bytes(b"no picture")
    assert encode("--strict") == 1  # after a, in b
    Path("b/bad.png").unlink()
    assert encode() == 0
    assert len(places()) == 9


# -- moved -----------------------------------------------------------------------------------------


def test_a_renamed_folder_is_recognised(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("a") == 0
    before = CodeSet.open("codes.npy").codes.tolist()
    os.rename("a", "pictures")  # noqa: PTH104
    assert encode() == 1
    error = last_line(capsys)
    assert "codes.npy was made from 'a', and 'a' is not there: was it renamed or moved?" in error
    assert "bitcodes encode IMAGES -o codes.npy" in error
    assert encode("pictures") == 0
    shown = capsys.readouterr().err
    assert f"{place / 'a'} has become {place / 'pictures'}".replace("\\", "/") in shown
    assert "4 kept, 0 new, 0 changed, 0 gone" in shown
    assert places() == images("pictures")
    assert CodeSet.open("codes.npy").codes.tolist() == before
    assert encode() == 0


def test_a_renamed_folder_among_several(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("a") == encode("b", "--append") == 0
    os.rename("b", "pictures")  # noqa: PTH104
    assert encode() == 1
    error = last_line(capsys)
    assert "bitcodes encode IMAGES --append -o codes.npy" in error
    assert error.endswith("To take out what is not there: bitcodes encode --force -o codes.npy")
    assert encode("pictures", "--append") == encode("--force") == 0
    assert places() == images("a", "pictures")
    assert encode() == 0

    os.rename("a", "away")  # noqa: PTH104
    os.rename("pictures", "also away")  # noqa: PTH104
    assert encode("--force") == 1  # nothing would be left
    assert places() == images("a", "pictures")


def test_a_folder_that_is_gone_of_two_named_at_once(place: Path) -> None:
    assert encode("a", "b") == 0
    shutil.rmtree("b")
    assert encode() == 1
    assert encode("--force") == 0
    assert places() == images("a")


def test_a_folder_that_does_not_have_all_of_the_images_is_another(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("a") == 0
    os.rename("a", "pictures")  # noqa: PTH104
    Path("pictures/00.png").unlink()
    for other in ("pictures", "b"):
        assert encode(other) == 1
        error = last_line(capsys)
        assert "a, which is not there (renamed or moved?)" in error and "--force" in error
    shutil.copytree("pictures", "a")
    assert encode("pictures") == 1  # the old one is there too
    assert "--append adds them to it" in last_line(capsys)
    assert encode("pictures", "--force") == 0
    assert places() == images("pictures")[1:]


def test_a_model_that_is_gone_does_not_end_the_set(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("a") == encode("b", "--append") == 0
    shutil.rmtree("runs")
    for command in (["encode"], ["search", "a/00.png"]):
        assert run(*command) == 1
        error = last_line(capsys)
        assert "codes.npy was made with runs/one, which is not there; name the run" in error
        assert "built-in model: bitcodes encode --force -o codes.npy" in error
    assert encode("a") == 1
    assert "replace it with --force" in last_line(capsys)
    assert encode("--force", "-o", "codes.npy") == 0
    made = CodeSet.open("codes.npy")
    assert made.header.run == "built-in-128" and places() == images("a", "b")
    assert np.asarray(made.codes).shape == (8, 16)
