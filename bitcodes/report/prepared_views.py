"""How prepared data folders are shown on a terminal."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from bitcodes.datasets.prepared import Prepared
from bitcodes.report import views
from bitcodes.wording import counted


@views.tables.register
def _(prepared: Prepared) -> Iterator[RenderableType]:
    states = {"new": "ready", "updated": "updated", "unchanged": "already prepared"}
    about = prepared.description
    counts = about["counts"]
    yield Text(
        f"{prepared.folder} is {states[prepared.state]}: "
        f"{counted(counts['train'], 'image')} to train on, "
        f"{counted(counts['test'], 'query', 'queries')}, {counts['database']:,} in the database, "
        f"{counted(len(about['class_names']), 'class', 'classes')} "
        f"(protocol {about.get('protocol')})"
    )


@views.remarks.register
def _(prepared: Prepared) -> Iterator[str]:
    return (f"note: {remark}" for remark in prepared.notes)
