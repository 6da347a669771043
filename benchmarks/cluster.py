"""Encoding on a cluster: throughput by CPU time, a worker killed, 200 workers against 2.

    python benchmarks/cluster.py speed PHOTOS     # 1 and 2 workers of a local Ray cluster
    python benchmarks/cluster.py killed PHOTOS    # kill -9 of one of two workers
    python benchmarks/cluster.py many             # 2 and 200 workers without a model
    python benchmarks/cluster.py driver           # CPU time of the driver per task, with Ray

PHOTOS is a folder of images. `--repeat` encodes each of them so often. All times that stand for
throughput are CPU times, so that other programs on the machine change them little.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor

from bitcodes.codes.layout import SUFFIXES, Layout
from bitcodes.codes.staging import staged_rows
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.models.engines import load_encoder
from bitcodes.sources.item import File, Item
from bitcodes.sources.source import Source
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.encoding.parts import Part, PartDone, PartWork, encode_parts
from bitcodes.tasks.encoding.ray_pool import RayPool
from bitcodes.tasks.encoding.update import New, Update

_AHEAD = 2


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "killed", "many", "driver"))
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, default=Path("cluster-work"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="that a part takes a worker")
    arguments = parser.parse_args()
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray reads it so
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    print(processor(), f"{os.cpu_count()} cores", f"Python {sys.version.split()[0]}", sep="; ")
    {"speed": speed, "killed": killed, "many": many, "driver": driver}[arguments.what](arguments)


class Timed:
    """Work that also tells the CPU time of its process."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    def __call__(self, task: Any) -> tuple[Any, float]:
        """The result, and CPU seconds."""
        start = time.process_time()
        return self._work(task), time.process_time() - start


class TimedPool(RayPool):
    """A local cluster that counts the CPU seconds of its workers."""

    seconds = 0.0

    def run(self, work: Any, tasks: Any, tick: Any, gpus: int) -> Iterator[Any]:
        """As RayPool does it."""
        for result, seconds in super().run(Timed(work), tasks, tick, gpus):
            self.seconds += seconds
            yield result


def listed(arguments: argparse.Namespace) -> Path:
    """A list of the images, each `repeat` times."""
    names = sorted(str(path.absolute()) for path in arguments.photos.rglob("*") if path.is_file())
    file: Path = arguments.work.absolute() / "list.txt"
    file.write_text("".join(f"{name}\n" for name in names * arguments.repeat), encoding="utf-8")
    return file


def speed(arguments: argparse.Namespace) -> None:
    """CPU time per image with one worker and with two, in turns."""
    import ray

    model, source = load_encoder("built-in", engine="onnx"), listed(arguments)
    encode(model, source, arguments.work / "whole.npy")
    print("workers; images; CPU ms per image of the workers; CPU ms per image of the command; same")
    costs: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(arguments.rounds):
        for workers, measured in costs.items():
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                object_store_memory=1 << 28,
            )
            pool, start = TimedPool("local"), time.process_time()
            out = arguments.work / f"{workers}.npy"
            made = encode(model, source, out, pool=pool, force=True)
            own = (time.process_time() - start) / made.count * 1000
            ray.shutdown()
            measured.append(pool.seconds / made.count * 1000)
            same = compared(out, arguments.work / "whole.npy")
            print(workers, made.count, f"{measured[-1]:.2f}", f"{own:.3f}", same, sep="; ")
            for role in SUFFIXES:
                Layout(out).final(role).unlink(missing_ok=True)
    one, two = (statistics.median(values) for values in costs.values())
    print(f"2 workers have {2 * one / two:.2f} times the throughput of one, by CPU time")


def killed(arguments: argparse.Namespace) -> None:
    """Kill one of two workers in the middle of a part."""
    source, out = listed(arguments), arguments.work / "ray.npy"
    command = [sys.executable, "-m", "bitcodes", "encode", str(source), "--run", "built-in"]
    subprocess.run([*command, "-o", arguments.work / "whole.npy"], check=True)
    process = subprocess.Popen([*command, "-o", out, "--ray", "local"])
    folder = Layout(out.absolute()).part_sets
    while True:
        running = [staged_rows(Layout(each)) for each in codes_begun(folder)]
        workers = [
            int(each.name)
            for each in Path("/proc").glob("[0-9]*")
            if b"ray::run_task" in command_line(each) and is_below(int(each.name), process.pid)
        ]
        if len(workers) > 1 and any(running):
            os.kill(workers[0], signal.SIGKILL)
            break
        if process.poll() is not None:
            raise SystemExit(f"encode ended with {process.returncode} before a worker was killed")
        time.sleep(0.01)
    print(f"killed one of {len(workers)} workers, with parts of {running} images begun")
    print(f"exit status {process.wait()}; {compared(out, arguments.work / 'whole.npy')}")


def codes_begun(folder: Path) -> list[Path]:
    """The part sets that are being written."""
    return [folder / each.name[1 : -len(".staging")] for each in folder.glob(".*.npy.staging")]


