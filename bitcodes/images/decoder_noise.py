"""What decoder libraries write to standard error by themselves, held back."""

import io
import logging
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TextIO

# Programs that configure no logging would see Pillow's messages on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_ERRORS = 2  # the descriptor of standard error
_MAX_BYTES = 4096
_alone = Lock()


class Noise:
    """The first words that a library wrote."""

    text = ""


@contextmanager
def held_back() -> Iterator[Noise]:
    """Catch what C libraries write to standard error meanwhile.

    What Python code of other threads writes to sys.stderr still arrives. Nothing is caught for a
    thread while another one does the same, nor where there is no standard error.
    """
    noise = Noise()
    own = _own_errors() if _alone.acquire(blocking=False) else None
    if own is None:
        yield noise
        return
    before = sys.stderr
    try:
        with tempfile.TemporaryFile() as file:
            if _is_standard(before):
                before.flush()
                sys.stderr = own
            os.dup2(file.fileno(), _ERRORS)
            try:
                yield noise
            finally:
                own.flush()
                os.dup2(own.fileno(), _ERRORS)
                file.seek(0)
                noise.text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    finally:
        sys.stderr = before
        _alone.release()


def _own_errors() -> TextIO | None:
    """Another way to where standard error leads; lets the next thread try if there is none."""
    try:
        descriptor = os.dup(_ERRORS)
    except OSError:
        _alone.release()
        return None
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    own = io.TextIOWrapper(
        io.FileIO(descriptor, "w", closefd=False), encoding, "backslashreplace", write_through=True
    )
    weakref.finalize(own, os.close, descriptor)  # another thread may still write there
    return own


def _is_standard(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == _ERRORS
    except (OSError, ValueError):  # replaced by something in memory, or closed
        return False
