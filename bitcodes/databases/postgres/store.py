"""A code set in a table of PostgreSQL, 14 or newer."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psycopg import ClientCursor, Cursor, errors, sql

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escaped
from bitcodes.databases.by_parts import PartStore
from bitcodes.databases.postgres import searching, sets, updating
from bitcodes.databases.postgres.connection import connect, database_errors, parse_url
from bitcodes.databases.postgres.rows import Layout, copy_blocks, to_code_set
from bitcodes.databases.postgres.sets import StoredSet
from bitcodes.databases.store import (
    Changes,
    no_such_set,
    other_data,
    rows_missing,
    signed_header,
)
from bitcodes.errors import CodeSetError
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.plain import ROW_BITS, Keys
from bitcodes.hamming.rings import Part, Ring

_FETCHED = 1 << 14
"""Rows that are read at a time."""

_FEW = 10
"""Up to one row in so many is changed in place; if it is more, a new table is faster."""


class PostgresStore(PartStore):
    """The set in the table that a URL names; see Store."""

    call_cost: ClassVar[float] = 5000
    lookup_cost: ClassVar[float] = 20
    found_cost: ClassVar[float] = 4

    def __init__(self, url: str, table: str | None = None) -> None:
        self._place = parse_url(url, table)
        super().__init__(self._place.name, self._place.table)
        self._connection = connect(self._place)
        self._table = sql.Identifier(self._place.table)
        self._depth = 0
        self._stored: StoredSet

    # --- reading ---

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See Store.reading: a transaction, which locks the table against being replaced."""
        with database_errors(self.name):
            try:
                if not self._depth:
                    self._stored = sets.lock_and_read(self._connection, self._place)
                    self._matching = None
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
            finally:
                # Not rolled back: that makes psycopg forget the queries that it has prepared.
                if not self._depth and not self._connection.closed:
                    self._connection.commit()

    def _now(self) -> StoredSet:
        if self._depth:  # searches come here often
            return self._stored
        with self.reading():
            return self._stored

    @property
    def head(self) -> CodeSet:
        """See Store.head."""
        return self._now().head

    @property
    def measure(self) -> Measure:
        """See Store.measure."""
        return self._measure or self._now().measure

    @property
    def _count(self) -> int:
        return self._now().header.count

    def _count_matching(self) -> int:
        query = searching.matching(self._place.table, self._meets())
        condition = searching.values_of(self._condition, self._stored.layout)
        ((count,),) = self._planned(query, condition).fetchall()
        return int(count)

    @property
    def _scanned(self) -> float:
        # Paths have an index, labels have none.
        by_path = self._condition.under is not None
        return min(self._count, self.found_cost * len(self) if by_path else self._count)

    @property
    def nbytes(self) -> int:
        """See Store.nbytes."""
        with self.reading():
            cursor = self._connection.execute(sets.SIZE, {"table": self._place.table})
            ((size,),) = cursor.fetchall()
        return int(size)

    @property
    def version(self) -> str:
        """See Store.version: the transaction that changed the set last."""
        with self.reading():
            return sets.last_change(self._connection, self._place)

    @property
    def parts(self) -> tuple[Part, ...]:
        """See PartStore.parts."""
        return self._now().parts

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> CodeSet:
        """See Store.take."""
        wanted = np.unique(np.asarray(rows, np.int64)).tolist()
        with self.reading():
            query = self._select(sql.SQL("WHERE id = ANY({}::bigint[])").format(wanted))
            with self._connection.cursor(binary=True) as cursor:
                cursor.execute(query)
                found = to_code_set(cursor, self._stored.layout, self._stored.header, self.name)
        if found.count < len(wanted):
            raise rows_missing(self.name, len(wanted) - found.count)
        return found

    def read(self, progress: Progress | None = None) -> CodeSet:
        """See Store.read."""
        with self.reading(), self._connection.cursor("bitcodes", binary=True) as cursor:
            cursor.itersize = _FETCHED
            cursor.execute(self._select(sql.SQL("")))
            stored = self._stored
            rows = _counted_rows(cursor, stored.header.count, progress)
            return to_code_set(rows, stored.layout, stored.header, self.name)

    def _select(self, where: sql.Composable) -> sql.Composed:
        columns = map(sql.Identifier, list(self._stored.layout.columns)[1:])
        return sql.SQL("SELECT {} FROM {} {} ORDER BY id").format(
            sql.SQL(", ").join(columns), self._table, where
        )

    # --- searching ---

    def _look_up(
        self, code: NDArray[np.uint8], found: list[Ring], k: int | None, radius: int
    ) -> Keys:
        query = self._nearest_of(tuple(ring.part for ring in found))
        values: dict[str, object] = {
            f"values{number}": searching.array_of(ring.values.tolist())
            for number, ring in enumerate(found)
        }
        limit = None if k is None else k * len(found)  # a code is found by up to all of its parts
        values |= self._values(code) | {"radius": radius, "limit": limit}
        with self._connection.cursor(binary=True) as cursor:
            return _keys(cursor.execute(query, values, prepare=True))

    def _scan(self, code: NDArray[np.uint8], k: int | None, radius: int) -> Keys:
        values = self._values(code) | {"radius": radius, "limit": k}
        return _keys(self._planned(self._nearest_of((None,)), values))

    def _nearest_of(self, parts: tuple[Part | None, ...]) -> bytes:
        return searching.nearest(self._place.table, self.measure, self._meets(), parts)

    def _meets(self) -> str:
        return searching.meets(self._condition, self._stored.layout)

    def _values(self, code: NDArray[np.uint8]) -> dict[str, object]:
        condition = searching.values_of(self._condition, self._stored.layout)
        return searching.bits_of(code, self.measure) | condition

    def _planned(self, query: bytes, values: dict[str, object]) -> Cursor:
        """Execute a query that is planned for these values, as it takes long."""
        text = ClientCursor(self._connection).mogrify(query, values)
        return self._connection.cursor(binary=True).execute(text.encode())

    # --- writing ---

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction of the only writer."""
        with database_errors(self.name):
            sets.make_table_of_sets(self._connection)
            with self._connection.transaction():
                lock = "SELECT pg_try_advisory_xact_lock(hashtext('bitcodes_sets'), hashtext(%s))"
                if self._connection.execute(lock, (self._place.table,)).fetchone() != (True,):
                    raise CodeSetError(
                        f"{self.name}: another process is writing to this table; try again when it "
                        "has ended"
                    )
                if not sets.is_known(self._connection, self._place):
                    raise other_data(self.name)
                yield

    def holds(self, code_set: CodeSet) -> bool:
        """See Store.holds."""
        with database_errors(self.name):
            sets.make_table_of_sets(self._connection)
            return sets.holds(self._connection, self._place, code_set)

    def replace(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.replace: a new table, which is renamed when it is complete."""
        with self._writing():
            self._replace(code_set, progress)

    def update(self, code_set: CodeSet, progress: Progress | None = None) -> Changes:
        """See Store.update."""
        with self._writing():
            stored = sets.read_set(self._connection, self._place)
            if stored is None:
                self._replace(code_set, progress)
                return Changes(code_set.count, 0, 0)
            self._check_model(stored, code_set)
            layout = Layout.of(code_set)
            if stored.layout != layout:
                self._replace(code_set, progress)
                return Changes(code_set.count, 0, stored.header.count)
            updating.create_incoming(self._connection, self._table, layout)
            self._copy(code_set, updating.INCOMING, 0, progress)
            changes, in_order = updating.difference(self._connection, self._table, layout)
            if not in_order or sum(changes) * _FEW > code_set.count:
                self._replace(code_set, None)
            else:
                updating.write_changes(self._connection, self._table, layout)
                header = signed_header(code_set)
                sets.write_set(self._connection, self._place, header, stored.parts)
            return changes

    def append(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.append."""
        with self._writing():
            stored = self._there()
            self._check_model(stored, code_set)
            layout = Layout.of(code_set)
            if (layout, code_set.class_names) != (stored.layout, stored.header.class_names):
                raise CodeSetError(
                    f"{code_set.name} cannot be appended to {self.name}: expected the same columns "
                    "and class names; merge the sets and push the whole"
                )
            query = sql.SQL("SELECT coalesce(max(id) + 1, 0) FROM {}").format(self._table)
            ((first,),) = self._connection.execute(query).fetchall()
            self._copy(code_set, self._place.table, first, progress)
            self._enter_count(stored, stored.header.count + code_set.count)

    def delete(self, paths: Sequence[str]) -> int:
        """See Store.delete."""
        with self._writing():
            stored = self._there()
            names = [path.decode() for path in escaped(paths, 0, len(paths))]
            query = sql.SQL("DELETE FROM {} WHERE path = ANY({}::text[])")
            gone = self._connection.execute(query.format(self._table, names)).rowcount
            self._enter_count(stored, stored.header.count - gone)
        return gone

    def close(self) -> None:
        """See Store.close."""
        self._connection.close()

    def _replace(self, code_set: CodeSet, progress: Progress | None) -> None:
        digest = hashlib.sha256(self._place.table.encode()).hexdigest()
        new = f"bitcodes_new_{digest[:16]}"
        parts = sets.parts_of(code_set)
        sets.create_table(self._connection, new, Layout.of(code_set))
        self._copy(code_set, new, 0, progress, freeze=True)
        with _unique_paths(code_set):
            sets.create_indexes(self._connection, new, parts)
        sets.take_place(self._connection, new, self._place)
        sets.write_set(self._connection, self._place, signed_header(code_set), parts)

    def _copy(
        self,
        code_set: CodeSet,
        table: str,
        first: int,
        progress: Progress | None,
        freeze: bool = False,
    ) -> None:
        """Send the rows of a set to a table, numbered from `first` on."""
        query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE {})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, Layout.of(code_set).columns)),
            sql.SQL("on" if freeze else "off"),
        )
        with (
            _unique_paths(code_set),
            self._connection.cursor() as cursor,
            cursor.copy(query) as copy,
        ):
            for block in copy_blocks(code_set, first, progress):
                copy.write(block)

    def _there(self) -> StoredSet:
        """The set that is there now, in a transaction of a writer."""
        stored = sets.read_set(self._connection, self._place)
        if stored is None:
            raise no_such_set(self.name)
        return stored

    def _check_model(self, stored: StoredSet, code_set: CodeSet) -> None:
        stored.head.check_same_model(code_set.name, code_set.bits, code_set.fingerprint)

    def _enter_count(self, stored: StoredSet, count: int) -> None:
        """Enter how many rows there are now."""
        header = stored.header.model_copy(update={"count": count})
        sets.write_set(self._connection, self._place, header, stored.parts)


@contextmanager
def _unique_paths(code_set: CodeSet) -> Iterator[None]:
    """Say of which set a path comes twice."""
    try:
        yield
    except errors.UniqueViolation as error:
        raise CodeSetError(
            f"{code_set.name} cannot be stored: a database has one row per path, but a path comes "
            f"twice ({error.diag.message_detail})"
        ) from None


def _keys(cursor: Cursor) -> Keys:
    """Keys from distances and row numbers."""
    pairs = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    return pairs[:, 0] << ROW_BITS | pairs[:, 1]


def _counted_rows(
    rows: Iterable[tuple[Any, ...]], count: int, progress: Progress | None
) -> Iterator[tuple[Any, ...]]:
    for number, row in enumerate(rows, 1):
        yield row
        if progress is not None and (number % _FETCHED == 0 or number == count):
            progress(number, count)
