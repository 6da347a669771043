"""Lines that come only once, kept so that they can be gone through again."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice

_IN_MEMORY = 1 << 24  # bytes, before they go to a temporary file
_TOGETHER = 1000  # lines


class Spool:
    """The lines of an iterable, taken from it once, as they are needed; each ends with b"\\n".

    Any number of loops may go through them, also at the same time.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as long as this
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        while start < self._size or self._take_more():
            self._file.seek(start)
            lines = self._file.readlines(1 << 16)
            start += sum(map(len, lines))
            yield from lines

    def _take_more(self) -> bool:
        lines = list(islice(self._lines, _TOGETHER))
        self._file.seek(0, os.SEEK_END)
        self._file.writelines(lines)
        self._size += sum(map(len, lines))
        return bool(lines)
