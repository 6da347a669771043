"""Writing a code set in batches: what is staged, what is continued, what is refused."""

import errno
import io
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import CodeSetWriter, finish_commit
from bitcodes.errors import BitcodesError, CodeSetError

BITS = 12
COLUMNS = ("labels", "features", "stat")


def batch(number: int, rows: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    return {
        "codes": pack_bits(rng.integers(0, 2, (rows, BITS))),
        "paths": [f"{number}/{row}\n.jpg" for row in range(rows)],
        "labels": rng.integers(0, 9, rows),
        "features": rng.normal(size=(rows, 3)),
        "stat": rng.integers(0, 2**60, (rows, 2)),
    }


def write(path: Path, batches: range, **plan: Any) -> CodeSet:
    with CodeSetWriter(path, bits=BITS, columns=COLUMNS, **plan) as writer:
        for number in batches:
            writer.append(**batch(number))
        return writer.commit()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "codes.npy"


def test_batches_are_joined(out: Path) -> None:
    written = write(out, range(3))
    expected = [batch(number) for number in range(3)]
    assert written.count == 12
    assert np.array_equal(written.codes, np.concatenate([b["codes"] for b in expected]))
    assert list(written.paths) == [path for b in expected for path in b["paths"]]
    assert written.labels is not None
    assert written.labels.tolist() == [label for b in expected for label in b["labels"]]
    assert np.array_equal(
        written.features, np.concatenate([b["features"] for b in expected]).astype(np.float16)
    )
    assert np.array_equal(written.stat, np.concatenate([b["stat"] for b in expected]))
    CodeSet.open(out, verify=True)


def test_header_says_how_the_codes_were_made(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out.parent)
    told = {name: name for name in ("backbone", "engine", "dtype", "decode", "source")}
    with CodeSetWriter(
        out, bits=BITS, fingerprint="abc", root="images", run="/r", **told
    ) as writer:
        written = writer.commit()
    header = written.header
    assert {name: getattr(header, name) for name in told} == told
    assert header.fingerprint == "abc"
    assert (header.root, written.root) == ("images", out.parent / "images")
    assert (header.run, written.run) == ("/r", Path("/r"))
    assert (header.count, header.bits, header.bit_order) == (0, BITS, "msb")


def test_empty_set(out: Path) -> None:
    with CodeSetWriter(out, bits=BITS, columns=COLUMNS) as writer:
        empty = writer.commit()
    assert empty.count == 0
    assert list(empty.paths) == []
    assert empty.codes.shape == (0, 2)
    CodeSet.open(out, verify=True)


def test_continues_to_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("straight", "broken"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "straight/codes.npy", range(4))
    out = tmp_path / "broken/codes.npy"
    plan = {"bits": BITS, "columns": COLUMNS}
    with pytest.raises(KeyboardInterrupt), CodeSetWriter(out, **plan) as writer:
        writer.append(**batch(0))
        writer.append(**batch(1))
        raise KeyboardInterrupt
    with pytest.raises(CodeSetError, match="an interrupted encode waits"):
        CodeSet.open(out)
    with CodeSetWriter(out, **plan) as writer:
        assert (writer.done, writer.skipped, writer.position, writer.dropped) == (8, 0, 8, 0)
        writer.append(**batch(2))
    with CodeSetWriter(out, **plan) as writer:
        assert writer.done == 12
        writer.append(**batch(3))
        writer.commit()
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 13},
        {"columns": ("labels", "features")},
        {"fingerprint": "other"},
        {"root": "/other"},
        {"source": "other"},
        {"class_names": list("abcdefghij")},
        {"engine": "onnx"},
        {"resume": False},
    ],
)
def test_another_plan_starts_anew(out: Path, change: dict[str, Any]) -> None:
    plan: dict[str, Any] = {"bits": BITS, "columns": COLUMNS}
    with CodeSetWriter(out, **plan) as writer:
        writer.append(**batch(0))
    with CodeSetWriter(out, **plan | change) as writer:
        assert (writer.done, writer.dropped) == (0, 4)


