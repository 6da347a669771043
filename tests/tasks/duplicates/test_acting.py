"""Moving duplicates away and back: no image is ever lost, replaced, or there twice."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import BitcodesError, ConfigError, DataError
from bitcodes.tasks.duplicates import moving
from bitcodes.tasks.duplicates.acting import list_duplicates, move_duplicates, undo_moves
from bitcodes.tasks.duplicates.finding import find_duplicates
from bitcodes.tasks.duplicates.moves import Moves

TIME = 1_000_000_000
NAMES = ("b/x.jpg", "a.jpg", "b/y.jpg", "c/x.jpg", "other.jpg")
"""The first three are one group and a.jpg the first by path; the others have codes of their own."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        write(tmp_path / "photos" / name)
    encode(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: Path, content: bytes = b"") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content or file.name.encode() * 9)
    os.utime(file, (TIME, TIME))


def encode(place: Path, names: tuple[str, ...] = NAMES) -> None:
    """A set of these files; all but the last two have one code."""
    codes = np.zeros((len(names), 4), np.uint8)
    codes[-2:, 0] = 15, 255
    status = [(place / "photos" / name).stat() for name in names]
    stat = [(one.st_size, one.st_mtime_ns) for one in status]
    code_set = CodeSet.from_arrays(codes, 32, names, stat=stat, root=place / "photos")
    save_code_set(code_set, place / "codes.npy", force=True)


def act(yes: bool = True, **options) -> Moves:
    groups = find_duplicates("codes.npy", 0, "first")
    return move_duplicates(groups, "codes.npy", Path("moved"), yes=yes, **options)


def files(place: Path) -> dict[str, bytes | str]:
    """Every file but those of the code set: its content, or where a link leads."""
    found: dict[str, bytes | str] = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and not name.startswith("codes."):
            found[name] = path.read_bytes()
    return found


def without_undo(found: dict[str, bytes | str]) -> dict[str, bytes | str]:
    return {name: content for name, content in found.items() if "undo-" not in name}


def test_images_are_moved_and_come_back(place: Path) -> None:
    before = files(place)
    times = {path: path.stat().st_mtime_ns for path in (place / "photos").rglob("*.jpg")}
    plan = act(yes=False)
    assert files(place) == before and not (place / "moved").exists()
    assert plan.describe() == (
        "2 images to move to moved; nothing was moved yet: add --yes to do it"
    )
    moves = act()
    assert moves.moves == plan.moves and moves.refused == ()
    assert moves.describe() == (
        "moved 2 images to moved; to undo: bitcodes duplicates --undo "
        f"{Path('moved/undo-1.json')} --yes"
    )
    expected = dict(before)
    for name in ("b/x.jpg", "b/y.jpg"):
        expected[f"moved/{name}"] = expected.pop(f"photos/{name}")
    assert without_undo(files(place)) == expected
    document = json.loads((place / "moved/undo-1.json").read_text())
    assert document["moves"][0] == {
        "from": str(place / "photos/b/x.jpg"),
        "to": "b/x.jpg",
        "bytes": 45,
        "time": TIME * 10**9,
        "kept": str(place / "photos/a.jpg"),
    }

    assert undo_moves(Path("moved/undo-1.json")).moves == moves.moves  # only tells
    assert without_undo(files(place)) == expected
    back = undo_moves(Path("moved/undo-1.json"), yes=True)
    assert back.moves == moves.moves and back.describe() == "moved 2 images back from moved"
    assert files(place) == before and not (place / "moved").exists()
    assert {path: path.stat().st_mtime_ns for path in times} == times
    with pytest.raises(DataError, match="there is no such file"):
        undo_moves(Path("moved/undo-1.json"), yes=True)


def test_a_name_that_is_taken_gets_a_number(place: Path) -> None:
    write(place / "moved/b/x.jpg", b"mine")
    before = files(place)
    moves = act()
    assert [move.target.name for move in moves.moves] == ["x (2).jpg", "y.jpg"]
    assert files(place)["moved/b/x.jpg"] == b"mine"
    undo_moves(Path("moved/undo-1.json"), yes=True)
    assert files(place) == before


