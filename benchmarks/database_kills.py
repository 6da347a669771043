"""Kill `bitcodes push`, or the server, while a push is under way: the old set or the new one stays.

    python benchmarks/database_kills.py --kills 50

Starts a server of its own (fsync on), in which a small set is pushed again and again. A connection
watches the transaction of each push in pg_stat_activity, and strikes at moments that are spread
over how long the transaction takes. Either the client gets SIGKILL, or the server and all its
processes; it is then started again. After each, what the table holds is compared with both sets,
and the set is pushed again.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg

from bitcodes.cli.app import main as command
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import CodeSetWriter, plan_of
from bitcodes.databases.urls import open_store
from bitcodes.errors import BitcodesError, CodeSetError
from bitcodes.tasks.push import push

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres_server import PASSWORD, Server, running_server

COUNT, BITS = 20_000, 64  # from 10,000 codes on, a table has indexes
REPLACES = 20
_fork = multiprocessing.get_context("fork")

WATCH = """
    SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8, query FROM pg_stat_activity
    WHERE application_name = 'pushing' AND backend_xid IS NOT NULL
"""
"""The transaction of a push from the first thing that it writes on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each kind and command")
    parser.add_argument("--killed", nargs="+", choices=KILLS, default=list(KILLS))
    options = parser.parse_args()
    os.environ["PGPASSWORD"] = PASSWORD
    with tempfile.TemporaryDirectory() as name, running_server("fsync=on") as server:
        pair = Pair(Path(name))
        print("| killed | command | kills | old set | new set | mixed | second push | at |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for whom in options.killed:
            for flags in ([], ["--update"]):
                campaign(server, pair, flags, options.kills, whom, KILLS[whom])
        print("\n| replaces | reads | old set | new set | mixed | errors |")
        print("| --- | --- | --- | --- | --- | --- |")
        read_meanwhile(server, pair)


class Pair:
    """Two sets, which differ in a hundred codes, and their files."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "old.npy", folder / "new.npy"]
        for number, file in enumerate(self.files):
            codes = np.random.default_rng(0).integers(0, 256, (COUNT, BITS // 8), np.uint8)
            codes[:: COUNT // 100] ^= 255 * number
            paths = [f"{row:06}.jpg" for row in range(COUNT)]
            code_set = CodeSet.from_arrays(codes, BITS, paths, fingerprint="kills")
            with CodeSetWriter(file, **plan_of(code_set)) as writer:
                writer.copy(code_set, 0, COUNT)
                writer.commit()
        self.old, self.new = map(CodeSet.open, self.files)

    def which(self, url: str) -> str:
        """Which of them the table holds now."""
        with open_store(url) as store, store.reading():
            now, count = store.read(), len(store)
            distances, rows = store.search(now.codes[:1], 1)
        same = count == COUNT and not distances.any() and not rows.any()
        for name, one in (("old", self.old), ("new", self.new)):
            if same and np.array_equal(now.codes, one.codes) and list(now.paths) == list(one.paths):
                return name
        return "mixed"


def campaign(
    server: Server,
    pair: Pair,
    flags: list[str],
    kills: int,
    whom: str,
    kill: Callable[[Server], None] | None,
) -> None:
    """Kill so many pushes, at moments that are spread over the transaction."""
    words = ["push", str(pair.files[1]), server.url, *flags]
    seen: Counter[str] = Counter()
    second: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    whole = duration(server, pair, words)
    number = tries = 0
    while number < kills:
        tries += 1
        if tries > 20 * kills:
            raise SystemExit(f"only {number} of {tries} attempts struck while a push was under way")
        push(pair.old, server.url)
        client = _fork.Process(target=run, args=(words,))
        with watching(server) as look:
            client.start()
            phase = wait(look, client, whole * (number + 0.5) / kills)
            if phase is None:  # it was faster than the one before
                whole *= 0.97
                client.join()
                continue
            if kill is None:
                client.kill()
        if kill is not None:
            kill(server)
            server.start()
        client.join()
        if client.exitcode == 0:
            continue  # it had ended before it was hit
        number += 1
        phases[phase] += 1
        seen[pair.which(server.url)] += 1
        second[again(server, pair, bool(flags))] += 1
        check_rest(server)
    cells = [whom, " ".join(["push", *flags]), kills]
    cells += [seen[kind] for kind in ("old", "new", "mixed")]
    cells += [listed(second), listed(phases)]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def run(words: list[str]) -> None:
    """The command, in a process of its own; what it says is not shown."""
    os.environ["PGAPPNAME"] = "pushing"
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stderr(nothing),
        contextlib.redirect_stdout(nothing),
    ):
        command(words)


@contextlib.contextmanager
def watching(server: Server) -> Iterator[Callable[[], tuple[float, str] | None]]:
    """A look at the transaction of a push: its age, and what it does; None if none is open."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        yield lambda: connection.execute(WATCH, prepare=True).fetchone()


def wait(look: Callable[[], tuple[float, str] | None], client: object, age: float) -> str | None:
    """Wait until the transaction of the push is so old; what it does then, or None if it ended."""
    was_open = False
    while client.is_alive():  # type: ignore[attr-defined]
        now = look()
        if now is None and was_open:
            return None
        was_open = now is not None
        if now is not None and now[0] >= age:
            return phase_of(now[1])
    return None


def phase_of(query: str) -> str:
    """What a push does, in a word or two."""
    query = " ".join(query.split())
    for beginning, phase in (
        ("COPY", "copying"),
        ('ALTER TABLE "bitcodes_new', "indexing"),
        ("CREATE INDEX", "indexing"),
        ("ANALYZE", "analysing"),
        ("COMMIT", "committing"),
        ("WITH rows", "comparing"),
        ("DELETE", "writing rows"),
        ("UPDATE", "writing rows"),
        ('INSERT INTO "', "writing rows"),
    ):
        if query.startswith(beginning):
            return "renaming" if "RENAME" in query else phase
    return "between"


def duration(server: Server, pair: Pair, words: list[str]) -> float:
    """Seconds that the transaction of an undisturbed push takes."""
    push(pair.old, server.url)
    client = _fork.Process(target=run, args=(words,))
    oldest = 0.0
    with watching(server) as look:
        client.start()
        while client.is_alive():
            now = look()
            oldest = max(oldest, now[0] if now is not None else 0.0)
    client.join()
    assert client.exitcode == 0 and pair.which(server.url) == "new"
    return oldest


def kill_all(server: Server) -> None:
    """End the server and all its processes with SIGKILL, the first one first."""
    first = server.process.pid
    words = ["ps", "-A", "-o", "pid=,ppid="]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = [line.split() for line in lines]
    children = [int(pid) for pid, parent in pairs if int(parent) == first]
    for pid in (first, *children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    while any(map(is_there, children)):
        time.sleep(0.005)


def is_there(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def again(server: Server, pair: Pair, update: bool) -> str:
    """Push again at once: it wins, or is refused because the killed one has not been ended yet."""
    try:
        push(pair.new, server.url, update=update)
    except CodeSetError as error:
        if "another process is writing" not in str(error):
            return "failed"
        return "refused" if pair.which(server.url) in ("old", "new") else "mixed"
    return "won" if pair.which(server.url) == "new" else "mixed"


def check_rest(server: Server) -> None:
    """No table of a push that was killed may be left."""
    with psycopg.connect(server.url) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^bitcodes_(new|incoming)'"
            " AND relkind = 'r' AND relpersistence <> 't'"
        ).fetchall()
    assert not left, left


def read_meanwhile(server: Server, pair: Pair) -> None:
    """Read and search in two threads while the set is replaced."""
    seen: Counter[str] = Counter()
    end = threading.Event()

    def read() -> None:
        while not end.is_set():
            try:
                seen[pair.which(server.url)] += 1
            except BitcodesError as error:
                seen["error"] += 1
                print(error, file=sys.stderr)

    push(pair.old, server.url)
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(REPLACES):
        push(pair.old if number % 2 else pair.new, server.url)
    end.set()
    for thread in threads:
        thread.join()
    cells = [REPLACES, seen.total(), *(seen[kind] for kind in ("old", "new", "mixed", "error"))]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in counts.most_common())


KILLS: dict[str, Callable[[Server], None] | None] = {"client": None, "server": kill_all}

if __name__ == "__main__":
    main()
