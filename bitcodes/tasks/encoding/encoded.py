"""What encoding did: the set, what changed, and what was skipped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.sources.paths import place_from_here, quote_path
from bitcodes.tasks.encoding.changes import Changes


@dataclass(frozen=True)
class Encoded:
    """A code set and the file that it was written to."""

    code_set: CodeSet
    file: Path
    told: frozenset[str] = frozenset()
    """The lines that the log got meanwhile."""

    changes: Changes | None = None
    """What has changed, if that was asked for."""
    seconds: float = 0.0
    """How long it took, with the loading of the model."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        changes = self.changes
        numbers = (
            {}
            if changes is None
            else {
                "kept": changes.kept,
                "new": len(changes.new),
                "changed": len(changes.changed),
                "gone": len(changes.gone),
            }
        )
        return set_dict(self.code_set, self.file) | numbers | {"seconds": round(self.seconds, 3)}

    def place(self, path: str) -> str:
        """Where an image of the set lies, from the working folder if it is below that."""
        return place_from_here(self.code_set.root_name, path)


def set_dict(code_set: CodeSet, file: Path) -> dict[str, Any]:
    """A JSON-ready form of a set that was written to `file`."""
    skipped = [{"path": escape(path), "reason": reason} for path, reason in code_set.skipped]
    return {
        "codes": escape(str(file)),
        "count": code_set.count,
        "bits": code_set.bits,
        "run": None if code_set.header.run is None else escape(code_set.header.run),
        "fingerprint": code_set.fingerprint,
        "skipped": skipped,
    }


def damage_in_words(archive: str, reason: str) -> str:
    """What is said of an archive that is damaged; the code set has it as a skipped path."""
    return f"{quote_path(archive)}: {reason}"