def test_nothing_is_left_of_a_writer_that_wrote_nothing(out: Path) -> None:
    with pytest.raises(ZeroDivisionError), CodeSetWriter(out, bits=BITS) as writer:
        assert writer.done == 1 / 0
    assert list(out.parent.iterdir()) == []


def test_skips_come_with_the_next_batch(out: Path) -> None:
    plan = {"bits": BITS, "columns": COLUMNS}
    with CodeSetWriter(out, **plan) as writer:
        writer.skip("tab\there\\.jpg", "truncated:\n12 bytes")
        writer.append(**batch(0))
        writer.skip("lost.jpg", "told again next time")
        assert (writer.skipped, writer.position) == (2, 6)
    with CodeSetWriter(out, **plan) as writer:
        assert (writer.skipped, writer.position) == (1, 5)
        writer.skip("empty.jpg", "zero bytes")
        written = writer.commit()
    assert written.skipped == [
        ("tab\there\\.jpg", "truncated:\n12 bytes"),
        ("empty.jpg", "zero bytes"),
    ]
    assert (out.parent / "codes.skipped.txt").read_text().splitlines() == [
        "tab\\there\\\\.jpg\ttruncated:\\n12 bytes",
        "empty.jpg\tzero bytes",
    ]
    write(out, range(1), force=True)
    assert not (out.parent / "codes.skipped.txt").exists()


def test_all_skipped(out: Path) -> None:
    with CodeSetWriter(out, bits=BITS) as writer:
        writer.skip("a", "b")
        written = writer.commit()
    assert (written.count, written.skipped) == (0, [("a", "b")])


def as_npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("codes.npy", as_npy(np.zeros((3, 2), np.uint8))),  # codes alone
        ("codes.npy", b""),
        ("codes.json", b'{"format": "bitcodes/1", "bits": 1'),  # damaged
        ("codes.labels.npy", b"theirs"),
    ],
)
def test_what_exists_is_not_replaced_unasked(out: Path, name: str, theirs: bytes) -> None:
    (out.parent / name).write_bytes(theirs)
    with (
        pytest.raises(CodeSetError, match=rf"exists already \({name}\).*--force"),
        CodeSetWriter(out, bits=BITS),
    ):
        pass
    assert contents(out.parent) == {name: theirs}
    assert write(out, range(1), force=True).count == 4


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("codes.npy", b"theirs"),
        ("codes.npy", as_npy(np.zeros((3, 2), np.float32))),
        ("codes.npy", as_npy(np.zeros((3, 2, 2), np.uint8))),
        ("codes.json", b'{"mine": 1}'),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_code_set_is_never_replaced(
    out: Path, name: str, theirs: bytes, force: bool
) -> None:
    (out.parent / name).write_bytes(theirs)
    with (
        pytest.raises(CodeSetError, match=rf"{name} is there already and is no part of a code set"),
        CodeSetWriter(out, bits=BITS, force=force),
    ):
        pass
    assert contents(out.parent) == {name: theirs}


def test_replacing_keeps_the_old_until_the_commit(out: Path) -> None:
    write(out, range(2))
    before = contents(out.parent)
    with CodeSetWriter(out, bits=BITS, force=True) as writer:
        writer.append(batch(5)["codes"], batch(5)["paths"])
        assert CodeSet.open(out).count == 8
    with CodeSetWriter(out, bits=BITS, force=True) as writer:
        assert writer.done == 4
    assert {name: data for name, data in contents(out.parent).items() if name in before} == before
    with CodeSetWriter(out, bits=BITS, force=True) as writer:
        writer.commit()
    assert set(contents(out.parent)) == {"codes.npy", "codes.json", "codes.paths.txt"}
    assert CodeSet.open(out, verify=True).count == 4


