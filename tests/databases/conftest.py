"""The stores that the tests share: PostgreSQL by each of its ways to search, Milvus and Lance."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'bitcodes[postgres]'")

from milvus_file import new_milvus_url
from postgres_server import PASSWORD, NoServerError, running_server

from bitcodes.databases.postgres import sets
from bitcodes.databases.postgres.store import PostgresStore
from bitcodes.databases.store import Store
from bitcodes.databases.urls import open_store

ENGINES = ["postgresql", "milvus", "lance"]

NO_LANCE = "pylance is not installed: pip install 'bitcodes[lance]'"

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


@pytest.fixture(scope="session")
def url_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Makes the URL of a place in an engine where nothing is yet."""

    def url_of(engine: str) -> str:
        if engine == "milvus":
            url = new_milvus_url(tmp_path_factory)
            from bitcodes.databases.milvus.store import MilvusStore

            MilvusStore.grace = 0  # no other process reads
            return url
        if engine == "lance":
            pytest.importorskip("lance", reason=NO_LANCE)
            return f"lance:{tmp_path_factory.mktemp('lance')}?table=t{next(_numbers)}"
        return f"{request.getfixturevalue('server')}?table=t{next(_numbers)}"

    return url_of


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine of a store."""
    return request.param


@pytest.fixture(scope="module")
def new_url(engine: str, url_of: Callable[[str], str]) -> Callable[[], str]:
    """Makes the URL of a place where nothing is yet."""
    url_of(engine)  # what is missing here skips all tests of the module
    return lambda: url_of(engine)


@pytest.fixture(scope="module", params=["parts", "scan", "what is cheaper", *ENGINES[1:]])
def store(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Store]:
    """A store. In PostgreSQL, sets as small as those of tests would always be scanned."""
    url = url_of(request.param if request.param in ENGINES else "postgresql")
    with pytest.MonkeyPatch.context() as patch, open_store(url) as store:
        if request.param in ("parts", "what is cheaper"):
            patch.setattr(sets, "INDEXED_FROM", 1)
        if request.param == "parts":
            patch.setattr(PostgresStore, "call_cost", 0)
            patch.setattr(PostgresStore, "lookup_cost", 0.02)
            patch.setattr(PostgresStore, "found_cost", 0.02)
        yield store
