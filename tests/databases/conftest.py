"""The server that the tests of stores share."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'bitcodes[postgres]'")

from postgres_server import PASSWORD, NoServerError, running_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server's database; the password is in the environment."""
    before = os.environ.get("PGPASSWORD")
    try:
        with running_server() as server:
            os.environ["PGPASSWORD"] = PASSWORD
            yield server.url
    except NoServerError as error:
        pytest.skip(str(error))
    finally:
        os.environ.pop("PGPASSWORD", None)
        if before is not None:
            os.environ["PGPASSWORD"] = before


@pytest.fixture(scope="module")
def new_url(server: str) -> Callable[[], str]:
    """Makes the URL of a table that is not there yet."""
    return lambda: f"{server}?table=t{next(_numbers)}"