def test_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BitcodesError, match=r"cannot write .*codes.npy: there is no folder .*b;"):
        write(tmp_path / "a/b/codes.npy", range(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((4, 3), np.uint8)}, r"\(N, 2\)"),
        ({"codes": np.full((4, 2), 255, np.uint8)}, "padding"),
        ({"paths": ["one"]}, "a path for each of 4"),
        ({"paths": ["a", "b", "c", "\ud800"]}, "cannot be stored"),
        ({"labels": None}, r"expected the columns .* found \['features', 'stat'\]"),
        ({"labels": np.zeros((4, 2), int)}, "expected labels of no columns, found 2"),
        ({"labels": [0, 1, 2]}, "N = 4"),
        ({"features": np.zeros((4, 2))}, "expected features of width 3, found 2"),
        ({"stat": np.zeros((4, 1), int)}, r"\(4, 2\)"),
    ],
)
def test_a_wrong_batch_changes_nothing(out: Path, change: dict[str, Any], message: str) -> None:
    with CodeSetWriter(out, bits=BITS, columns=COLUMNS) as writer:
        writer.append(**batch(0))
        with pytest.raises(CodeSetError, match=message):
            writer.append(**batch(1) | change)
        writer.append(**batch(1))
        assert writer.commit().count == 8
    CodeSet.open(out, verify=True)


def test_wrong_plans(out: Path) -> None:
    with pytest.raises(CodeSetError, match="bits"):
        CodeSetWriter(out, bits=0)
    with pytest.raises(CodeSetError, match="columns must be among"):
        CodeSetWriter(out, bits=8, columns=("label",))
    with pytest.raises(CodeSetError, match=r"a name like codes\.npy"):
        CodeSetWriter("codes", bits=8)
    with pytest.raises(CodeSetError, match="not open"):
        CodeSetWriter(out, bits=8).commit()


def test_one_writer_at_a_time(out: Path) -> None:
    with CodeSetWriter(out, bits=BITS) as writer:
        writer.append(batch(0)["codes"], batch(0)["paths"])
        with (
            pytest.raises(BitcodesError, match=r"codes\.npy is being written by another process"),
            CodeSetWriter(out, bits=BITS, force=True),
        ):
            pass
        assert writer.commit().count == 4
    assert not (out.parent / ".codes.npy.lock").exists()


