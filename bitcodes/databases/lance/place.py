"""Where a table of Lance is, how it is opened, and the errors of Lance in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import lance
import pyarrow

from bitcodes.errors import CodeSetError
from bitcodes.files import check_folder_of, lock

TABLE = "codes"
"""The table of a URL that names none."""

_SCHEME = "lance:"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_SOURCE = re.compile(r",? /\S+\.rs:\d+:\d+")
"""Where in the source of Lance an error arose."""


class Place(NamedTuple):
    """Where a table is."""

    uri: str
    """What Lance opens."""
    folder: Path | None
    """The folder of the table; None in an object store."""
    table: str
    name: str
    """The URL as messages show it."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from writing; in an object store, nothing does.

        BitcodesError if another process is writing, or the folder around the tables' is missing.
        """
        if self.folder is None:
            yield
            return
        check_folder_of(self.folder)
        self.folder.mkdir(exist_ok=True)
        with lock(self.folder / f".{self.table}.lock", self.name):
            yield


def parse_url(url: str, table: str | None = None) -> Place:
    """Split a URL; `table` stands in for the one that it names. CodeSetError if it is malformed."""
    where, _, named = url[len(_SCHEME) :].partition("?table=")
    table = table or unquote(named) or TABLE
    if not where or "?" in where:
        raise CodeSetError(
            f"{url}: expected lance:FOLDER, lance:s3://BUCKET/FOLDER or another address of an "
            "object store, and perhaps ?table=TABLE"
        )
    if not _NAME.fullmatch(table):
        raise CodeSetError(
            f"table {table!r}: expected a name of up to 63 letters, digits, _, - and .; name "
            "another one (--table)"
        )
    name = f"{_SCHEME}{where}" + (f"?table={table}" if table != TABLE else "")
    if "://" in where:
        return Place(f"{where.rstrip('/')}/{table}.lance", None, table, name)
    folder = Path(where)
    return Place(str(folder / f"{table}.lance"), folder, table, name)


def find_latest(place: Place) -> Any:
    """The latest version of a table, which stays what it is; None if there is no table."""
    with lance_errors(place.name):
        try:
            return lance.dataset(place.uri)
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise


@contextmanager
def lance_errors(name: str) -> Iterator[None]:
    """Turn what Lance says into a CodeSetError of one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, pyarrow.ArrowException) as error:
        reason = _SOURCE.sub("", " ".join(str(error).split()))[:500] or type(error).__name__
        raise CodeSetError(f"{name}: {reason}") from error
