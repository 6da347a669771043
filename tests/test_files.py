"""Files written whole or not at all; locks that die with their holder."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bitcodes import files
from bitcodes.errors import BitcodesError
from bitcodes.files import (
    atomic_write,
    fsync_dir,
    lock,
    make_readable,
    remove_left_lock,
    write_json_atomic,
)

HOLD = """
import sys, time
from pathlib import Path
from bitcodes.files import lock
with lock(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def is_free(path: Path) -> bool:
    try:
        with lock(path, "the run"):
            return True
    except BitcodesError:
        return False


# --- drives that lack something ---


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(files, "_told", set())
    monkeypatch.setattr(files, "_listeners", [lines.append])
    return lines


def fail_with(number: int) -> Any:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.posix
def test_a_drive_that_cannot_bring_folders_to_the_disk(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2):
        write_json_atomic(tmp_path / "a", 1)
    assert told == [
        f"new files may be lost if the power fails now (the drive with {tmp_path} answers: "
        "Invalid argument)"
    ]
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        fsync_dir(tmp_path)


@pytest.mark.posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_drive_without_locks(
    tmp_path: Path, told: list[str], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", fail_with(number))
    for _ in range(2):
        with lock(tmp_path / "lock", "the run"):
            write_json_atomic(tmp_path / "a", 1)
    with lock(tmp_path / "other", "the codes"):  # of which nobody needs to be told again
        pass
    assert told == [
        "nothing keeps another process from writing the run too (the drive with "
        f"{tmp_path} answers: {os.strerror(number)})"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_drive_without_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "chmod", fail_with(errno.EPERM))
    make_readable(tmp_path)
    monkeypatch.setattr(Path, "chmod", fail_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        make_readable(tmp_path)


# --- atomic writes ---


def test_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, "w") as file:
        file.write("né\r\nw\n")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == "né\r\nw\n".encode()
    with atomic_write(path) as file:
        file.write(b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_leaves_nothing_on_failure(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path, "w") as file:
        file.write("new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_leaves_nothing_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"), atomic_write(tmp_path / "a", "w") as file:
        file.write("new")
    assert list(tmp_path.iterdir()) == []


WRITE = """
import sys, time
from pathlib import Path
from bitcodes.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.mark.posix
def test_what_a_killed_process_was_writing_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with subprocess.Popen([sys.executable, "-c", WRITE, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        begun = {file: file.read_bytes() for file in tmp_path.iterdir()}
        assert list(begun.values()) == [b"half"]
        with atomic_write(path) as file:  # beside the other, which lives
            file.write(b"one")
        assert begun == {file: file.read_bytes() for file in tmp_path.iterdir() if file != path}
        writer.kill()
    with atomic_write(path) as file:
        file.write(b"two")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"two"


def test_where_files_cannot_be_locked_only_old_ones_are_taken_for_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_CAN_LOCK", False)
    left = tmp_path / ".a.0.tmp"
    for age, remains in ((0, True), (2 * 3600, False)):
        left.write_bytes(b"half")
        os.utime(left, (time.time() - age,) * 2)
        with atomic_write(tmp_path / "a") as file:
            file.write(b"new")
        assert left.exists() == remains
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.posix
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / ".a.0.tmp").symlink_to("precious")
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_two_writers_of_one_file_at_once(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as one, atomic_write(tmp_path / "a") as two:
        one.write(b"one")
        two.write(b"two")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_lock_file_that_was_left_is_removed_and_one_that_is_held_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    remove_left_lock(path)
    assert not path.exists()
    remove_left_lock(path)
    with lock(path, "it"):
        remove_left_lock(path)
        assert path.exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.posix
def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as file:
            file.write(b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be synced")
def test_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1]
        )
    with atomic_write(tmp_path / "a") as file:
        file.write(b"x")
    assert calls == ["fsync", "replace", "fsync"]  # the content, the name, the folder


def test_an_open_file_is_not_replaced_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    for posix, error in [(True, PermissionError), (False, BitcodesError)]:
        monkeypatch.setattr(files, "_POSIX", posix)
        with pytest.raises(error, match="denied"), atomic_write(tmp_path / "a") as file:
            file.write(b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_closed_before_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, closed = os.replace, []
    with atomic_write(tmp_path / "a") as file:
        monkeypatch.setattr(
            os, "replace", lambda *names: (closed.append(file.closed), real(*names))
        )
    assert closed == [True]


def test_json(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json_atomic(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert "é" in text


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be synced")
def test_fsync_dir_of_a_missing_folder(tmp_path: Path) -> None:
    fsync_dir(tmp_path)
    with pytest.raises(FileNotFoundError):
        fsync_dir(tmp_path / "missing")


# --- locks ---


def test_held_once_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, "the run"):
        with (
            pytest.raises(BitcodesError, match=rf"the run is being written by another.*{path}"),
            lock(path, "the run"),
        ):
            pass
        assert path.exists()
    assert not path.exists()
    assert is_free(path)


def test_freed_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock(tmp_path / "lock", "it"):
        raise KeyboardInterrupt
    assert is_free(tmp_path / "lock")


def test_a_file_left_over_is_not_a_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("left by a killed process")
    assert is_free(tmp_path / "lock")


def test_freed_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not is_free(path)
        holder.kill()
    assert is_free(path)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from bitcodes.files import lock
with lock(Path(sys.argv[1]), "it"):
    if not os.fork():
        print(os.getpid(), flush=True)  # the child has let go of the lock by now
    time.sleep(60)
"""


@needs_fork
@pytest.mark.posix
def test_a_child_that_outlives_the_killed_holder_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_FORK, path], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert not is_free(path)
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # it lives
        assert is_free(path)
        os.kill(child, signal.SIGKILL)


@needs_fork
@pytest.mark.posix
def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    """Workers that outlive a killed parent must not keep the next run from starting."""
    path = tmp_path / "lock"
    with lock(path, "it"):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        assert not is_free(path)
    assert is_free(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@needs_fork
@pytest.mark.posix
def test_a_forked_child_does_not_free_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, "it"):
        child = os.fork()
        if not child:
            try:
                with lock(tmp_path / "its own", "it"):
                    pass
                raise SystemExit
            finally:  # leave the block as a child would that exits in it
                os._exit(path.exists())
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        assert not is_free(path)


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be removed")
def test_a_lock_file_removed_by_someone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, "it"):
        path.unlink()
        with lock(path, "it"):
            pass
        path.write_text("of another")
    assert path.read_text() == "of another"


def test_never_two_at_once(tmp_path: Path) -> None:
    """Threads that take and remove the file in turn, as fast as they can."""
    inside, met, taken = [0], [0], [0]
    until = time.monotonic() + 0.5

    def work() -> None:
        while time.monotonic() < until:
            try:
                with lock(tmp_path / "lock", "it"):
                    inside[0] += 1
                    met[0] += inside[0] != 1
                    taken[0] += 1
                    inside[0] -= 1
            except BitcodesError:
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met[0] == 0
    assert taken[0] > 0


@pytest.mark.posix
def test_where_nothing_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, *rest: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "open", refuse)
    message = rf"^cannot write the run: Read-only file system \({tmp_path}\); write to a folder"
    with pytest.raises(BitcodesError, match=message), lock(tmp_path / "lock", "the run"):
        pass


def test_where_no_lock_can_be(tmp_path: Path) -> None:
    with (
        pytest.raises(BitcodesError, match=r"cannot lock the run with .*No such file"),
        lock(tmp_path / "missing/lock", "the run"),
    ):
        pass
