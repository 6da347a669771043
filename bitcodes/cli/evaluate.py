"""`bitcodes evaluate`: retrieval figures of a run, or of two stored code sets."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import (
    BatchSizeOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    RunOption,
    WorkersOption,
)


def evaluate(
    run: RunOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Evaluate on this prepared dataset. Default: the one the run was trained on.",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="Code set of the queries, instead of a run's."),
    ] = None,
    database: Annotated[
        Path | None,
        typer.Option("--database", help="Code set of the images that are searched."),
    ] = None,
    exclude_self: Annotated[
        bool,
        typer.Option(
            "--exclude-self",
            help="Pass over each query's own file in the database, found by its path.",
        ),
    ] = False,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Measure how well codes retrieve: mAP, precision and recall, with a table by class.

    Without options, the newest run is evaluated on the data it was trained for: the queries
    (test.txt) against the database (database.txt). Their codes are kept in the run, so a second
    call is instant. Or give two code sets with labels:

    `bitcodes evaluate --queries q.npy --database codes.npy`

    An image is relevant to a query of the same class, or with a label in common. Images at equal
    distance count by their mean over all orders. docs/metrics.md defines every figure.
    """
    from bitcodes import evaluation
    from bitcodes.cli.console import out, print_json, progress
    from bitcodes.report.tables import evaluation_tables

    result = evaluation.evaluate(
        run,
        data=data,
        queries=queries,
        database=database,
        exclude_self=exclude_self,
        force=force,
        device=device,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    if json:
        print_json(result.to_dict())
        return
    for part in evaluation_tables(result):
        out.print(part)
