"""Results of a few facts as plain lines: an index, what a file holds, an exported model."""

from collections.abc import Iterator
from typing import Any

from bitcodes.tasks.export import Exported
from bitcodes.tasks.index import IndexSummary
from bitcodes.tasks.info import CodeSetInfo, ModelInfo


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
