"""What is said of a training that stops early: by Ctrl-C, or because the disk is full."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitcodes import runs
from bitcodes.callbacks import Note
from bitcodes.errors import BitcodesError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def explained(run: Path, log: Note) -> Iterator[None]:
    """Say after Ctrl-C what the run holds; raise BitcodesError if the disk is full."""
    try:
        yield
    except KeyboardInterrupt:
        log(_interruption(run))
        raise
    except (OSError, RuntimeError) as error:  # torch raises RuntimeErrors for failed writes
        if not _is_full(error):
            raise
        raise BitcodesError(
            f"the disk with {run} is full: free some space and run the same command again; it goes "
            "on from what was saved last"
        ) from error


def check_space(run: Path, expected: int) -> None:
    """Raise BitcodesError if the disk with the folder has less room than so many bytes."""
    usage = shutil.disk_usage(run)
    if usage.total and usage.free < expected:
        raise BitcodesError(
            f"the disk with {run} is nearly full: the files of the run need about "
            f"{expected / 1e6:,.0f} MB, and {usage.free / 1e6:,.0f} MB are free; free some space, "
            "or choose a folder on another disk with --run"
        )


def _interruption(run: Path) -> str:
    if not (run / runs.CHECKPOINT_FILE).exists():
        return "interrupted before the first step: nothing was saved"
    message = "interrupted; the same command continues where it stopped"
    if (run / runs.MODEL_FILE).exists():
        message += ", and evaluate and encode work with what it has learned so far"
    return message


def _is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, says that there is no space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