def test_a_second_run_has_an_undo_file_of_its_own(place: Path) -> None:
    before = files(place)
    act()
    write(place / "photos/b/x.jpg", b"new")
    encode(place, ("b/x.jpg", "a.jpg", "c/x.jpg", "other.jpg"))
    moves = act()
    assert moves.undo_file == Path("moved/undo-2.json")
    assert files(place)["moved/b/x (2).jpg"] == b"new"
    # The place of the first x.jpg is taken again.
    undo_moves(Path("moved/undo-2.json"), yes=True)
    back = undo_moves(Path("moved/undo-1.json"), yes=True)
    assert [move.source.name for move in back.moves] == ["y.jpg"]
    assert "there is another file in its place" in back.refused[0][1]
    (place / "photos/b/x.jpg").unlink()
    assert len(undo_moves(Path("moved/undo-1.json"), yes=True).moves) == 1
    assert files(place) == before


def reasons(moves: Moves) -> dict[str, str]:
    return {path.name: reason for path, reason in moves.refused}


def test_what_has_changed_is_refused(place: Path) -> None:
    write(place / "photos/b/x.jpg", b"changed")
    moves = act()
    assert [move.source.name for move in moves.moves] == ["y.jpg"]
    assert reasons(moves) == {
        "x.jpg": "it has changed since it was encoded; run bitcodes encode first"
    }
    undo_moves(Path("moved/undo-1.json"), yes=True)
    os.utime(place / "photos/a.jpg", (1, 1))  # the image to keep
    assert [*reasons(act()).values()] == [
        "the image to keep is a.jpg, and it has changed since it was encoded; run bitcodes encode "
        "first"
    ] * 2
    assert not (place / "moved").exists()


def test_what_has_changed_where_it_is_now_is_not_moved_back(place: Path) -> None:
    act()
    write(place / "moved/b/x.jpg", b"edited")
    back = undo_moves(Path("moved/undo-1.json"), yes=True)
    assert "it has changed since it was moved" in reasons(back)["x.jpg"]
    assert files(place)["moved/b/x.jpg"] == b"edited"
    (place / "moved/b/x.jpg").unlink()
    back = undo_moves(Path("moved/undo-1.json"), yes=True)
    assert reasons(back)["x.jpg"] == "it is in neither place"


def test_images_that_cannot_be_moved_are_refused(place: Path) -> None:
    codes = np.zeros((2, 4), np.uint8)
    bare = CodeSet.from_arrays(codes, 32, ["a.jpg", "b/x.jpg"], root=place / "photos")
    moves = move_duplicates(find_duplicates(bare), bare, Path("moved"), yes=True)
    assert "does not tell its size and time" in moves.refused[0][1]
    nowhere = CodeSet.from_arrays(codes, 32, ["a.jpg", "b.jpg"])
    moves = move_duplicates(find_duplicates(nowhere), nowhere, Path("moved"), yes=True)
    assert "it is not known where it is" in moves.refused[0][1]
    assert not (place / "moved").exists()
    with pytest.raises(ConfigError, match="--move-to photos/dup lies in photos"):
        move_duplicates(find_duplicates(), "codes.npy", Path("photos/dup"))
    with pytest.raises(BitcodesError, match="there is no folder"):
        move_duplicates(find_duplicates(), "codes.npy", Path("none/dup"))


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_is_not_moved(place: Path) -> None:
    (place / "photos/b/y.jpg").unlink()
    write(place / "elsewhere.jpg")
    (place / "photos/b/y.jpg").symlink_to(place / "elsewhere.jpg")
    encode(place)
    assert reasons(act()) == {"y.jpg": "it is a link"}


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
@pytest.mark.parametrize("kind", ["hard", "symbolic"])
def test_links_take_the_place_of_images(place: Path, kind: str) -> None:
    before = files(place)
    act(link=kind)
    for name in ("x.jpg", "y.jpg"):
        file = place / "photos/b" / name
        assert file.samefile(place / "photos/a.jpg") and file.is_symlink() == (kind == "symbolic")
    assert act(link=kind).moves == ()  # they are one file now
    undo_moves(Path("moved/undo-1.json"), yes=True)
    assert files(place) == before
    assert len({path.stat().st_ino for path in (place / "photos").rglob("*.jpg")}) == len(NAMES)


