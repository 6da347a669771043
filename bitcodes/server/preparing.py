"""A folder that is not encoded yet: the page offers to encode it, and shows how far that is."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bitcodes.callbacks import Note
from bitcodes.codes.codeset import recorded_set
from bitcodes.codes.paths import escape
from bitcodes.errors import BitcodesError
from bitcodes.tasks.live_set import LiveSet


def set_of(folder: Path, out: Path) -> bool:
    """Whether the code set `out` is there, and of the images in a folder."""
    existing = recorded_set(out)
    if existing is None or existing.root is None:
        return False
    return os.path.realpath(existing.root) == os.path.realpath(folder)


class _StoppedError(BaseException):
    """The service ends; a later call goes on with the encoding."""


class Preparing:
    """Encodes a folder into the code set `out` in a thread, when it is told to.

    `open_set` opens the set when it is done.
    """

    def __init__(self, folder: Path, out: Path, open_set: Callable[[Path], LiveSet], note: Note):
        self._folder, self._out, self._open, self._note = folder, out, open_set, note
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bitcodes-encode")
        self._state = "offered"
        self._done, self._total = 0, 0
        self._error: str | None = None
        self._stops = False

    def describe(self) -> dict[str, Any]:
        """How far it is: offered, running or failed, and the numbers of images."""
        return {
            "folder": escape(str(self._folder)),
            "codes": escape(str(self._out)),
            "state": self._state,
            "done": self._done,
            "total": self._total or None,
            "error": self._error,
        }

    def begin(self, use: Callable[[LiveSet], None]) -> None:
        """Encode, if that is not being done already; `use` gets the set, in the thread."""
        if self._state != "running":
            self._state, self._error = "running", None
            self._thread.submit(self._encode, use)

    def stop(self) -> None:
        """End the encoding; the images that are done stay for the next time."""
        self._stops = True
        self._thread.shutdown()

    def _encode(self, use: Callable[[LiveSet], None]) -> None:
        from bitcodes.tasks.encoding.sources import encode_sources

        try:
            encode_sources(
                [str(self._folder)], self._out, workers=0, progress=self._progress, log=self._note
            )
            use(self._open(self._out))
        except _StoppedError:
            self._note(f"interrupted; `bitcodes serve {self._folder}` continues where it stopped")
        except BitcodesError as error:
            self._state, self._error = "failed", str(error)
        except Exception as error:
            self._state, self._error = "failed", "a fault of the service; its log says more"
            self._note(f"encoding {self._folder} failed: {error!r}")

    def _progress(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total or 0
        if self._stops:
            raise _StoppedError
