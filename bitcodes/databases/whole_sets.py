"""Changes to code sets in memory, for engines that write a set as a whole."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escaped
from bitcodes.databases.store import Changes, header_of
from bitcodes.errors import CodeSetError

_COLUMNS = "labels", "stat"
"""The optional columns that stores keep."""


def stored_paths(code_set: CodeSet) -> list[bytes]:
    """The paths of a set, escaped. CodeSetError if one comes twice."""
    paths = escaped(code_set.paths, 0, code_set.count)
    seen: set[bytes] = set()
    for path in paths:
        if path in seen:
            raise CodeSetError(
                f"{code_set.name} cannot be stored: a database has one row per path, but a path "
                f"comes twice ({path.decode()})"
            )
        seen.add(path)
    return paths


def changes_between(before: CodeSet, after: CodeSet) -> Changes:
    """How many rows an update from one set to another adds, changes and removes, by path."""
    rows = {path: row for row, path in enumerate(stored_paths(before))}
    places = np.array([rows.get(path, -1) for path in stored_paths(after)], np.int64)
    stays = np.flatnonzero(places >= 0)
    old = places[stays]
    differs = (before.codes[old] != after.codes[stays]).any(axis=1)
    for name in _COLUMNS:
        one, other = getattr(before, name), getattr(after, name)
        if not are_alike(one, other):
            differs[:] = True
        elif one is not None:
            changed = one[old] != other[stays]
            differs |= changed.any(axis=tuple(range(1, changed.ndim)))
    return Changes(after.count - len(old), int(differs.sum()), before.count - len(old))


def is_same(before: CodeSet, after: CodeSet) -> bool:
    """Whether both sets are the same but for their rows, and have these in the same order."""
    return header_of(before) == header_of(after) and stored_paths(before) == stored_paths(after)


def are_alike(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    """Whether two sets both have a column, of one kind, or both lack it."""
    if one is None or other is None:
        return one is other
    return one.shape[1:] == other.shape[1:]


def joined(one: CodeSet, other: CodeSet) -> CodeSet:
    """The rows of a set, then those of another; CodeSetError unless their columns are alike."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in _COLUMNS}
    if one.class_names != other.class_names or not all(are_alike(*p) for p in pairs.values()):
        raise CodeSetError(
            f"{other.name} cannot be appended to {one.name}: expected the same columns and class "
            "names; merge the sets and push the whole"
        )
    columns: dict[str, Any] = {
        name: None if pair[0] is None else np.concatenate(pair) for name, pair in pairs.items()
    }
    codes = np.concatenate([one.codes, other.codes])
    header = header_of(one).model_copy(update={"count": len(codes)})
    return CodeSet(None, header, codes, [*one.paths, *other.paths], url=one.url, **columns)


def some_rows(code_set: CodeSet, rows: NDArray[np.int64]) -> CodeSet:
    """Some rows of a set."""
    columns = {name: getattr(code_set, name) for name in _COLUMNS}
    taken: dict[str, Any] = {n: None if c is None else c[rows] for n, c in columns.items()}
    header = header_of(code_set).model_copy(update={"count": len(rows)})
    paths = [code_set.paths[row] for row in rows.tolist()]
    return CodeSet(None, header, code_set.codes[rows], paths, url=code_set.url, **taken)
