"""`bitcodes serve` under load, beside a constant answer and FAISS behind FastAPI.

    python benchmarks/serving.py rows --codes clustered uniform
    python benchmarks/serving.py images --photos photos.tar

The load is made by wrk (Debian: apt install wrk), on the same machine. Servers take turns; the
figures are medians of the rounds. Every answer of ours is counted only if its status is 200.
"""

import argparse
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from machine import processor
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.machine import core_count
from bitcodes.tasks.index import build_index

COUNT, BITS = 10**6, 64
COPIES = 8
"""How often each image is encoded, so that the start of the command counts little."""
HERE = Path(__file__).parent
_ROWS = """
math.randomseed(os.time())
request = function()
  return wrk.format("GET", "/v1/search?k=10&row=" .. math.random(0, %d))
end
"""
_IMAGES = """
local bodies = {}
for name in io.lines("%s") do
  local file = io.open(name, "rb"); bodies[#bodies + 1] = file:read("*all"); file:close()
end
local turn = 0
local headers = {["Content-Type"] = "image/jpeg"}
request = function()
  turn = turn %% #bodies + 1
  return wrk.format("POST", "/v1/search?k=10", headers, bodies[turn])
end
"""


def make_codes(kind: str) -> NDArray[np.uint8]:
    """A million codes of 64 bits: uniform, or with 5 % of bits flipped around 1,000 centers."""
    rng = np.random.default_rng(0)
    if kind == "uniform":
        return rng.integers(0, 256, (COUNT, BITS // 8), np.uint8)
    centers = rng.integers(0, 256, (1000, BITS // 8), np.uint8)
    codes = centers[rng.integers(0, 1000, COUNT)]
    for start in range(0, COUNT, 10**5):
        flips = rng.random((10**5, BITS)) < 0.05
        codes[start : start + 10**5] ^= np.packbits(flips, axis=1)
    return codes


@contextmanager
def running(command: Sequence[str], port: int, **environment: str) -> Iterator[tuple[int, str]]:
    """A server in another process, when it answers; yields the process and the address."""
    process = subprocess.Popen(
        [*command], env=os.environ | environment, stderr=subprocess.DEVNULL, cwd=HERE
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"{address}/v1/search?row=1&k=10").read()
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield process.pid, address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def peer(name: str, port: int) -> list[str]:
    """The command that runs an app of serving_peers.py."""
    app = f"serving_peers:{name}"
    options = ("--port", str(port), "--no-access-log", "--log-level", "error")
    return [sys.executable, "-m", "uvicorn", app, *options]


def ours(codes: Path, port: int) -> list[str]:
    """The command that runs `bitcodes serve`."""
    return [sys.executable, "-m", "bitcodes", "serve", str(codes), "--port", str(port)]


def load(address: str, script: str, clients: int, seconds: float) -> tuple[float, float, float]:
    """Requests/s, and the latencies p50 and p99 in ms, of wrk with some clients."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", "--timeout"]
        command += ["30s", "-s", file.name, address]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"requests failed:\n{done.stdout}")
    rate = float(re.findall(r"Requests/sec: +([\d.]+)", done.stdout)[0])
    parts = [re.findall(rf"{share}% +([\d.]+)(us|ms|s)", done.stdout)[0] for share in (50, 99)]
    factor = {"us": 1e-3, "ms": 1, "s": 1e3}
    p50, p99 = (float(number) * factor[unit] for number, unit in parts)
    return rate, p50, p99


def processor_time(process: int) -> float:
    """Seconds that all threads of a process computed until now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_rows(kind: str, seconds: float, rounds: int) -> None:
    """Searches by row among codes of a kind: a table."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        codes = make_codes(kind)
        np.save(plain := Path(folder) / "plain.npy", codes)
        stored = Path(folder) / "codes.npy"
        save_code_set(CodeSet.from_arrays(codes, BITS), stored)
        build_index(stored)
        with running(ours(stored, 8201), 8201) as own:
            size = len(urllib.request.urlopen(f"{own[1]}/v1/search?row=123456&k=10").read())
            with (
                running(peer("constant", 8202), 8202, ANSWER_BYTES=str(size)) as constant,
                running(peer("flat", 8203), 8203, CODES=str(plain)) as flat,
            ):
                servers = {"bitcodes": own, "constant": constant, "FAISS": flat}
                print(f"\n{kind}, {COUNT:,} codes of {BITS} bits; an answer has {size} bytes\n")
                print(
                    "| clients | server | requests/s | to constant | p50, ms | p99, ms | CPU, µs |"
                )
                print("| --- | --- | --- | --- | --- | --- | --- |")
                for clients in (1, 8, 64):
                    _turns(servers, clients, seconds, rounds)


def _turns(servers: dict[str, tuple[int, str]], clients: int, seconds: float, rounds: int) -> None:
    script = _ROWS % (COUNT - 1)
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (process, address) in servers.items():
            start = processor_time(process)
            rate, *latencies = load(address, script, clients, seconds)
            microseconds = 1e6 * (processor_time(process) - start) / (rate * seconds)
            figures[name].append((rate, *latencies, microseconds))
    for name, values in figures.items():
        rate, p50, p99, cpu = (statistics.median(column) for column in zip(*values, strict=True))
        pairs = zip(values, figures["constant"], strict=True)
        ratio = statistics.median(one[0] / other[0] for one, other in pairs)
        facts = f"{rate:,.0f} | {ratio:.2f} | {p50:.2f} | {p99:.1f} | {cpu:.0f}"
        print(f"| {clients} | {name} | {facts} |", flush=True)


def measure_images(photos: Path, seconds: float, rounds: int) -> None:
    """Image queries of 16 clients, beside `bitcodes encode` of the same files."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        here = Path(folder)
        subprocess.run(["tar", "xf", photos, "-C", folder], check=True)
        files = sorted(path for path in here.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        (here / "many").mkdir()
        for number in range(COPIES):
            for file in files:
                os.link(file, here / "many" / f"{number}-{file.name}")
        (here / "names").write_text("".join(f"{file}\n" for file in files))
        encode = [sys.executable, "-m", "bitcodes", "encode", str(here / "many")]
        command = [*encode, "--run", "built-in", "-o"]
        subprocess.run([*command, str(here / "codes.npy")], check=True, capture_output=True)
        count = COPIES * len(files)
        ratios: list[tuple[float, float]] = []
        with running(ours(here / "codes.npy", 8201), 8201) as (process, address):
            script = _IMAGES % (here / "names")
            load(address, script, 16, 2)
            for turn in range(rounds):
                before = processor_time(process)
                served, p50, p99 = load(address, script, 16, seconds)
                own = 1e3 * (processor_time(process) - before) / (served * seconds)
                start, before = time.perf_counter(), _children()
                out = str(here / f"{turn}.npy")
                subprocess.run([*command, out], check=True, capture_output=True)
                encoded = count / (time.perf_counter() - start)
                other = 1e3 * (_children() - before) / count
                ratios.append((served / encoded, other / own))
                print(
                    f"served {served:.1f} images/s, each {own:.1f} ms of CPU (p50 {p50:.0f} ms, "
                    f"p99 {p99:.0f} ms); encode {encoded:.1f} images/s, each {other:.1f} ms, "
                    f"with its start: {ratios[-1][0]:.2f} by time, {ratios[-1][1]:.2f} by CPU time",
                    flush=True,
                )
        by_time, by_cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"medians of the ratios: {by_time:.2f} by time, {by_cpu:.2f} by CPU time")


def _children() -> float:
    """Seconds that processes computed that this one has started and that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("rows", "images"))
    parser.add_argument("--codes", nargs="+", default=("clustered", "uniform"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{processor()}, {core_count()} cores")
    if options.what == "images":
        measure_images(options.photos, options.seconds, options.rounds)
        return
    for kind in options.codes:
        measure_rows(kind, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
