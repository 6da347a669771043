"""PostgreSQL: what other users, other sessions and hostile names may do."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from psycopg import sql
from stores import check_holds, check_like, make_set

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.postgres import sets
from bitcodes.databases.postgres.connection import parse_url
from bitcodes.databases.postgres.store import PostgresStore
from bitcodes.databases.store import Condition
from bitcodes.databases.urls import open_store
from bitcodes.errors import CodeSetError
from bitcodes.hamming.rings import Part

HOSTILE = [
    'a"; DROP TABLE bitcodes_sets; --',
    "a'; DROP TABLE bitcodes_sets; --",
    "A.b",
    "%s {} \\",
    "é" * 31,
    "select",
]


@pytest.fixture(scope="module")
def engine() -> str:
    return "postgresql"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(server: str, name: str) -> None:
    code_set = CodeSet.from_arrays(
        np.arange(6, dtype=np.uint8)[:, None],
        8,
        [f"{name}{number}" for number in range(6)],
        np.arange(6) % 2,
        class_names=[name, f"{name}2"],
        fingerprint=name,
    )
    with open_store(f"{server}?table={quote(name, safe='')}") as store:
        store.replace(code_set)
        check_holds(store, code_set)
        assert store.delete([f"{name}3", "' OR true; --"]) == 1
        assert store.update(code_set).added == 1
        check_holds(store, code_set)
        check_like(store, code_set, np.arange(6), code_set.codes[:2])
    with psycopg.connect(server) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables")}
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        connection.execute("DELETE FROM bitcodes_sets WHERE name = %s", (name,))
    assert {name, "bitcodes_sets"} <= tables
    assert not [left for left in tables if left.startswith("bitcodes_new")]


def test_a_role_that_may_only_select_searches(server: str, new_url: Callable[[], str]) -> None:
    url = new_url()
    table = url.partition("table=")[2]
    code_set = make_set(1, 64, 50, "clustered", labels="numbers", stat=True)
    with open_store(url) as writer, psycopg.connect(server, autocommit=True) as connection:
        writer.replace(code_set)
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'let me read'")
        connection.execute(f"GRANT SELECT ON bitcodes_sets, {table} TO reader")
        theirs = url.replace("tester@", "reader:let%20me%20read@")
        with open_store(theirs) as reader:
            assert "read@" not in reader.name
            check_holds(reader, code_set)
            check_like(reader, code_set, np.arange(50), code_set.codes[:3])
            for change in (
                lambda: reader.replace(code_set),
                lambda: reader.delete(["a"]),
                lambda: reader.update(make_set(2, 64, 50, "clustered")),
            ):
                with pytest.raises(CodeSetError, match=r"permission denied|must be owner"):
                    change()
            changed = make_set(2, 64, 20, "uniform")
            writer.replace(changed)  # the new table keeps the privileges
            check_holds(reader, changed)


def test_a_server_that_only_reads(new_url: Callable[[], str]) -> None:
    """A replica begins no other transactions, either."""
    url = new_url()
    code_set = make_set(1, 64, 50, "clustered", labels="numbers")
    with open_store(url) as writer:
        writer.replace(code_set)
    with open_store(f"{url}&options=-c%20default_transaction_read_only%3Don") as reader:
        check_holds(reader, code_set)
        check_like(reader, code_set, np.arange(50), code_set.codes[:3])
        with pytest.raises(CodeSetError, match="read-only transaction"):
            reader.delete(["a"])


def test_a_table_with_partitions(
    new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SQL of the documents makes them; searches use the indexes, and changes are written."""
    text = (Path(__file__).parents[2] / "docs/databases.md").read_text()
    (made,) = (block for block in text.split("```") if "PARTITION BY" in block)
    url = new_url()
    server, _, table = url.partition("?table=")
    monkeypatch.setattr(sets, "INDEXED_FROM", 1)
    monkeypatch.setattr(sets, "cut", lambda *_: tuple(Part(i, i + 16) for i in range(0, 64, 16)))
    code_set = make_set(3, 64, 3000, "uniform")
    with PostgresStore(url) as store, psycopg.connect(server, autocommit=True) as connection:
        store.replace(code_set)
        whole = store.nbytes
        for line in made.removeprefix("sql").replace("photos", table).split(";"):
            connection.execute(line)
        assert store.nbytes > whole / 2
        store.call_cost = 0  # else so few codes are scanned
        check_holds(store, code_set)
        check_like(store, code_set, np.arange(3000), code_set.codes[:2])
        assert any("Index Only Scan" in plan for plan in plans_of(store))
        code_set.codes[::500] ^= 255
        assert store.update(code_set).changed == 6
        check_holds(store, code_set)
        assert connection.execute("SELECT count(*) FROM pg_inherits").fetchone() != (0,)
        store.replace(make_set(4, 64, 10, "uniform"))
        assert len(store) == 10


