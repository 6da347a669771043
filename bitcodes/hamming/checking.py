"""What the arrays of a saved index must look like: dtypes, shapes, ranges, order and content.

A checksum only shows that a file is as it was written. An index that some other program changed, or
that an error in a program wrote, would give wrong answers or read beyond its arrays.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import code_bytes, code_lanes, to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.hamming.grouped import Groups
from bitcodes.hamming.measure import bit_places
from bitcodes.hamming.tables import Tables

_BLOCK = 1 << 18
"""Rows that are compared at a time."""

_WIDEST_PART = 32
"""Most bits of a part."""

_MOST_COSTS, _DEAREST = 1 << 10, 1e18
"""Samples of what searches cost, and nanoseconds or rows of one: far more than there ever are."""


class BadIndexError(CodeSetError):
    """An array of a saved index cannot be what it should be."""


def check_groups(
    groups: Groups, bits: int, count: int, codes: NDArray[np.uint8] | None = None
) -> None:
    """Raise BadIndexError unless these can be the groups of `count` codes.

    Dtypes, shapes and both ends are always compared; with `codes` (N, B), the codes themselves, the
    whole content is, in one pass.
    """
    distinct = len(groups.codes)
    _expect("codes", groups.codes, np.uint8, (distinct, code_bytes(bits)))
    _expect("starts", groups.starts, np.int64, (distinct + 1,))
    _expect("rows", groups.rows, np.int64, (count,))
    if groups.starts[0] != 0 or groups.starts[-1] != count:
        raise BadIndexError(f"starts: expected 0 to {count} at its ends")
    if codes is None:
        return
    starts, rows = np.asarray(groups.starts), np.asarray(groups.rows)
    _require((np.diff(starts) > 0).all(), "starts: expected rising numbers")
    _check_permutation("rows", rows)
    rises = np.diff(rows) > 0
    rises[starts[1:-1] - 1] = True  # from the last row of a code to the first one of the next
    _require(rises.all(), "rows: expected rising numbers for each code")
    _require((np.diff(rows[starts[:-1]]) > 0).all(), "codes: expected the order of their rows")
    every = np.arange(distinct)
    sizes: NDArray[np.int64] = groups.sizes(every)
    numbers = np.repeat(every, sizes)
    for part in _blocks(count):
        same = np.array_equal(groups.codes[numbers[part]], codes[rows[part]])
        _require(same, "codes: expected the codes of the set")


def check_tables(tables: Tables, bits: int, codes: NDArray[np.uint8], whole: bool) -> None:
    """Raise BadIndexError unless these can be tables of the distinct `codes` (M, B).

    Dtypes, shapes and ends are always compared, the content if `whole`.
    """
    count, words = len(codes), code_lanes(bits)
    parts = len(tables.cuts) - 1
    _require(1 <= parts <= bits, f"table-cuts: expected 2 to {bits + 1} numbers")
    _expect("table-cuts", tables.cuts, np.int64, (parts + 1,))
    widths = np.diff(tables.cuts)
    fits = tables.cuts[0] == 0 and tables.cuts[-1] == bits
    fits &= bool(((widths > 0) & (widths <= _WIDEST_PART)).all())
    _require(fits, f"table-cuts: expected rising numbers from 0 to {bits}")
    values = 1 << int(widths.max())
    _expect("table-offsets", tables.offsets, np.uint32, (parts, values + 1))
    _expect("table-codes", tables.codes, np.uint64, (parts, count, words))
    _expect("table-ids", tables.ids, np.uint32, (parts, count))
    costs = tables.costs
    _require(costs.ndim == 3 and max(costs.shape[:2]) <= _MOST_COSTS, "table-costs: wrong shape")
    _expect("table-costs", costs, np.float64, (*costs.shape[:2], 2))
    plausible = np.isnan(costs) | ((costs >= 0) & (costs < _DEAREST))
    _require(plausible.all(), f"table-costs: expected 0 to {_DEAREST:.0e}, or NaN")
    for offsets in tables.offsets:
        _require(offsets[0] == 0 and offsets[-1] == count, f"table-offsets: expected 0 to {count}")
    if not whole:
        return
    in_order = _by_bits(codes, bits)
    for part in range(parts):
        offsets, ids = np.asarray(tables.offsets[part]), np.asarray(tables.ids[part])
        rising = (offsets[1:] >= offsets[:-1]).all()
        _require(rising, "table-offsets: expected numbers that never fall")
        _check_permutation("table-ids", ids)
        first, last = tables.cuts[part : part + 2].tolist()
        sizes = np.diff(offsets).astype(np.intp)
        expected = np.repeat(np.arange(values, dtype=np.uint64), sizes)
        for block in _blocks(count):
            here = np.asarray(tables.codes[part, block])
            _require(np.array_equal(here, in_order[ids[block]]), "table-codes: not the set's codes")
            same = np.array_equal(_part_values(here, first, last), expected[block])
            _require(same, "table-offsets: codes stand at another value than their own")


def expect_names(names: Mapping[str, object]) -> None:
    """Raise BadIndexError unless the header lists the files of an index, and no others."""
    tables = {f"table-{name}" for name in Tables._fields}
    known = set(names) - tables == set(Groups._fields) and set(names) & tables in (set(), tables)
    _require(known, f"index.json: expected the files {', '.join(Groups._fields)} and table-...")


def _expect(name: str, array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        expected = np.dtype(dtype).name
        raise BadIndexError(
            f"{name}: expected {expected} {shape}, found {array.dtype} {array.shape}"
        )


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise BadIndexError(otherwise)


def _check_permutation(name: str, numbers: NDArray[Any]) -> None:
    count = len(numbers)
    seen = np.zeros(count, np.bool_)
    if count and numbers.min() >= 0 and numbers.max() < count:
        seen[numbers] = True
    _require(seen.all(), f"{name}: expected each number from 0 to {count - 1} once")


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def _by_bits(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """Codes (M, B) as tables hold them, (M, W): like lanes, the padding behind all bits."""
    if bits % 8 == 0:
        return np.ascontiguousarray(to_lanes(codes, bits).T)
    result = np.zeros((len(codes), code_lanes(bits)), np.uint64)
    places = bit_places(bits)
    for block in _blocks(len(codes)):
        lanes = to_lanes(np.asarray(codes[block]), bits)  # (W, n)
        for bit, place in enumerate(places.tolist()):
            one = lanes[place >> 6] >> np.uint64(place & 63) & np.uint64(1)
            result[block, bit >> 6] |= one << np.uint64(bit & 63)
    return result


def _part_values(codes: NDArray[np.uint64], first: int, last: int) -> NDArray[np.uint64]:
    """The bits `first` to `last`, 32 at most, of codes (n, W), as numbers (n,)."""
    word, shift = first >> 6, first & 63
    values = codes[:, word] >> np.uint64(shift)
    if (last - 1) >> 6 > word:
        values = values | codes[:, word + 1] << np.uint64(64 - shift)
    return values & np.uint64((1 << (last - first)) - 1)
