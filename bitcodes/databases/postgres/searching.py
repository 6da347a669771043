"""The SQL of searches: how far codes are from a query, and which rows are searched."""

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from bitcodes.codes.pack import unpack_bits
from bitcodes.codes.paths import escape
from bitcodes.databases.postgres.rows import Layout
from bitcodes.databases.store import Condition
from bitcodes.hamming.measure import Measure


def distance(code: NDArray[np.uint8], measure: Measure) -> sql.Composed:
    """The distance of the codes of a table from one (B,).

    Codes are compared with literals of bits that are never cast: a cast would fill up a code of
    another length with zeros.
    """
    bits = _literal(unpack_bits(code[None], measure.bits)[0])
    terms, start = [], 0
    for length, shift in measure.parts:
        column: sql.Composable = sql.SQL("code")
        if len(measure.parts) > 1:
            column = sql.SQL("substring(code from {} for {})").format(start + 1, length)
        literal = sql.SQL(f"B'{bits[start : start + length]}'")
        terms.append(
            sql.SQL("bit_count({} # {}) * {}").format(column, literal, 1 << shift)
            if shift
            else sql.SQL("bit_count({} # {})").format(column, literal)
        )
        start += length
    return sql.SQL(" + ").join(terms)


def meets(condition: Condition, layout: Layout) -> sql.Composable:
    """Whether a row of a table meets a condition."""
    terms: list[sql.Composable] = []
    if condition.classes is not None and layout.label_bits:
        chosen = np.zeros(layout.label_bits, np.uint8)
        chosen[list(condition.classes)] = 1
        terms.append(sql.SQL(f"bit_count(labels & B'{_literal(chosen)}') > 0"))
    elif condition.classes is not None:
        classes = "{" + ",".join(map(str, condition.classes)) + "}"
        terms.append(sql.SQL("labels = ANY({}::int[])").format(classes))
    if condition.under is not None:
        # As paths are stored; then a backslash, % and _ are marked as no part of a pattern.
        beginning = escape(condition.under)
        for special in "\\%_":
            beginning = beginning.replace(special, "\\" + special)
        terms.append(sql.SQL("path LIKE {}").format(beginning + "%"))
    return sql.SQL(" AND ").join(terms) if terms else sql.SQL("true")


def _literal(bits: NDArray[np.uint8]) -> str:
    return "".join(map(str, bits.tolist()))