def across(source: Path, target: Path) -> None:
    """A rename as between two file systems."""
    if ("moved" in Path(source).parts) != ("moved" in Path(target).parts):
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
    source.replace(target)


class Stop:
    """Raises at the n-th operation that changes files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
        self.left = step
        self._error = error
        for name in ("open", "replace", "link", "symlink", "unlink", "mkdir", "rmdir", "fsync"):
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def _counting(self, real):
        def call(*arguments, **options):
            self.left -= 1
            if self.left == 0:
                raise self._error
            return real(*arguments, **options)

        return call


def full() -> BaseException:
    return OSError(errno.ENOSPC, "No space left on device")


class Killed(BaseException):
    """Nothing catches it; what `finally` does is done."""


def contents(found: dict[str, bytes | str]) -> Iterator[bytes]:
    yield from sorted(v for name, v in found.items() if isinstance(v, bytes) and ".tmp" not in name)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the calls of one system")
@pytest.mark.parametrize("stop", [full, Killed], ids=["full", "killed"])
@pytest.mark.parametrize("drives", ["one drive", "two drives"])
@pytest.mark.parametrize("link", [None, "symbolic"])
def test_a_stop_at_any_moment(
    place: Path, monkeypatch: pytest.MonkeyPatch, stop, drives: str, link: str | None
) -> None:
    before = files(place)
    if drives == "two drives":
        monkeypatch.setattr(moving, "replace", across)

    def stopped(step: int, work: Callable[[], object]) -> bool:
        """Whether `work` came as far as to be stopped."""
        with monkeypatch.context() as patch:
            stops = Stop(patch, step, stop())
            with suppress(Killed, BitcodesError, OSError):
                work()
        assert {*contents(before)} <= {*contents(files(place))}  # nothing is lost
        return stops.left <= 0

    def undo_all(undo: list[Path]) -> None:
        for file in undo:
            assert not undo_moves(file, yes=True).refused

    for step in range(1, 200, 7):
        more = stopped(step, lambda: act(link=link))
        moved = act(link=link)
        assert not moved.refused
        names = [name for name in files(place) if name.startswith("moved/")]
        undo = [Path(name) for name in names if "undo" in name]
        assert names[:2] == ["moved/b/x.jpg", "moved/b/y.jpg"] and len(names) == 2 + len(undo)
        more |= stopped(step, partial(undo_all, undo))
        for file in undo:
            with suppress(DataError):  # it is gone if all images are back
                undo_all([file])
        assert files(place) == before
        if not more:
            break
    assert 20 < step < 190


def test_a_list_of_the_rest(place: Path) -> None:
    assert list_duplicates(find_duplicates("codes.npy", 0, "first"), Path("rest.txt")) == 2
    assert Path("rest.txt").read_text().splitlines() == [
        (place / "photos/b/x.jpg").as_posix(), (place / "photos/b/y.jpg").as_posix()
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "bitcodes-moves/2", "link": null, "moves": []}',
        '{"format": "bitcodes-moves/1", "link": null, "moves": [{"from": "/a", "to": "../b", '
        '"bytes": 1, "time": 1, "kept": "/c"}]}',
        '{"format": "bitcodes-moves/1", "link": null, "moves": [{"from": "a", "to": "b", '
        '"bytes": 1, "time": 1, "kept": "/c"}]}',
    ],
    ids=["empty", "list", "format", "outside", "relative"],
)
def test_other_files_undo_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "undo-1.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"undo-1\.json: "):
        undo_moves(file, yes=True)