def test_data_of_others_is_left_alone(server: str, new_url: Callable[[], str]) -> None:
    url = new_url()
    table = url.partition("table=")[2]
    code_set = make_set(1, 12, 5, "uniform")
    with psycopg.connect(server, autocommit=True) as connection, open_store(url) as store:
        connection.execute(f"CREATE TABLE {table} (path text)")
        for change in (store.replace, store.update):
            with pytest.raises(CodeSetError, match="other data, which is left alone"):
                change(code_set)
        with pytest.raises(CodeSetError, match="no such code set"):
            store.read()
        connection.execute(f"DROP TABLE {table}")
        store.replace(code_set)
        connection.execute(f"ALTER TABLE {table} ALTER code TYPE bit(13) USING code::bit(13)")
        with pytest.raises(CodeSetError, match="expected a table of codes of 12 bits"):
            store.read()


def test_searches_use_the_indexes(new_url: Callable[[], str]) -> None:
    """A search by parts reads a small part of a table, and the planner sees that it can."""
    code_set = make_set(3, 64, sets.INDEXED_FROM, "uniform")
    with PostgresStore(new_url()) as store:
        store.call_cost = 0  # else so few codes are scanned
        store.replace(code_set)
        check_like(store, code_set, np.arange(code_set.count), code_set.codes[:1])
        store.filtered(Condition(under="ö/3/1")).search(code_set.codes[:1], 1)
        plans = plans_of(store)
    assert plans and not [plan for plan in plans if "Seq Scan" in plan], plans
    assert [plan for plan in plans if "Index Only Scan" in plan], plans


def plans_of(store: PostgresStore) -> list[str]:
    """How the searches that were done are planned."""
    connection, plans = store._connection, []
    for name, size in connection.execute(
        "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements"
    ).fetchall():
        nothing = ", ".join(["NULL"] * size)  # one plan is for all values
        cursor = connection.execute(f"EXPLAIN EXECUTE {name}({nothing})")
        plans.append("\n".join(line for (line,) in cursor))
    return plans


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pa/ss@host/db",
        "postgresql://user:pa@ss@host/db",
        "postgresql://host:port/db",
        "postgresql://host/db?table=a&table=b",
        "postgresql://host/db?nonsense=1",
        "postgresql://[host/db",
    ],
)
def test_malformed_urls_are_not_repeated(url: str) -> None:
    with pytest.raises(CodeSetError, match="URL of the database cannot be read") as error:
        parse_url(url)
    assert "ss@" not in str(error.value)


def test_urls_name_a_table() -> None:
    place = parse_url("postgresql://me:secret@host:7/db?table=my%20table&sslmode=disable")
    assert (place.table, "table" in place.conninfo) == ("my table", False)
    assert place.name == "postgresql://me@host:7/db?sslmode=disable&table=my%20table"
    assert parse_url("postgresql://host/db").name == "postgresql://host/db?table=codes"
    assert parse_url("postgresql://host/db?table=a", "b").table == "b"
