"""Code sets by what names them: a file, or the URL of a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.store import Store
from bitcodes.databases.urls import is_store_url, open_store


def open_codes(name: CodeSet | Path | str, progress: Progress | None = None) -> CodeSet:
    """Open a code set; one in a database is read into memory. CodeSetError if there is none."""
    if isinstance(name, CodeSet):
        return name
    if not is_store_url(name):
        return CodeSet.open(name)
    with open_store(str(name)) as store:
        return store.read(progress)


@contextmanager
def opened(name: CodeSet | Store | Path | str) -> Iterator[CodeSet | Store]:
    """A code set, or a store, which stays in its database; closed at the end if it was opened."""
    if isinstance(name, CodeSet | Store):
        yield name
    elif is_store_url(name):
        with open_store(str(name)) as store:
            yield store
    else:
        yield CodeSet.open(name)
