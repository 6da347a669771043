"""The table of sets: what each table of codes holds, and how such tables are made."""

from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from psycopg import Connection, errors, sql

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import CodeSetHeader, parse_header
from bitcodes.databases.postgres.connection import Place
from bitcodes.databases.postgres.rows import Layout, to_code_set
from bitcodes.databases.store import no_such_set, signed_header
from bitcodes.errors import CodeSetError
from bitcodes.hamming.measure import Measure, measure_of
from bitcodes.hamming.rings import Part, cut

INDEXED_FROM = 10_000
"""Sets of fewer codes are scanned."""

_CREATE = """
CREATE TABLE IF NOT EXISTS bitcodes_sets (
    name text COLLATE "C" PRIMARY KEY,
    header json NOT NULL,
    cuts integer[] NOT NULL
)
"""

_READ = sql.SQL("""
SELECT header::text, cuts, (
    SELECT json_object_agg(attname, format_type(atttypid, atttypmod)) FROM pg_attribute
    WHERE attrelid = to_regclass(quote_ident({name})) AND attnum > 0 AND NOT attisdropped
)
FROM bitcodes_sets WHERE name = {name}
""")

SIZE = """
SELECT pg_total_relation_size(whole)
    + coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(whole)), 0)
FROM to_regclass(quote_ident(%(table)s)) AS whole
"""
"""Bytes of a table and its partitions, with their indexes."""

_WRITE = """
INSERT INTO bitcodes_sets (name, header, cuts) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET header = excluded.header, cuts = excluded.cuts
"""


class StoredSet(NamedTuple):
    """What the table of sets says of one, and its columns."""

    header: CodeSetHeader
    head: CodeSet
    """The set without its rows."""
    measure: Measure
    parts: tuple[Part, ...]
    layout: Layout


def lock_and_read(connection: Connection, place: Place) -> StoredSet:
    """Begin a transaction that sees one version of a set, and read what it is.

    The table is locked first: a snapshot from before a change must not meet the table from after.
    """
    try:
        cursor = connection.execute(_begin(place.table))
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    except errors.UndefinedTable:
        row = None
    return _stored_set(row, place)


@cache
def _begin(table: str) -> bytes:
    begin = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(table))
    read = _READ.format(name=sql.Literal(table))
    return sql.SQL(";").join([begin, lock, read]).as_bytes(None)


def read_set(connection: Connection, place: Place) -> StoredSet | None:
    """What the table of sets says, in a transaction of the caller's; None if there is no set."""
    row = connection.execute(_READ.format(name=sql.Literal(place.table))).fetchone()
    return None if row is None else _stored_set(row, place)


def last_change(connection: Connection, place: Place) -> str:
    """The number of the transaction that wrote the entry in the table of sets: each change does."""
    query = "SELECT xmin::text FROM bitcodes_sets WHERE name = %s"
    ((number,),) = connection.execute(query, (place.table,)).fetchall()
    return str(number)


def is_known(connection: Connection, place: Place) -> bool:
    """Whether the table of sets names this table, or there is no such table at all."""
    query = """
        SELECT to_regclass(quote_ident(%(table)s)) IS NULL
            OR EXISTS (SELECT FROM bitcodes_sets WHERE name = %(table)s)
    """
    return connection.execute(query, {"table": place.table}).fetchone() == (True,)


def holds(connection: Connection, place: Place, code_set: CodeSet) -> bool:
    """Whether this is the set that was stored last, by its header and the checksums of its files.

    Of the table, only its columns and the number of its rows are looked at.
    """
    row = connection.execute(_READ.format(name=sql.Literal(place.table))).fetchone()
    header, parts = signed_header(code_set), parts_of(code_set)
    if row is None or not header.files or row[:2] != (_text(header), _cuts(parts)):
        return False
    if row[2] is None or not row[2].items() >= Layout.of(code_set).columns.items():
        return False
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(place.table))
    return connection.execute(query).fetchone() == (code_set.count,)


