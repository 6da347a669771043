"""Code sets on systems that lack what Linux has, and that keep files which a program has open."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitcodes import files
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import Layout
from bitcodes.codes.merge import merge
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import CodeSetWriter, finish_commit, save_code_set
from bitcodes.errors import CodeSetError, FileInUseError
from bitcodes.hamming.index import GroupedIndex, group
from bitcodes.hamming.stored import index_path, load_index, save_index, update_index

# --- calls that are missing ---

MISSING = "fork register_at_fork sched_getaffinity pread pwrite sysconf symlink link"

WORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
if sys.argv[2] == "without":
    sys.modules["fcntl"] = None
    for name in sys.argv[3].split():
        delattr(os, name)
from pathlib import Path
import numpy as np
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.merge import merge
from bitcodes.codes.writer import CodeSetWriter, save_code_set
from bitcodes.hamming import scanner
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.stored import update_index

scanner.PLAIN_LIMIT = 0
folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
codes = rng.integers(0, 256, (90, 2), np.uint8)
options = dict(bits=16, columns=("labels", "features", "stat"), root=folder / "photos")
for stop in (60, 90):  # interrupted, then gone on with
    with CodeSetWriter(folder / "codes.npy", **options) as writer:
        for start in range(writer.done, stop, 30):
            rows = slice(start, start + 30)
            writer.append(
                codes[rows], [f"{row}\\n.jpg" for row in range(start, start + 30)],
                labels=np.arange(30), features=np.ones((30, 3)) * start, stat=np.ones((30, 2), int),
            )
        writer.skip("broken.jpg", "cut off")
        if stop == 90:
            first = writer.commit()
second = save_code_set(CodeSet.from_arrays(codes[::-1], 16), folder / "second.npy")
second = save_code_set(CodeSet.from_arrays(codes, 16), folder / "second.npy", force=True)
names = [f"third/{row}.jpg" for row in range(90)]
third = save_code_set(CodeSet.from_arrays(codes, 16, names), folder / "third.npy")
merge([second, third], folder / "merged.npy")
update_index(first, tables=True)
index = HammingIndex(first, threads=2)
np.save(folder / "found.npy", np.stack(index.search(codes[:20], 5)))
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_files_without_the_calls_that_only_linux_has(tmp_path: Path) -> None:
    written = []
    for state in ("with", "without"):
        folder = tmp_path / "set"
        folder.mkdir()
        subprocess.run([sys.executable, "-c", WORK, folder, state, MISSING], check=True)
        written.append(contents(folder))
        folder.rename(tmp_path / state)
    assert len(written[0]) > 15
    assert written[0] == written[1]


# --- files that are open ---


def in_use(path: Path) -> bool:
    """Whether this process has the file, or one below the folder, mapped or open."""
    real = os.path.realpath(path)
    maps = Path("/proc/self/maps").read_text()
    names = [line.split(maxsplit=5)[-1] for line in maps.splitlines()]
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.append(str(descriptor.readlink()))
    return any(name == real or name.startswith(f"{real}/") for name in names)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system does not rename, replace or remove what is open, as Windows does not."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc to tell what is mapped")

    def refusing(real: Any) -> Any:
        def change(*paths: Any, **options: Any) -> Any:
            for path in paths:
                if isinstance(path, str | Path) and in_use(Path(path)):
                    raise PermissionError(13, "The process cannot access the file", str(path))
            return real(*paths, **options)

        return change

    for name in ("replace", "rename", "unlink", "remove", "rmdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(files, "_POSIX", False)
    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0))


def some_set(value: int, count: int = 4) -> CodeSet:
    return CodeSet.from_arrays(
        np.full((count, 2), value, np.uint8), 16, [f"{value}/{row}" for row in range(count)]
    )


@pytest.mark.usefixtures("windows")
def test_a_set_that_a_reader_has_open_is_replaced_all_the_same(tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    old = save_code_set(some_set(1), out)
    assert in_use(out)
    new = save_code_set(some_set(2), out, force=True)
    for _ in range(2):
        assert CodeSet.open(out, verify=True).codes.tolist() == [[2, 2]] * 4
        assert old.codes.tolist() == [[1, 1]] * 4 and old.paths[1] == "1/1"
        assert finish_commit(out)  # as far as it goes
    with pytest.raises(FileInUseError, match=r"codes\.npy cannot be replaced.*close the programs"):
        save_code_set(some_set(3), out, force=True)
    assert CodeSet.open(out, verify=True).codes.tolist() == [[2, 2]] * 4
    del old, new
    save_code_set(some_set(3), out, force=True)
    assert CodeSet.open(out, verify=True).codes.tolist() == [[3, 3]] * 4
    assert finish_commit(out) is False
    assert not Layout(out).staging.exists()


@pytest.mark.usefixtures("windows")
def test_an_index_that_a_search_has_open_stays(tmp_path: Path) -> None:
    code_set = save_code_set(some_set(1, 40), tmp_path / "codes.npy")
    update_index(code_set, tables=True)
    before = contents(index_path(tmp_path / "codes.npy"))
    index = load_index(code_set)
    with pytest.raises(FileInUseError, match=r"codes\.index cannot be replaced"):
        save_index(group(code_set.codes, 16), code_set)
    assert contents(index_path(tmp_path / "codes.npy")) == before
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"codes.index"}
    del index
    save_index(group(code_set.codes, 16), code_set)
    assert isinstance(load_index(code_set), GroupedIndex)


@pytest.mark.usefixtures("windows")
def test_an_index_is_extended_while_no_other_program_has_it_open(tmp_path: Path) -> None:
    update_index(save_code_set(some_set(1, 40), tmp_path / "codes.npy"), tables=True)
    grown = save_code_set(some_set(1, 50), tmp_path / "codes.npy", force=True)
    index, done = update_index(grown)
    assert (done, len(index)) == ("updated", 50)


def test_an_index_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_set = save_code_set(some_set(1, 40), tmp_path / "codes.npy")
    save_index(group(code_set.codes, 16), code_set)
    before = contents(tmp_path)
    real, calls = os.rename, []

    def fail_once(*paths: Any) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(*paths)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="No space"):
        save_index(group(code_set.codes, 16), code_set)
    assert contents(tmp_path) == before


# --- separators and drives ---


def test_paths_of_a_system_with_backslashes_are_kept_with_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CodeSetWriter(tmp_path / "codes.npy", bits=8) as writer:
        monkeypatch.setattr("bitcodes.codes.paths.os.sep", "\\")
        writer.append(pack_bits(np.ones((1, 8))), ["a\\b\\c.jpg"])
        writer.skip("d\\e.jpg", "cut off")
        monkeypatch.undo()
        made = writer.commit()
    assert list(made.paths) == ["a/b/c.jpg"]
    assert made.skipped == [("d/e.jpg", "cut off")]


@pytest.mark.skipif(os.name == "nt", reason="drives exist there")
@pytest.mark.parametrize("root", ["C:/photos", "C:\\photos", "\\\\server\\share\\photos"])
def test_a_root_on_a_drive_is_known_by_name_alone(tmp_path: Path, root: str) -> None:
    with CodeSetWriter(tmp_path / "codes.npy", bits=8, root=root) as writer:
        writer.append(np.ones((1, 1), np.uint8), ["a.jpg"])
        made = writer.commit()
    assert (made.root, made.root_name, made.header.root) == (None, root, root)
    with pytest.raises(CodeSetError, match="no folder of this system"):
        made.absolute_path(0)
    (tmp_path / "again").mkdir()
    again = save_code_set(made, tmp_path / "again" / "codes.npy")
    assert again.header == made.header
    assert merge([made, again], tmp_path / "merged.npy").root_name == root


def test_archives_of_one_bucket_go_together(tmp_path: Path) -> None:
    sets = []
    for number in range(2):
        root = f"s3://bucket/deep/shard-{number}.tar"
        with CodeSetWriter(tmp_path / f"{number}.npy", bits=8, root=root) as writer:
            writer.append(np.ones((1, 1), np.uint8), ["a.jpg"])
            sets.append(writer.commit())
    made = merge(sets, tmp_path / "merged.npy")
    assert made.root_name == "s3://bucket/deep"
    assert list(made.paths) == ["shard-0.tar/a.jpg", "shard-1.tar/a.jpg"]
    root = "https://elsewhere/shard-2.tar"
    with CodeSetWriter(tmp_path / "other.npy", bits=8, root=root) as writer:
        writer.append(np.ones((1, 1), np.uint8), ["a.jpg"])
        other = writer.commit()
    with pytest.raises(CodeSetError, match="roots that cannot be merged: https://elsewhere"):
        merge([made, other], tmp_path / "all.npy")


def test_a_root_with_two_slashes_is_one_of_this_system(tmp_path: Path) -> None:
    with CodeSetWriter(tmp_path / "codes.npy", bits=8, root="//photos/mine") as writer:
        writer.append(np.ones((1, 1), np.uint8), ["a.jpg"])
        assert writer.commit().root is not None


def test_roots_on_two_drives_do_not_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [
        CodeSet.from_arrays(np.ones((1, 1), np.uint8), 8, ["a"], root=tmp_path / name)
        for name in ("one", "two")
    ]

    def refuse(paths: object) -> str:
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", refuse)
    with pytest.raises(CodeSetError, match="different drives"):
        merge(sets, tmp_path / "merged.npy")
