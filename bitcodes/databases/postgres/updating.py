"""Bringing a table up to date with a code set, row by row, where few rows differ."""

from typing import NamedTuple

from psycopg import Connection, sql

from bitcodes.databases.postgres.rows import Layout
from bitcodes.databases.store import Changes

INCOMING = "bitcodes_incoming"
"""The table that a connection has for itself, with the rows of the new set."""


class Difference(NamedTuple):
    """How a table differs from the incoming rows."""

    changes: Changes
    in_order: bool
    """Whether rows that stay have the order of the incoming ones, and new rows come last.

    Only then do rows keep their numbers and yet come in the order of the set.
    """


def create_incoming(connection: Connection, table: sql.Identifier, layout: Layout) -> None:
    """Make an empty table for the incoming rows; it goes at the end of the transaction."""
    query = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
    connection.execute(query.format(sql.Identifier(INCOMING), _listed(layout), table))


def difference(connection: Connection, table: sql.Identifier, layout: Layout) -> Difference:
    """Compare a table with the incoming rows, by path."""
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(INCOMING)))
    query = sql.SQL("""
        WITH rows AS (
            SELECT new.id, old.id AS old, lag(old.id) OVER (ORDER BY new.id) AS before,
                {} AS differs
            FROM {} AS new LEFT JOIN {} AS old USING (path)
        )
        SELECT count(*) - count(old),
            count(*) FILTER (WHERE old IS NOT NULL AND differs),
            (SELECT count(*) FROM {}) - count(old),
            coalesce(bool_and(coalesce(before < old, false))
                FILTER (WHERE old IS NOT NULL AND id > 0), true)
        FROM rows
    """).format(_differs(layout), sql.Identifier(INCOMING), table, table)
    row = connection.execute(query).fetchone()
    assert row is not None
    return Difference(Changes(*row[:3]), row[3])


def write_changes(connection: Connection, table: sql.Identifier, layout: Layout) -> None:
    """Delete, change and add rows, so that the table holds the incoming ones."""
    incoming = sql.Identifier(INCOMING)
    values = [sql.Identifier(name) for name in _values(layout)]
    assign = sql.SQL(", ").join(sql.SQL("{0} = new.{0}").format(name) for name in values)
    for query in (
        sql.SQL("DELETE FROM {} WHERE path NOT IN (SELECT path FROM {})").format(table, incoming),
        sql.SQL("UPDATE {} AS old SET {} FROM {} AS new WHERE old.path = new.path AND {}").format(
            table, assign, incoming, _differs(layout)
        ),
        sql.SQL("""
            INSERT INTO {0} (id, {1}, path)
            SELECT (SELECT coalesce(max(id), -1) FROM {0}) + row_number() OVER (ORDER BY id),
                {1}, path
            FROM {2} AS new WHERE NOT EXISTS (SELECT FROM {0} AS old WHERE old.path = new.path)
        """).format(table, sql.SQL(", ").join(values), incoming),
    ):
        connection.execute(query)


def _values(layout: Layout) -> list[str]:
    """The columns that hold what belongs to a path."""
    return [name for name in layout.columns if name not in ("id", "path")]


def _listed(layout: Layout) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, layout.columns))


def _differs(layout: Layout) -> sql.Composed:
    """Whether a row `old` differs from a row `new`."""
    one, other = (
        sql.SQL(", ").join(sql.Identifier(side, name) for name in _values(layout))
        for side in ("old", "new")
    )
    return sql.SQL("({}) IS DISTINCT FROM ({})").format(one, other)
