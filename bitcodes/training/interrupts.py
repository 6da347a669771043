"""Ctrl-C between two steps, never within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(once: bool) -> Iterator[threading.Event]:
    """Turn SIGINT into an event, so that no step is cut in half. With `once`, a second one kills.

    torchrun forwards a SIGINT that the terminal sends to all processes, so it arrives twice there.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        if once:
            signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
