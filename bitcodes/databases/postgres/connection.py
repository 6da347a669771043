"""Connections to PostgreSQL, and its errors in one line, without passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bitcodes.errors import CodeSetError

TABLE = "codes"
"""The table of a URL that names none."""

_LONGEST = 63
"""Bytes of a name; PostgreSQL cuts off the rest."""

_EXPECTED = "expected postgresql://USER@HOST:PORT/DATABASE?table=TABLE"


class Place(NamedTuple):
    """Where a set is: in which database, and in which table."""

    conninfo: str
    """What libpq connects by; it may hold a password."""
    table: str
    name: str
    """The URL as messages show it."""


def parse_url(url: str, table: str | None = None) -> Place:
    """Split a URL; `table` stands in for the one that it names.

    CodeSetError if it is malformed: the URL is not repeated there, for it may hold a password.
    """
    try:
        split = urlsplit(url)
        query = parse_qsl(split.query, keep_blank_values=True)
        named = [value for name, value in query if name == "table"]
        others = [(name, value) for name, value in query if name != "table"]
        conninfo = split._replace(query=urlencode(others, quote_via=quote)).geturl()
        fields = conninfo_to_dict(conninfo)
        ports = str(fields.get("port", "")).split(",")
        fits = len(named) <= 1 and not any("@" in str(fields.get(key, "")) for key in _PLAIN)
        if not fits or not all(port.isdecimal() or not port for port in ports):
            raise ValueError
    except (psycopg.Error, ValueError):
        raise CodeSetError(
            f"the URL of the database cannot be read: {_EXPECTED}. Write special characters of a "
            "password as %XX, or leave it out and set PGPASSWORD"
        ) from None
    table = table or (named[0] if named else TABLE)
    if not 0 < len(table.encode(errors="replace")) <= _LONGEST or "\0" in table:
        raise CodeSetError(
            f"table {table!r}: expected a name of 1 to {_LONGEST} bytes; name another one (--table)"
        )
    user, at, host = split.netloc.rpartition("@")
    shown = [(name, value) for name, value in others if name not in _SECRET]
    name = split._replace(
        netloc=user.partition(":")[0] + at + host,
        query=urlencode([*shown, ("table", table)], quote_via=quote, safe=""),
    ).geturl()
    return Place(conninfo, table, name)


_PLAIN = "user", "host", "port", "dbname"
"""Fields in which an @ is a part of a password that was not written as %40."""

_SECRET = "password", "sslpassword"


_NEVER = 1 << 30
"""So often is a query executed before it is prepared unasked."""


def connect(place: Place) -> psycopg.Connection:
    """Open a connection, or raise CodeSetError with the server's reason."""
    with database_errors(place.name):
        connection = psycopg.connect(place.conninfo, autocommit=True, prepare_threshold=_NEVER)
        # Compiling a query takes longer than most searches do.
        connection.execute("SET jit = off")
        # Parts are looked up in memory; else workers are started, which takes as long as a scan.
        connection.execute("SET random_page_cost = 1.1")
        connection.execute("SET client_encoding = 'UTF8'")
        # Searches by parts are always planned alike.
        connection.execute("SET plan_cache_mode = force_generic_plan")
    return connection


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn what the server or the driver says into a CodeSetError of one line."""
    try:
        yield
    except psycopg.Error as error:
        if error.diag.message_primary:
            reason = error.diag.message_primary
            if error.diag.message_detail:
                reason += f" ({error.diag.message_detail})"
        else:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
        raise CodeSetError(f"{name}: {reason}") from error
