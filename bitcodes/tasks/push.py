"""Push: a code set into a database."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.store import Changes
from bitcodes.databases.urls import open_store
from bitcodes.wording import counted


@dataclass(frozen=True)
class Pushed:
    """What a push has stored."""

    codes: str
    """The code set."""
    url: str
    """The store, without a password."""
    bits: int
    count: int
    """Rows that are in the store now."""
    added: int | None = None
    changed: int | None = None
    removed: int | None = None
    """Rows that were written or removed; None where the whole set was written."""

    def describe(self) -> str:
        """The result in one line."""
        size = f"{counted(self.count, 'code')} of {counted(self.bits, 'bit')}"
        line = f"{size} in {self.url}"
        if self.added is None:
            return line
        if not (self.added or self.changed or self.removed):
            return f"{line}, which were there already"
        return f"{line}: {self.added:,} added, {self.changed:,} changed, {self.removed:,} removed"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def push(
    code_set: CodeSet | Path | str,
    url: str,
    *,
    table: str | None = None,
    update: bool = False,
    progress: Progress | None = None,
) -> Pushed:
    """Store a code set, or its file, in the database at `url`, replacing what the table holds.

    `table` stands in for the one that the URL names. `update` compares all rows and writes only
    what differs. Without it, nothing is written if this very file was stored last. Readers see the
    old set until the new one is complete; if this is interrupted, the old one stays. Raises
    CodeSetError if the database refuses, or if an update is of another model.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    with open_store(url, table) as store:
        changes = None
        if update:
            changes = store.update(code_set, progress)
        elif store.holds(code_set):
            changes = Changes(0, 0, 0)
        else:
            store.replace(code_set, progress)
        about = code_set.name, store.name, code_set.bits, code_set.count
        return Pushed(*about, *(changes or ()))
