"""A code set remembers what it was made from, and encode repeats it."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from commands import run
from tiny import make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import Layout
from bitcodes.codes.merge import merge
from bitcodes.runs import set_latest
from bitcodes.sources import item
from bitcodes.tasks.encoding.origin import origin_file, read_origins

encode = partial(run, "encode", "--workers", 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 4 photos in each of two folders, and a run."""
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 4)
    make_pictures(tmp_path / "more", 4)
    set_latest(make_run(tmp_path / "runs" / "one"))
    return tmp_path


def paths(codes: str = "codes.npy") -> list[str]:
    return list(CodeSet.open(codes).paths)


def add(folder: str, name: str = "new.png") -> None:
    shutil.copy(f"{folder}/00.png", f"{folder}/{name}")


def test_a_folder_that_grows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos") == 0
    add("photos")
    Path("photos/01.png").unlink()
    capsys.readouterr()
    assert encode() == 0
    shown = capsys.readouterr()
    assert "codes.npy was made from 'photos'" in shown.err
    assert "3 kept, 1 new, 0 changed, 1 gone" in shown.err
    assert paths() == ["00.png", "02.png", "03.png", "new.png"]
    assert encode() == 0
    assert "up to date" in capsys.readouterr().err


def test_from_a_folder_below(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encode("photos", "more/01.png") == 0
    before = paths()
    assert before[-1] == "more/01.png"
    add("photos")
    monkeypatch.chdir(place / "photos")
    assert encode() == 0
    assert not Path("codes.npy").exists()
    assert paths("../codes.npy") == [*before[:4], "photos/new.png", before[-1]]


def test_a_folder_that_was_moved(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encode("photos") == 0
    monkeypatch.chdir(place.parent)
    moved = place.rename(place.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    add("photos")
    assert encode() == 0
    assert len(paths()) == 5


def test_lists_with_a_root_and_labels(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lists").mkdir()
    Path("lists/all.txt").write_text("00.png 0 1\n03.png 1 0\n")
    assert encode("lists/all.txt", "--root", "photos", "-o", "lists/set.npy") == 0
    Path("lists/all.txt").write_text("00.png 0 1\n03.png 1 0\n02.png 1 0\n")
    monkeypatch.chdir(place / "lists")
    assert encode("-o", "set.npy") == 0
    again = CodeSet.open("set.npy")
    assert list(again.paths) == ["00.png", "03.png", "02.png"]
    assert again.labels is not None and again.labels.tolist() == [1, 0, 0]


def test_what_was_appended_is_repeated_too(place: Path) -> None:
    assert encode("photos") == 0
    assert encode("more", "--append") == 0
    assert encode("more", "--append") == 0
    before = paths()
    assert len(before) == 8
    add("photos")
    add("more")
    assert encode() == 0
    assert set(paths()) == {*before, "new.png", str(place / "more" / "new.png").replace("\\", "/")}
    assert paths()[:8] == before


def test_a_part_stays_a_part(place: Path) -> None:
    assert encode("photos", "--part", "2/2", "-o", "part.npy") == 0
    assert encode("-o", "part.npy") == 0
    assert paths("part.npy") == ["02.png", "03.png"]


def test_its_own_model_not_the_newest(place: Path) -> None:
    assert encode("photos") == 0
    before = CodeSet.open("codes.npy").fingerprint
    set_latest(make_run(place / "runs" / "two", seed=1))
    add("photos")
    assert encode() == 0
    assert CodeSet.open("codes.npy").fingerprint == before


def test_another_run_is_named_and_no_python(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos") == 0
    make_run(place / "runs" / "two", seed=1)
    assert encode("photos", "--run", "runs/two") == 1
    error = capsys.readouterr().err
    assert f"it was made with runs/one, and this model is {Path('runs/two')}" in error
    assert "=True" not in error and CodeSet.open("codes.npy").fingerprint not in error
    shutil.rmtree("runs/one")
    make_run(place / "runs" / "one", seed=2)
    assert encode("photos") == 1
    assert "it was made with runs/one, which has been trained again since" in (
        capsys.readouterr().err
    )


def test_what_is_not_known_is_asked_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode() == 1
    assert "codes.npy: there is no such code set" in capsys.readouterr().err
    assert encode("photos") == 0
    kept = origin_file(Path("codes.npy")).read_bytes()
    for content in (None, b"no", b"[]", b"{}", kept.replace(b'"photos"', b"7")):
        origin_file(Path("codes.npy")).unlink(missing_ok=True)
        if content is not None:
            origin_file(Path("codes.npy")).write_bytes(content)
        assert encode() == 1
        assert "does not say which images it was made from; name them: bitcodes encode IMAGES" in (
            capsys.readouterr().err
        )
    assert encode("photos") == 0  # an old set learns it
    assert encode() == 0
    for wrong in (["--root", "photos"], ["--part", "1/2"], ["--append"]):
        assert encode(*wrong) == 2


def test_merged_parts_are_repeated_as_a_whole(place: Path) -> None:
    for part in (1, 2):
        assert encode("photos", "--part", f"{part}/2", "-o", f"p{part}.npy") == 0
    assert run("merge", "p2.npy", "p1.npy", "-o", "mixed.npy") == 0
    assert encode("-o", "mixed.npy") == 1
    assert run("merge", "p1.npy", "p2.npy") == 0
    add("photos")
    assert encode() == 0
    assert len(paths()) == 5


def test_merged_sets_are_repeated_from_all_that_they_were_made_from(place: Path) -> None:
    assert encode("photos") == encode("more", "-o", "more.npy") == 0
    assert run("merge", "codes.npy", "more.npy", "-o", "all.npy") == 0
    add("more")
    Path("photos/02.png").unlink()
    assert encode("-o", "all.npy") == 0
    kept = [f"photos/{name}.png" for name in ("00", "01", "03")]
    assert paths("all.npy") == [*kept, *(f"more/0{i}.png" for i in range(4)), "more/new.png"]


class Killed(BaseException):
    """What no handler catches."""


@pytest.fixture
def die_after_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a command that ends as soon as the set has changed, before any file is renamed."""

    def die(*words: object) -> None:
        begin = Layout.begin

        def begin_and_end(self: Layout, roles: Sequence[str]) -> None:
            begin(self, roles)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Layout, "begin", begin_and_end)
            with pytest.raises(Killed):
                run(*words)

    return die


def test_a_killed_update_is_repeated(place: Path, die_after_commit: Callable[..., None]) -> None:
    assert encode("photos") == 0
    add("photos")
    die_after_commit("encode", "--workers", 0)
    assert encode() == 0
    assert len(paths()) == 5


def test_a_killed_update_of_several_sources_is_repeated(
    place: Path, die_after_commit: Callable[..., None]
) -> None:
    assert encode("photos") == encode("more", "--append") == 0
    add("photos")
    add("more")
    for _ in range(2):  # in the change of each source
        die_after_commit("encode", "--workers", 0)
    assert encode() == 0
    names = [path.rpartition("/")[2] for path in paths()]
    assert sorted(names) == sorted([*(f"0{number}.png" for number in range(4)), "new.png"] * 2)


def test_after_a_killed_append_both_sources_are_known(
    place: Path, die_after_commit: Callable[..., None]
) -> None:
    assert encode("photos") == 0
    die_after_commit("encode", "more", "--append", "--workers", 0)
    assert encode("more", "--append") == 0
    origins = read_origins(CodeSet.open("codes.npy"), Path("codes.npy"))
    assert [[Path(name).name for name in origin.images] for origin in origins] == [
        ["photos"],
        ["more"],
    ]


def test_after_a_killed_merge_its_source_is_known(
    place: Path, die_after_commit: Callable[..., None]
) -> None:
    for part in (1, 2):
        assert encode("photos", "--part", f"{part}/2", "-o", f"p{part}.npy") == 0
    die_after_commit("merge", "p1.npy", "p2.npy")
    add("photos")
    assert encode() == 0
    assert len(paths()) == 5


def test_another_set_of_the_same_name_has_another_origin(place: Path) -> None:
    assert encode("photos") == 0
    assert encode("photos", "-o", "same.npy") == 0
    merge([CodeSet.open("codes.npy"), CodeSet.open("same.npy")], "codes.npy", force=True)
    assert read_origins(CodeSet.open("codes.npy"), Path("codes.npy")) == ()


def test_standard_input_cannot_be_repeated(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"photos/00.png\n")))
    assert encode("-") == 0
    assert encode() == 1
    assert "from paths on standard input; give them again: bitcodes encode - " in (
        capsys.readouterr().err
    )


@pytest.mark.posix
def test_any_name_that_a_folder_can_have(place: Path) -> None:
    odd = os.fsdecode(b"a \xff'\n$b")
    shutil.copytree("photos", odd)
    assert encode(odd) == 0
    json.loads(origin_file(Path("codes.npy")).read_bytes())
    add(odd)
    assert encode() == 0
    assert len(paths()) == 5


def test_an_update_looks_at_each_image_once_and_reads_the_new_ones(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert encode("photos") == 0
    add("photos")
    opened, looked_at = [], []
    real_open, real_stat = item.open_file, os.stat

    def counting_open(path: str, **how: bool) -> object:
        opened.append(Path(path).name)
        return real_open(path, **how)

    def counting_stat(path: object, *rest: object, **how: object) -> os.stat_result:
        if str(path).endswith(".png"):
            looked_at.append(Path(str(path)).name)
        call: Callable[..., os.stat_result] = real_stat
        return call(path, *rest, **how)

    monkeypatch.setattr(item, "open_file", counting_open)
    monkeypatch.setattr(os, "stat", counting_stat)
    assert encode("photos") == 0
    assert opened == ["new.png"]
    assert sorted(looked_at) == ["00.png", "01.png", "02.png", "03.png", "new.png"]
