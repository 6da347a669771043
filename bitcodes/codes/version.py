"""Which version of a code set there is: how a reader notices that a writer changed it meanwhile."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from bitcodes.codes.layout import Layout
from bitcodes.files import open_regular


class Version:
    """The version of a set from now on: its commit while one is being finished, else its files.

    Use as a context manager. It keeps these files open, so that the system gives the identity of
    none of them to a file of a later version.
    """

    def __init__(self, layout: Layout):
        self._commit = layout.commit
        # Every commit changes the header; codes alone, a bare set, have none.
        self._files = (layout.final("header"), layout.final("codes"))
        self._exit = ExitStack()
        # The commit last here and first in `is_current`: what happens in between, beside a commit
        # that is there neither time, changes the files too.
        self._was = {path: self._hold(path) for path in (*self._files, self._commit)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def is_current(self) -> bool:
        """Whether no commit has begun or ended since.

        If so, all files that were opened through `Layout.resolve` meanwhile are of one version: if
        a commit is there all the time, it may have moved files of the new version, but no others.
        """
        if self._identity(self._commit) != self._was[self._commit]:
            return False
        return self._was[self._commit] is not None or all(
            self._identity(path) == self._was[path] for path in self._files
        )

    def _hold(self, path: Path) -> tuple[int, ...] | None:
        with suppress(OSError):  # absent, or not to be read: whoever needs it will say so
            self._exit.enter_context(open_regular(path))
        return self._identity(path)

    def _identity(self, path: Path) -> tuple[int, ...] | None:
        try:
            now = os.stat(path)  # noqa: PTH116 - follows links, as opening does
        except OSError:
            return None
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns
