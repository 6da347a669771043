"""Training in a process of its own, killed as it comes to a given line of the program.

The processes are forked from one that has loaded torch and done nothing with it, so that each costs
a fraction of a second.
"""

import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from bitcodes.settings import Settings

_METHOD = "forkserver" if os.name == "posix" else "spawn"
_context: Any = multiprocessing.get_context(_METHOD)


@dataclass(frozen=True)
class Moment:
    """When to die: as `line` of a function of this name in this file comes the nth time."""

    file: str
    function: str
    line: int
    nth: int = 1


def count_lines(functions: list[CodeType], work: Callable[[], object]) -> Counter[Moment]:
    """How often each line of these functions is run in `work`."""
    counts: Counter[Moment] = Counter()

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            counts[Moment(frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno)] += 1
        return on_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *rest: on_line if frame.f_code in functions else None)
    try:
        work()
    finally:
        sys.settrace(before)
    return counts


def start(settings: Settings, run: Path, die: Moment | None, save_always: bool) -> BaseProcess:
    """Begin finetuning in another process."""
    return begin(_finetune, settings, run, die, save_always)


def begin(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Begin `work(*arguments)` in another process."""
    path = os.environ.get("PYTHONPATH")
    here = str(Path(__file__).parent)  # for the process that forks the others
    os.environ["PYTHONPATH"] = here if path is None else os.pathsep.join([here, path])
    try:
        # Optimizers import torch._dynamo on first use, which takes two seconds.
        if _METHOD == "forkserver":
            _context.set_forkserver_preload(["small", "bitcodes.training", "torch._dynamo"])
        process: BaseProcess = _context.Process(target=work, args=arguments)
        process.start()
    finally:
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path
    return process


def _finetune(settings: Settings, run: Path, die: Moment | None, save_always: bool) -> None:
    import small  # noqa: F401 - registers its backbone

    from bitcodes.training import finetuning, trainer

    if save_always:
        trainer.CHECKPOINT_SECONDS = -1  # after each step
    if die is not None:
        _die_at(die)
    finetuning.finetune(settings, run, workers=0)


def _die_at(moment: Moment) -> None:
    left = moment.nth

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line" and frame.f_lineno == moment.line:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        here = code.co_name == moment.function and code.co_filename == moment.file
        return on_line if here else None

    sys.settrace(on_call)
