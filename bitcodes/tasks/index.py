"""Index: build or update the index of a code set, and say what it is worth."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.multi import MultiIndex
from bitcodes.hamming.stored import SavedIndex, index_path, load_index, remove_left, update_index

Outcome = Literal["up to date", "built", "updated"]


@dataclass(frozen=True)
class IndexSummary:
    """The saved index of a code set, and what was done to make it."""

    folder: Path
    count: int
    """Codes in the set."""
    distinct: int
    """Distinct codes among them."""
    tables: int
    """How many tables of code parts it has; 0 for none."""
    table_bytes: int
    gains: dict[str, float]
    """Kind of search -> how many times faster than a scan it is expected to be."""
    outcome: Outcome
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "index": str(self.folder),
            "count": self.count,
            "distinct": self.distinct,
            "tables": self.tables,
            "gains": self.gains,
            "built": self.outcome != "up to date",
            "seconds": self.seconds,
        }


def build_index(
    codes: Path | str, *, tables: bool | None = None, force: bool = False
) -> IndexSummary:
    """Build the index of the code set stored at `codes`, and save it in a folder beside it.

    `tables` says whether to add tables of code parts; by default, sets with 1,000,000 distinct
    codes or more have them. A good index is kept, and one of the set's first rows is extended;
    `force` builds it again. Raises CodeSetError if the code set is missing or damaged.
    """
    code_set = CodeSet.open(codes)
    started = time.perf_counter()
    remove_left(Path(codes))
    index = None if force else _usable(code_set, tables)
    outcome = "up to date"
    if index is None:
        index, outcome = update_index(code_set, tables, afresh=force)
    multi = index if isinstance(index, MultiIndex) else None
    return IndexSummary(
        folder=index_path(Path(codes)),
        count=len(index),
        distinct=len(index.distinct),
        tables=0 if multi is None else multi.tables.codes.shape[0],
        table_bytes=0 if multi is None else multi.tables.nbytes,
        gains={} if multi is None else _gains(multi),
        outcome=outcome,  # type: ignore[arg-type]
        seconds=round(time.perf_counter() - started, 3),
    )


def _usable(code_set: CodeSet, tables: bool | None) -> SavedIndex | None:
    """The saved index if it is of these codes, whole, and has tables or not as requested."""
    try:
        index = load_index(code_set)
    except CodeSetError:  # of other codes, or damaged
        return None
    return index if tables in (None, isinstance(index, MultiIndex)) else None


def _gains(index: MultiIndex) -> dict[str, float]:
    gains = {f"{k} nearest": round(index.gain(k=k), 1) for k in (1, 10, 100)}
    return gains | {"radius 2": round(index.gain(radius=2), 1)}
