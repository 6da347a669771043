"""The memory of `bitcodes serve` during an hour at half of what it can answer.

    python benchmarks/serving_hour.py --photos photos.tar --out hour.tsv

First finds out how many requests per second are answered as fast as clients can ask; then asks half
as many for the time given. Each minute, a line tells the resident memory of the server, and how
many requests were answered. Requests are mixed: see _MIX. Linux only.
"""

import argparse
import http.client
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from machine import processor
from serving import ours, running

from bitcodes.codes.codeset import CodeSet
from bitcodes.machine import core_count

_CLIENTS = 4
_MIX = {"row": 60, "image": 5, "thumbnail": 20, "page": 10, "filter": 4, "duplicates": 1}
"""Of 100 requests, how many are of each kind."""


class Client:
    """Asks a service for random things of the mix, over one connection."""

    def __init__(self, port: int, count: int, photos: Sequence[bytes], seed: int) -> None:
        self._web = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._count, self._photos, self._random = count, photos, random.Random(seed)

    def ask(self) -> str:
        """One request; returns its kind and status."""
        kind = self._random.choices([*_MIX], [*_MIX.values()])[0]
        row = self._random.randrange(self._count)
        body = self._random.choice(self._photos) if kind == "image" else None
        size = self._random.choice(("small", "medium", "large"))
        address = {
            "row": f"/v1/search?k=10&row={row}",
            "image": "/v1/search?k=10",
            "thumbnail": f"/v1/images/{row}/thumbnail?size={size}",
            "page": self._random.choice(("/", "/page/main.js", "/v1/info", "/v1/clusters")),
            "filter": f"/v1/search?row={row}&glob=*{row % 10}.jpg",
            "duplicates": "/v1/duplicates?limit=20",
        }[kind]
        self._web.request("POST" if body else "GET", address, body)
        answer = self._web.getresponse()
        answer.read()
        return f"{kind} {answer.status}"


def drive(clients: Sequence[Client], seconds: float, rate: float | None) -> Counter[str]:
    """Ask for some seconds, `rate` times per second or as fast as there are answers; counts."""
    answers: Counter[str] = Counter()
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def work(client: Client) -> None:
        due = time.monotonic()
        while time.monotonic() < end:
            answer = client.ask()
            with lock:
                answers[answer] += 1
            if rate is not None:
                due = max(due + len(clients) / rate, time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def memory(process: int) -> int:
    """Resident memory in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


def main() -> None:
    """Run the load, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serve-hour-") as folder:
        subprocess.run(["tar", "xf", options.photos, "-C", folder], check=True)
        codes = Path(folder) / "codes.npy"
        encode = [sys.executable, "-m", "bitcodes", "encode", folder, "--run", "built-in"]
        subprocess.run([*encode, "-o", str(codes)], check=True, capture_output=True)
        database = CodeSet.open(codes)
        photos = [Path(folder, path).read_bytes() for path in database.paths]
        with (
            running(ours(codes, 8221), 8221) as (process, _),
            options.out.open("w") as table,
        ):
            clients = [Client(8221, database.count, photos, seed) for seed in range(_CLIENTS)]
            rate = drive(clients, 30, None).total() / 30 / 2
            print(f"# {processor()}, {core_count()} cores", file=table)
            print(f"# {rate:.0f} requests/s, half of what was answered", file=table)
            print("minute\tMB\tanswers", file=table, flush=True)
            for minute in range(options.minutes + 1):
                answers = drive(clients, 60, rate) if minute else Counter[str]()
                line = f"{minute}\t{memory(process) / 1e6:.1f}\t{dict(sorted(answers.items()))}"
                print(line, file=table, flush=True)


if __name__ == "__main__":
    main()