def test_torn_tails_and_lost_blocks(out: Path) -> None:
    """Whatever a power failure does to the staged files, whole batches before it go on."""
    plan = {"bits": BITS, "columns": COLUMNS}
    write(out, range(3))
    expected = contents(out.parent)
    staging = out.parent / ".codes.npy.staging"
    names = ["codes.npy", "codes.paths.txt", "codes.labels.npy", "codes.features.npy"]
    for name in [*names, "codes.stat.npy", "codes.skipped.txt", "journal"]:
        for damage in ("longer", "shorter", "altered", "gone"):
            with CodeSetWriter(out, force=True, **plan) as writer:
                for number in range(writer.done // 4, 3):
                    writer.append(**batch(number))
            victim = staging / name
            data = victim.read_bytes()
            if damage == "gone":
                victim.unlink()
            else:
                damaged = {
                    "longer": data + b"?",
                    "shorter": data[:-1],
                    "altered": data[:-1] + b"\x80",
                }
                victim.write_bytes(damaged[damage])
            whole = 3 if damage == "longer" or not data else 0 if damage == "gone" else 2
            with CodeSetWriter(out, force=True, **plan) as writer:
                assert writer.done == 4 * whole, (name, damage)
                for number in range(whole, 3):
                    writer.append(**batch(number))
                writer.commit()
            assert contents(out.parent) == expected


@pytest.mark.parametrize("plan_damage", [None, b"", b"{}"])
def test_lost_or_damaged_plan_starts_anew(out: Path, plan_damage: bytes | None) -> None:
    with CodeSetWriter(out, bits=BITS) as writer:
        writer.append(batch(0)["codes"], batch(0)["paths"])
    plan = out.parent / ".codes.npy.staging/plan"
    plan.unlink() if plan_damage is None else plan.write_bytes(plan_damage)
    with CodeSetWriter(out, bits=BITS) as writer:
        assert writer.done == 0


def test_staged_data_changed_by_others_is_found_at_the_commit(out: Path) -> None:
    with CodeSetWriter(out, bits=BITS) as writer:
        writer.append(batch(0)["codes"], batch(0)["paths"])
        staged = out.parent / ".codes.npy.staging/codes.paths.txt"
        staged.write_bytes(staged.read_bytes().replace(b"0", b"1"))
        with pytest.raises(CodeSetError, match="another program changed this file"):
            writer.commit()


def full_after(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The disk takes `size` more bytes, the last write in part, and is full."""
    left, real = [size], os.write

    def short(descriptor: int, data: Any) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, bytes(data)[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", short)


@pytest.mark.parametrize("size", [0, 1, 8, 100, 200, 300, 330, 400])
def test_a_full_disk_leaves_a_resumable_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    for folder in ("straight", "full"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "straight/codes.npy", range(3))
    out = tmp_path / "full/codes.npy"
    plan = {"bits": BITS, "columns": COLUMNS}
    with CodeSetWriter(out, **plan) as writer:
        writer.append(**batch(0))
        full_after(monkeypatch, size)
        with pytest.raises(
            CodeSetError, match=r"codes\.npy cannot be written: No space left.*make room"
        ):
            for number in (1, 2, 3):
                writer.append(**batch(number))
        monkeypatch.undo()
        with pytest.raises(CodeSetError, match="not written whole"):
            writer.append(**batch(2))
        with pytest.raises(CodeSetError, match="not written whole"):
            writer.commit()
    with CodeSetWriter(out, **plan) as writer:
        assert writer.done >= 4
        for number in range(writer.done // 4, 3):
            writer.append(**batch(number))
        assert writer.done == 12
        writer.commit()
    assert contents(out.parent) == contents(tmp_path / "straight")


def test_a_disk_full_at_the_commit(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CodeSetWriter(out, bits=BITS) as writer:
        writer.append(batch(0)["codes"], batch(0)["paths"])
        full_after(monkeypatch, 5)
        with pytest.raises(CodeSetError, match="No space left"):
            writer.commit()
    monkeypatch.undo()
    with CodeSetWriter(out, bits=BITS) as writer:
        assert writer.done == 4
        assert writer.commit().count == 4
    assert CodeSet.open(out, verify=True).count == 4


def test_folders_that_refuse(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BitcodesError, match=r"cannot write .*codes.npy: .*file is not a folder"),
        CodeSetWriter(tmp_path / "file/codes.npy", bits=BITS),
    ):
        pass


def test_finish_commit_where_there_is_none(out: Path) -> None:
    assert not finish_commit(out)
    write(out, range(1))
    assert not finish_commit(out)
    assert "codes.npy" in contents(out.parent)


def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("staging", "paths"):
        monkeypatch.setattr(f"bitcodes.codes.{module}._CHUNK", 4096)
    rows = batch(0, rows=100)

    def peak(batches: int, name: str) -> int:
        tracemalloc.start()
        with CodeSetWriter(tmp_path / name, bits=BITS, columns=COLUMNS) as writer:
            for _ in range(batches):
                writer.append(**rows)
            written = writer.commit()
        assert written.paths[-1] == rows["paths"][-1]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # The least of three: other threads of this process may have memory of their own.
    few, many = (
        min(peak(batches, f"{batches}-{i}.npy") for i in range(3)) for batches in (20, 200)
    )
    assert many < 1.2 * few


def test_reading_codes_imports_neither_torch_nor_numba() -> None:
    code = (
        "import sys, bitcodes.codes.writer; "
        "sys.exit(bool({'torch', 'numba', 'PIL'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
