"""Runs fuzz targets in a process of their own, and says which seeds fail."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attacks.readers import load_torch_readers
from attacks.watch import Check, Finding, findings
from fuzz.targets import TARGETS, TORCH_TARGETS

from bitcodes.images.claims import MAX_PIXELS

SECONDS = 10.0
MEMORY = 400 << 20
PICTURE_MEMORY = 8 * MAX_PIXELS
"""A pixel takes up to 8 bytes while it is decoded; gray of 32 bits has half as many pixels."""

Case = tuple[str, int]
"""A target and a seed."""


def checking(folder: str, with_torch: bool) -> Callable[[Case], None]:
    """The check of cases of any target; each target is made when it is first used."""
    if with_torch:
        load_torch_readers()  # torch takes more memory than a file may
    checks: dict[str, Check] = {}
    targets = TARGETS | TORCH_TARGETS

    def check(case: Case) -> None:
        name, seed = case
        if name not in checks:
            place = Path(tempfile.mkdtemp(dir=folder))
            checks[name] = targets[name](place)
        checks[name](seed)

    return check


def fuzz(
    folder: Path, cases: Iterable[Case], with_torch: bool = False, memory: int = MEMORY
) -> Iterator[Finding | None]:
    """Check each case, in a new folder for each process; see `findings`."""
    yield from findings(checking, (str(folder), with_torch), cases, SECONDS, memory)


def seeds(name: str, first: int, count: int | None, minutes: float) -> Iterator[Case]:
    """Cases of a target from seed `first` on: so many, or for so long."""
    end = time.monotonic() + 60 * minutes
    seed = first
    while time.monotonic() < end if count is None else seed < first + count:
        yield name, seed
        seed += 1


def last_lines(problem: str) -> str:
    """What findings of one cause have in common: where it was raised, and what."""
    lines = [line.strip() for line in problem.strip().splitlines()]
    places = [line for line in lines if line.startswith("File ")]
    return " | ".join([*places[-1:], lines[-1][:120]])


def main(name: str, minutes: float, first: int, count: int | None) -> int:
    """Fuzz one target, and print each kind of finding with its first seed; 1 if there is any."""
    kinds: dict[str, int] = {}
    executions = failures = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cases = seeds(name, first, count, minutes)
        memory = PICTURE_MEMORY if name == "picture" else MEMORY
        for finding in fuzz(Path(folder), cases, name in TORCH_TARGETS, memory):
            executions += 1
            if finding is None:
                continue
            failures += 1
            kind = last_lines(finding.problem)
            if kind not in kinds:
                seed = finding.case[1]  # type: ignore[index]
                print(f"seed {seed}:", finding.problem, sep="\n", flush=True)
            kinds[kind] = kinds.get(kind, 0) + 1
    seconds = time.monotonic() - begin
    print(f"{name}: {executions:,} executions in {seconds:.0f} s, {failures} failures")
    for kind, number in kinds.items():
        print(f"  {number} x {kind}")
    return 1 if kinds else 0