def is_below(process: int, ancestor: int) -> bool:
    """Whether a process descends from another."""
    while process > 1 and process != ancestor:
        try:
            status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        process = int(status.rpartition(")")[2].split()[1])
    return process == ancestor


def command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def compared(out: Path, whole: Path) -> str:
    """Whether all files of two sets of one folder are the same."""
    differ = [
        role
        for role in SUFFIXES
        if content(Layout(out).final(role)) != content(Layout(whole).final(role))
    ]
    return f"DIFFERENT in {', '.join(differ)}" if differ else "the same, byte for byte"


def content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


class Threads:
    """A pool of threads, each of which stands for a core of a cluster."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._last = threading.local()
        self.busy: list[float] = []
        """Seconds of each task."""
        self.idle: list[float] = []
        """Seconds that a worker waited for its next task, once it had one."""

    def run(
        self, work: Any, tasks: Iterable[Any], tick: Callable[[], None], gpus: int
    ) -> Iterator[Any]:
        """Do `work` on each task, as a cluster does."""
        running: set[Future[Any]] = set()

        def timed(task: Any) -> Any:
            start = time.perf_counter()
            if hasattr(self._last, "end"):
                self.idle.append(start - self._last.end)
            result = work(task)
            self._last.end = time.perf_counter()
            self.busy.append(self._last.end - start)
            return result

        with ThreadPoolExecutor(self._workers) as executor:
            for task in tasks:
                running.add(executor.submit(timed, task))
                while len(running) >= _AHEAD * self._workers:
                    yield from self._finished(running, tick)
            while running:
                yield from self._finished(running, tick)

    def _finished(self, running: set[Future[Any]], tick: Callable[[], None]) -> Iterator[Any]:
        done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        running -= done
        if not done:
            tick()
        for each in done:
            yield each.result()


class Stub(PartWork):
    """Work without a model: it takes its time and writes a part set of random codes."""

    seconds = 0.0

    def __call__(self, part: Part) -> PartDone:
        """Make the part set."""
        rng = np.random.default_rng(part.start)
        time.sleep(self.seconds * rng.uniform(0.5, 1.5))  # not all at the same moment
        items = [item for each in part.entries if isinstance(each, New) for item in each.items]
        source = f"{self.plan['source']} from {part.start} to {part.stop}"
        plan = {**self.plan, "source": source}
        with CodeSetWriter(self.file(part.start), force=True, **plan) as writer:
            writer.append(
                rng.integers(0, 256, (len(items), self.plan["bits"] // 8), np.uint8),
                [item.path for item in items],
                stat=np.zeros((len(items), 2), np.int64),
            )
            made = writer.commit()
        return PartDone(part.start, made.count, 0, False)


def stub(arguments: argparse.Namespace, out: Path, count: int) -> tuple[Stub, Update]:
    """Work on so many images that are not there."""
    root = str(arguments.work.absolute())
    source = Source(
        root,
        lambda: (Item(f"{i:09}.jpg", File(f"{root}/{i:09}.jpg", (1, i))) for i in range(count)),
    )
    update = Update(source, None, append=False)
    model = load_encoder("built-in", engine="onnx")
    plan = {"bits": model.bits, "columns": ("stat",), "root": root, "source": update.digest}
    plan |= {"run": None}
    work = Stub.of(out, model, update, plan, batch_size=32, decode="reduced", strict=False)
    object.__setattr__(work, "seconds", arguments.seconds)
    return work, update


def joined(pool: Any, work: PartWork, update: Update, out: Path) -> float:
    """CPU seconds of this thread until all parts are done and joined."""
    start = time.thread_time()
    encode_parts(
        pool,
        work,
        update,
        out,
        may_replace=True,
        origin=None,
        progress=lambda done, count: None,
        log=lambda line: None,
    )
    return time.thread_time() - start


def many(arguments: argparse.Namespace) -> None:
    """How long workers wait for work, 2 and 200 of them, and the CPU time of the driver."""
    print("workers; parts; s per part at work; s per part waiting; driver CPU ms per part")
    for workers in (2, 200):
        parts = workers * arguments.rounds
        out = arguments.work / f"{workers}.npy"
        work, update = stub(arguments, out, parts * 64)
        pool = Threads(workers)
        own = joined(pool, work, update, out)
        each, idle = (statistics.mean(seconds) for seconds in (pool.busy, pool.idle))
        print(workers, parts, f"{each:.3f}", f"{idle:.4f}", f"{own / parts * 1000:.2f}", sep="; ")


def driver(arguments: argparse.Namespace) -> None:
    """CPU time of the process that starts the tasks, with Ray's own threads."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    arguments.seconds = 0.0
    print("parts; images per part; CPU ms per part of the command, all threads")
    for parts in (200, 600):
        out = arguments.work / f"driver{parts}.npy"
        work, update = stub(arguments, out, parts * 64)
        start = time.process_time()
        joined(RayPool("local"), work, update, out)
        print(parts, 64, f"{(time.process_time() - start) / parts * 1000:.2f}", sep="; ")
    ray.shutdown()


if __name__ == "__main__":
    main()
