"""Kill `bitcodes push` at many moments: the database holds the old set or the new one.

    python benchmarks/database_kills.py postgresql://user@host/db --kills 50

A push, and a push --update, are ended with SIGKILL after a time that is spread over how long they
take. After each, what the table holds is compared with both sets, and the push is run again.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import CodeSetWriter, plan_of
from bitcodes.databases.urls import open_store
from bitcodes.tasks.push import push

COUNT, BITS = 60_000, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="with the table to write, which gets lost")
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    print("| command | kills | old set | new set | mixed | second push fails |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        files = [save(Path(name, f"{kind}.npy"), kind) for kind in ("old", "new")]
        for flags in ([], ["--update"]):
            campaign(options.url, files, flags, options.kills // 2)


def save(file: Path, kind: str) -> Path:
    """A code set; the new one differs from the old one in a hundred codes."""
    codes = np.random.default_rng(0).integers(0, 256, (COUNT, BITS // 8), np.uint8)
    if kind == "new":
        codes[:: COUNT // 100] ^= 255
    paths = [f"{row:06}.jpg" for row in range(COUNT)]
    code_set = CodeSet.from_arrays(codes, BITS, paths, fingerprint="kills")
    with CodeSetWriter(file, **plan_of(code_set)) as writer:
        writer.copy(code_set, 0, COUNT)
        writer.commit()
    return file


def campaign(url: str, files: list[Path], flags: list[str], kills: int) -> None:
    old, new = (CodeSet.open(file) for file in files)
    command = [sys.executable, "-m", "bitcodes", "push", str(files[1]), url, *flags]
    push(old, url)
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - started
    seen = {"old": 0, "new": 0, "mixed": 0, "failed": 0}
    killed = 0
    for number in range(kills):
        push(old, url)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.3 + 0.7 * number / kills))  # before, Python starts
        process.send_signal(signal.SIGKILL)
        killed += process.wait() != 0
        with open_store(url) as store:
            now = store.read().codes
        kind = next(
            (n for n, s in (("old", old), ("new", new)) if np.array_equal(now, s.codes)), ""
        )
        seen[kind or "mixed"] += 1
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        with open_store(url) as store:
            complete = np.array_equal(store.read().codes, new.codes)
        # The server may still be ending the transaction of the killed one: that is refused.
        refused = "another process is writing" in again.stderr
        seen["failed"] += not (complete and not again.returncode) and not refused
    cells = [" ".join(["push", *flags]), killed, *seen.values()]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
