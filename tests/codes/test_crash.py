"""A writer that dies at any step leaves the old set or the new one, and the next one goes on."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import CodeSetWriter, finish_commit, save_code_set
from bitcodes.errors import BitcodesError, CodeSetError

BITS = 12
BATCHES = 2
STEPS = (
    "open",
    "write",
    "pwrite",
    "ftruncate",
    "fsync",
    "replace",
    "unlink",
    "mkdir",
    "rmdir",
)  # all calls with which the writer changes a file system


class Crash(BaseException):
    """What no handler in the code under test may catch."""


def batch(number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    return {
        "codes": pack_bits(rng.integers(0, 2, (3, BITS))),
        "paths": [f"{number}/{row}.jpg" for row in range(3)],
        "features": rng.normal(size=(3, 2)),
    }


def encode(out: Path) -> None:
    """What an encode does: nothing if the set is there, else go on to the end."""
    finish_commit(out)
    if out.exists() and CodeSet.open(out).header.source == "new":
        return
    with CodeSetWriter(out, bits=BITS, columns=("features",), source="new", force=True) as writer:
        for number in range(writer.done // 3, BATCHES):
            if number == 1:
                writer.skip("broken.jpg", "truncated")
            writer.append(**batch(number))
        writer.commit()


def make_old(out: Path) -> None:
    labels = np.arange(5)
    made = CodeSet.from_arrays(np.zeros((5, 2), np.uint8), BITS, labels=labels, stat=[[1, 2]] * 5)
    save_code_set(made, out)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by name; a folder left over raises."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def seen(out: Path) -> str:
    """A digest of all that a reader sees, or "nothing"."""
    try:
        found = CodeSet.open(out)
    except CodeSetError as error:
        assert "no such code set" in str(error)
        return "nothing"
    found.verify()
    arrays = (found.codes, found.labels, found.features, found.stat)
    parts = [None if array is None else array.tolist() for array in arrays]
    return hashlib.sha256(repr((parts, list(found.paths), found.skipped)).encode()).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(params=["first", "replaced"])
def start(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """What is there before: nothing, or another set with other sidecars."""
    return make_old if request.param == "replaced" else lambda out: None


def interrupt(patch: pytest.MonkeyPatch, step: int, stop: Callable[[], None]) -> list[int]:
    """Call `stop` in place of the step-th change; of a write, after half of it. Counts steps."""
    count = [0]

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == step:
                if name in ("write", "pwrite"):
                    half = bytes(arguments[1])[: len(arguments[1]) // 2]
                    real(arguments[0], half, *arguments[2:])
                stop()
            return real(*arguments, **named)

        return call

    for name in STEPS:
        if hasattr(os, name):
            patch.setattr(os, name, wrap(name, getattr(os, name)))
    return count


def steps_of_an_encode(out: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        count = interrupt(patch, -1, lambda: None)
        encode(out)
        return count[0]


def crash(out: Path, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def stop() -> None:
            raise Crash

        interrupt(patch, step, stop)
        with pytest.raises(Crash):
            encode(out)


def kill(out: Path, step: int) -> None:
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
            encode(out)
        os._exit(0)  # not reached
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def disk_full(out: Path, step: int) -> None:
    def stop() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, step, stop)
        try:
            encode(out)
        except BitcodesError as error:
            assert "No space left" in str(error)


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.mark.parametrize("end", [crash, pytest.param(kill, marks=FORKS), disk_full])
def test_the_end_at_any_step(
    tmp_path: Path, start: Callable[[Path], None], end: Callable[[Path, int], None]
) -> None:
    whole = tmp_path / "whole" / "codes.npy"
    whole.parent.mkdir()
    start(whole)
    old = seen(whole)
    steps = steps_of_an_encode(whole)
    new, expected = seen(whole), contents(whole.parent)
    assert steps > 50

    turned = []
    for step in range(1, steps + 1):
        out = tmp_path / str(step) / "codes.npy"
        out.parent.mkdir()
        start(out)
        end(out, step)
        found = seen(out)
        assert found in (old, new), f"step {step}"
        turned.append(found == new)
        encode(out)
        assert contents(out.parent) == expected, f"step {step}"
    # There is one moment at which the old set becomes the new one (a full disk may be got over).
    assert set(turned) == {False, True}
    assert turned == sorted(turned) or end is disk_full


def test_a_second_end_while_going_on(tmp_path: Path, start: Callable[[Path], None]) -> None:
    whole = tmp_path / "whole" / "codes.npy"
    whole.parent.mkdir()
    start(whole)
    old = seen(whole)
    steps = steps_of_an_encode(whole)
    new, expected = seen(whole), contents(whole.parent)
    rng = np.random.default_rng(0)
    for trial in range(12):
        out = tmp_path / str(trial) / "codes.npy"
        out.parent.mkdir()
        start(out)
        before = False
        for _ in range(4):
            with pytest.MonkeyPatch.context() as patch:

                def stop() -> None:
                    raise Crash

                interrupt(patch, int(rng.integers(1, steps)), stop)
                with suppress(Crash):
                    encode(out)
            found = seen(out)
            assert found in (old, new)
            assert found == new or not before  # never back
            before = found == new
        encode(out)
        assert contents(out.parent) == expected


def test_damaged_commit_files_are_errors(tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    make_old(out)
    old = seen(out)
    step = 1
    while not (tmp_path / ".codes.npy.staging/commit").exists():
        crash(out, step)
        step += 1
    assert seen(out) != old
    commit = tmp_path / ".codes.npy.staging/commit"
    data = commit.read_bytes()
    damaged = [data[:size] for size in range(len(data))]
    for place in range(len(data)):
        flipped = (bytes([data[place] ^ flip]) for flip in (0x01, 0x20, 0x80))
        damaged += [data[:place] + byte + data[place + 1 :] for byte in flipped]
    for wrong in [*damaged, b"[]", b"{}", b'{"files": 1}', b'{"files": [[]]}']:
        commit.unlink()
        commit.write_bytes(wrong)
        with pytest.raises(CodeSetError, match=r"commit: .*damaged"):
            CodeSet.open(out)
        with pytest.raises(CodeSetError, match=r"commit: .*damaged"):
            finish_commit(out)
    commit.write_bytes(data)
    assert finish_commit(out)
    assert seen(out) != old


def test_readers_leave_an_unfinished_commit_alone(tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    step = 1
    while not (tmp_path / ".codes.npy.staging/commit").exists():
        crash(out, step)
        step += 1
    staging = contents(tmp_path / ".codes.npy.staging")
    new = seen(out)
    for _ in range(2):
        assert seen(out) == new != "nothing"
    assert contents(tmp_path / ".codes.npy.staging") == staging
    assert list(tmp_path.iterdir()) == [tmp_path / ".codes.npy.staging"]
    reader = CodeSet.open(out)
    assert finish_commit(out)
    reader.verify()
    assert seen(out) == new


def sets_of_two_versions() -> list[CodeSet]:
    """Two sets whose files have the same sizes."""
    return [
        CodeSet.from_arrays(np.full((4, 2), 0, np.uint8), BITS, paths=["old"] * 4),
        CodeSet.from_arrays(np.full((4, 2), 16, np.uint8), BITS, paths=["new"] * 4),
    ]


def version_read(out: Path) -> str:
    """Which of the two versions a reader finds, and finds whole."""
    # Without checksums, so that a mix would not be noticed.
    found = CodeSet.open(out, verify=False)
    kind = found.paths[0]
    assert found.codes.tolist() == [[16 * (kind == "new")] * 2] * 4
    return kind


@FORKS
@pytest.mark.posix
def test_readers_beside_a_busy_writer_see_whole_sets(tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    sets = sets_of_two_versions()
    save_code_set(sets[0], out)
    child = os.fork()
    if not child:
        for number in range(80):
            save_code_set(sets[number % 2], out, force=True)
        os._exit(0)
    opened = {"old": 0, "new": 0}
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        opened[version_read(out)] += 1
    assert min(opened.values()) > 0


class PacedWriter(threading.Thread):
    """Saves two sets in turn, and waits before every change of a name until it is to go on."""

    CHANGES = ("open", "replace", "unlink", "mkdir", "rmdir")

    def __init__(self, out: Path, patch: pytest.MonkeyPatch):
        super().__init__(daemon=True)
        self._out = out
        self._go, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._ends = False
        self.versions = 0
        for name in self.CHANGES:
            patch.setattr(os, name, self._paced(getattr(os, name)))

    def _paced(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is self and not self._ends:
                self._waits.release()
                self._go.acquire()
            return real(*arguments, **named)

        return call

    def run(self) -> None:
        sets = sets_of_two_versions()
        while not self._ends:
            save_code_set(sets[self.versions % 2], self._out, force=True)
            self.versions += 1
        self._waits.release()

    def advance(self) -> None:
        """Let it make one change."""
        self._waits.acquire()
        self._go.release()

    def end(self) -> None:
        """Let it finish its set."""
        self._waits.acquire()
        self._ends = True
        self._go.release()
        self.join()


@pytest.mark.posix
@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_goes_on_between_any_two_looks_of_a_reader(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "codes.npy"
    save_code_set(sets_of_two_versions()[1], out)
    rng = random.Random(seed)
    writer = PacedWriter(out, monkeypatch)
    budget = [0]  # changes that the writer may make during one opening

    def looks(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not writer and budget[0] and rng.random() < 0.3:
                steps = min(budget[0], rng.choice((1, 1, 2, 5, 20)))
                budget[0] -= steps
                for _ in range(steps):
                    writer.advance()
            return real(*arguments, **named)

        return call

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, looks(getattr(os, name)))
    writer.start()
    opened = set()
    for _ in range(150):
        budget[0] = 60
        opened.add(version_read(out))
    budget[0] = 0
    writer.end()
    assert opened == {"old", "new"}
    assert writer.versions > 20


PACED_ENCODE = """
import sys
from pathlib import Path
import numpy as np
from bitcodes.codes.writer import CodeSetWriter
with CodeSetWriter(Path(sys.argv[1]), bits=12, columns=("labels",), source="slow") as writer:
    for number in range(writer.done // 64, 60):
        codes = np.full((64, 2), 16 * (number % 16), np.uint8)
        writer.append(codes, [f"{number}/{row}" for row in range(64)], labels=np.arange(64))
        print(number, flush=True)
        sys.stdin.readline()
    writer.commit()
"""


def test_real_processes_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PACED_ENCODE]
    go = b"\n" * 60
    whole, out = tmp_path / "whole" / "codes.npy", tmp_path / "killed" / "codes.npy"
    for folder in (whole.parent, out.parent):
        folder.mkdir()
    subprocess.run([*command, whole], check=True, input=go, stdout=subprocess.DEVNULL)
    for batches in (1, 7, 20):
        pipe = subprocess.PIPE
        with subprocess.Popen([*command, out], stdin=pipe, stdout=pipe, bufsize=0) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(batches):
                assert process.stdout.readline()
                process.stdin.write(b"\n")
            process.kill()  # at work on the next batch
        assert not out.exists()
    last = subprocess.run([*command, out], check=True, input=go, stdout=subprocess.PIPE)
    assert 1 + 7 + 20 <= int(last.stdout.split()[0]) <= 1 + 7 + 20 + 3
    assert contents(out.parent) == contents(whole.parent)
