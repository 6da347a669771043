"""The SQL of searches. What a search is for are parameters, so that it is planned only once."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from bitcodes.codes.pack import unpack_bits
from bitcodes.codes.paths import escape
from bitcodes.databases.postgres import sets
from bitcodes.databases.postgres.rows import Layout
from bitcodes.databases.store import Condition
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.rings import Part


@lru_cache(1 << 8)
def nearest(
    table: str, measure: Measure, meets: str, parts: tuple[Part | None, ...] = (None,)
) -> bytes:
    """The query for the codes of which one of these parts has one of some values; None: for all.

    `meets` is from here. Parameters besides its own: `values0`, ... for each part, `radius`,
    `limit`, and those of `bits_of`. A code comes once for each part by which it is found.
    """
    codes = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT id, {} AS distance FROM {} WHERE {} AND {}").format(
            _distance(measure),
            _quoted(table),
            sql.SQL("true")
            if part is None
            else sql.SQL("{} = ANY({}::int[])").format(
                sets.part_value(part), sql.Placeholder(f"values{number}")
            ),
            sql.SQL(meets),
        )
        for number, part in enumerate(parts)
    )
    query = sql.SQL(
        "SELECT distance, id FROM ({}) AS codes WHERE distance <= {} ORDER BY 1, 2 LIMIT {}"
    )
    return query.format(codes, sql.Placeholder("radius"), sql.Placeholder("limit")).as_bytes(None)


def matching(table: str, meets: str) -> bytes:
    """The query for the number of rows that meet a condition."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}")
    return query.format(_quoted(table), sql.SQL(meets)).as_bytes(None)


def _quoted(table: str) -> sql.Identifier:
    """The name of a table in a query with parameters, in which %% stands for %."""
    return sql.Identifier(table.replace("%", "%%"))


def _distance(measure: Measure) -> sql.Composed:
    """The distance of the codes of a table from that of the query.

    Bits are never cast to a type with a length: that would fill up other codes with zeros.
    """
    terms, start = [], 0
    for number, (length, shift) in enumerate(measure.parts):
        column: sql.Composable = sql.SQL("code")
        if len(measure.parts) > 1:
            column = sql.SQL("substring(code from {} for {})").format(start + 1, length)
        term = sql.SQL("bit_count({} # {})").format(column, sql.Placeholder(f"bits{number}"))
        terms.append(term + sql.SQL(f" * {1 << shift}") if shift else term)
        start += length
    return sql.SQL(" + ").join(terms)


def bits_of(code: NDArray[np.uint8], measure: Measure) -> dict[str, object]:
    """The parameters for a query (B,)."""
    bits = _text(unpack_bits(code[None], measure.bits)[0])
    ends = np.cumsum([length for length, _ in measure.parts]).tolist()
    starts = [0, *ends]
    return {f"bits{number}": bits[starts[number] : end] for number, end in enumerate(ends)}


def meets(condition: Condition, layout: Layout) -> str:
    """Whether a row meets a condition: an expression with the parameters of `values_of`."""
    terms = ["true"]
    if condition.classes is not None:
        several = "bit_count(labels & %(classes)s) > 0"
        terms.append(several if layout.label_bits else "labels = ANY(%(classes)s::int[])")
    if condition.under is not None:
        terms.append("path LIKE %(under)s")
    return " AND ".join(terms)


def values_of(condition: Condition, layout: Layout) -> dict[str, object]:
    """The parameters for a condition."""
    values: dict[str, object] = {}
    if condition.classes is not None and layout.label_bits:
        chosen = np.zeros(layout.label_bits, np.uint8)
        chosen[list(condition.classes)] = 1
        values["classes"] = _text(chosen)
    elif condition.classes is not None:
        values["classes"] = array_of(condition.classes)
    if condition.under is not None:
        # As paths are stored; then a backslash, % and _ are marked as no part of a pattern.
        beginning = escape(condition.under)
        for special in "\\%_":
            beginning = beginning.replace(special, "\\" + special)
        values["under"] = beginning + "%"
    return values


def array_of(numbers: Sequence[int]) -> str:
    """Numbers as the text of an array."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _text(bits: NDArray[np.uint8]) -> str:
    return "".join(map(str, bits.tolist()))
