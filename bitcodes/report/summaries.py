"""Short results as plain lines: a new code set, an index, what a file holds, an exported model."""

from collections.abc import Iterator
from typing import Any

from bitcodes.sources.paths import quote_path
from bitcodes.tasks.export import Exported
from bitcodes.tasks.index import IndexSummary
from bitcodes.tasks.info import CodeSetInfo, ModelInfo
from bitcodes.tasks.results import Encoded

_SKIPPED_SHOWN = 5


def encoded_line(encoded: Encoded) -> str:
    """How many codes a set has, and how many images were skipped."""
    code_set = encoded.code_set
    line = f"{encoded.file}: {code_set.count:,} codes of {code_set.bits} bits"
    if code_set.skipped:
        name = encoded.file.with_suffix(".skipped.txt").name
        line += f", {len(code_set.skipped):,} images skipped ({name})"
    return line


def skipped_lines(encoded: Encoded) -> Iterator[str]:
    """The first images that were skipped, with the reason, and how many more there are."""
    skipped = encoded.code_set.skipped
    for path, reason in skipped[:_SKIPPED_SHOWN]:
        yield f"skipped {quote_path(path)}: {reason}"
    if len(skipped) > _SKIPPED_SHOWN:
        yield f"skipped {len(skipped) - _SKIPPED_SHOWN:,} more"


def index_lines(index: IndexSummary) -> Iterator[str]:
    """How many codes an index has, what was done, and how much faster searches are."""
    share = f" ({index.distinct / index.count:.1%})" if index.count else ""
    outcome: str = index.outcome
    if outcome != "up to date":
        outcome = f"{outcome} in {index.seconds:.1f} s"
    yield (
        f"{index.folder}: {index.count:,} codes, {index.distinct:,} of them distinct{share}; "
        f"{outcome}"
    )
    if index.tables:
        gains = ", ".join(f"{name} {gain:.1f}" for name, gain in index.gains.items() if gain > 1)
        yield (
            f"{index.tables} tables, {index.table_bytes / 1e6:,.0f} MB; faster than a scan, about, "
            f"by a factor of: {gains or '1 (searches will scan)'}"
        )


def info_lines(info: CodeSetInfo | ModelInfo) -> Iterator[str]:
    """A line per fact: its name, and its value in words."""
    facts = info.to_dict()
    width = max(map(len, facts))
    for name, value in facts.items():
        yield f"{name.replace('_', ' '):{width}}  {_in_words(value)}"


def exported_line(exported: Exported) -> str:
    """The file and the model in it, in one line."""
    side = exported.image_size
    return (
        f"{exported.file}: {exported.backbone}, {exported.bits} bits, images of {side} x {side} "
        "pixels"
    )


def _in_words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    return str(value)