def _stored_set(row: tuple[object, ...] | None, place: Place) -> StoredSet:
    if row is None:
        raise no_such_set(place.name)
    text, cuts, types = row
    assert isinstance(text, str) and isinstance(cuts, list)
    columns = types.items() if isinstance(types, dict) else ()
    return _parsed(text, tuple(cuts), tuple(columns), place.name)


@lru_cache(16)
def _parsed(
    text: str, cuts: tuple[int, ...], types: tuple[tuple[str, str], ...], name: str
) -> StoredSet:
    """What a header, cuts and types of columns mean; kept, for each search asks."""
    header = parse_header(text.encode(), f"the header of {name}")
    header = header.model_copy(update={"files": {}})  # there are none
    try:
        layout = Layout.from_types(dict(types))
        if layout.bits != header.bits:
            raise ValueError
    except ValueError:
        raise CodeSetError(
            f"{name}: expected a table of codes of {header.bits} bits, found columns of "
            "other types; push the code set again"
        ) from None
    parts = tuple(Part(*ends) for ends in pairwise(cuts))
    head = to_code_set((), layout, header, name)
    return StoredSet(header, head, measure_of(head), parts, layout)


def make_table_of_sets(connection: Connection) -> None:
    """Create the table of sets if it is missing; two processes do not do so at once."""
    if connection.execute("SELECT to_regclass('bitcodes_sets') IS NULL").fetchone() == (True,):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('bitcodes_sets'), 0)")
            connection.execute(_CREATE)


def write_set(
    connection: Connection, place: Place, header: CodeSetHeader, parts: tuple[Part, ...]
) -> None:
    """Enter a set in the table of sets, or change what it says of it."""
    connection.execute(_WRITE, (place.table, _text(header), _cuts(parts)))


def _text(header: CodeSetHeader) -> str:
    return header.to_bytes().decode()


def _cuts(parts: tuple[Part, ...]) -> list[int]:
    return [part.first for part in parts] + [part.last for part in parts[-1:]]


def parts_of(code_set: CodeSet) -> tuple[Part, ...]:
    """The parts that a table of a set gets indexes for."""
    if code_set.count < INDEXED_FROM:
        return ()
    return cut([bits for bits, _ in measure_of(code_set).parts], code_set.count)


def part_value(part: Part) -> sql.Composed:
    """The value of a part of a code, as a number: what an index is of."""
    return sql.SQL("(substring(code from {} for {})::bit({})::int)").format(
        part.first + 1, part.width, part.width
    )


def create_table(connection: Connection, name: str, layout: Layout) -> None:
    """Create an empty table of codes, without indexes."""
    columns = [
        sql.SQL("{} {} NOT NULL").format(
            sql.Identifier(column),
            sql.SQL('text COLLATE "C"' if kind == "text" else kind),
        )
        for column, kind in layout.columns.items()
    ]
    query = sql.SQL("CREATE TABLE {} ({})")
    connection.execute(query.format(sql.Identifier(name), sql.SQL(", ").join(columns)))


def create_indexes(connection: Connection, name: str, parts: tuple[Part, ...]) -> None:
    """Index a table of codes that has been filled: by number, by path and by parts."""
    table = sql.Identifier(name)
    connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    for query in (
        sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(table),
        sql.SQL("ALTER TABLE {} ADD UNIQUE (path)").format(table),
        *(
            sql.SQL("CREATE INDEX ON {} ({}) INCLUDE (code, id)").format(table, part_value(part))
            for part in parts
        ),
        sql.SQL("ANALYZE {}").format(table),
    ):
        connection.execute(query)


def take_place(connection: Connection, new: str, place: Place) -> None:
    """Let a new table take the place of the one that has the name, and its privileges."""
    grants = connection.execute(
        """
        SELECT format('GRANT %%s ON %%I TO %%s', privilege_type, %s::text,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(quote_ident(%s))
        """,
        (new, place.table),
    ).fetchall()
    for (grant,) in grants:
        connection.execute(grant)
    table = sql.Identifier(place.table)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    connection.execute(rename.format(sql.Identifier(new), table))
