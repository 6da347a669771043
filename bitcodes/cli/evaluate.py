"""`bitcodes evaluate`: retrieval figures of runs, or of two stored code sets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import (
    BatchSizeOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    WorkersOption,
)


class Compat(StrEnum):
    """Whose way of counting to add."""

    deephash = "deephash"
    lin2015 = "lin2015"
    seed = "seed"


def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs (folders that finetune wrote); several are compared on the same queries. "
            "Default: the newest run, runs/latest.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="The same as naming one run.", show_default=False)
    ] = None,
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
    compat: Annotated[
        Compat | None,
        typer.Option(
            "--compat",
            help="Also count as others do, to lay figures beside their tables: deephash, lin2015 "
            "or seed.",
        ),
    ] = None,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages",
            help="Also search with 1,000 of the queries, re-ranked and asymmetric beside plain "
            "Hamming: what each stage buys, and the queries a second.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write a page with figures, curves, codes, and the best and worst queries.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Measure how well codes retrieve: mAP, precision and recall, with a table by class.

    ```
    bitcodes evaluate
    bitcodes evaluate runs/first runs/second --report compared.html
    bitcodes evaluate --queries queries.npy --database codes.npy
    ```

    A run is evaluated on the data it was trained for: the queries (test.txt) against the database
    (database.txt). Their codes are kept in the run, so a second call is instant. Code sets need
    labels.

    An image is relevant to a query of the same class, or with a label in common. Images at equal
    distance count by their mean over all orders. docs/metrics.md defines every figure.
    """
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.compare import compare

    result = compare(
        [*(runs or []), *([run] if run else [])],
        data=data,
        queries=queries,
        database=database,
        compat=compat.value if compat else None,
        exclude_self=exclude_self,
        stages=stages,
        force=force,
        device=device,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    show(result, json=json, html=report)
