"""`bitcodes evaluate`: retrieval figures of runs, or of two stored code sets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import BatchSizeOption, DeviceOption, JsonOption, WorkersOption


class Compat(StrEnum):
    """Another project's way of counting."""

    deephash = "deephash"
    lin2015 = "lin2015"
    predecessor = "predecessor"


def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUNS",
            help="Runs (folders that finetune wrote). Several are compared on the same queries. "
            "Default: the newest run, runs/latest.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="One more run to evaluate.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Prepared dataset to evaluate on. Default: the one of the training."
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="Code set of the queries; with --database, not a run."),
    ] = None,
    database: Annotated[
        Path | None,
        typer.Option("--database", help="Code set of the images to search; with --queries."),
    ] = None,
    exclude_self: Annotated[
        bool,
        typer.Option(
            "--exclude-self",
            help="Leave each query's own file out of its results. Files are compared by path.",
        ),
    ] = False,
    compat: Annotated[
        Compat | None,
        typer.Option(
            "--compat",
            help="Also print the figures as another project counts them, to compare with its "
            "tables. docs/metrics.md says how each counts.",
        ),
    ] = None,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages",
            help="Also compare the search modes (plain, re-ranked, asymmetric) on 1,000 of the "
            "queries: quality and queries per second.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write a page with figures, curves, bit statistics, and the best and worst "
            "queries: one file for any browser.",
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            help="Write figures for papers into this folder, each as PDF, SVG and PNG: precision "
            "and recall, precision at k, distances, mAP by class, and the use of the bits.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Evaluate even if --queries and --database are of different models."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure retrieval quality: mAP, precision and recall, in total and per class.

    ```
    bitcodes evaluate
    bitcodes evaluate runs/first runs/second --report compared.html
    bitcodes evaluate --queries queries.npy --database codes.npy
    ```

    A run is evaluated on the data that it was trained for: the queries (test.txt) search the
    database (database.txt). Their codes are kept in the run, so a second call takes no time. Code
    sets need labels.

    An image is relevant to a query if they share a label. Images at equal distance have no order
    among themselves, so each figure is the mean over all their orders. docs/metrics.md defines
    every figure.
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
    if plots is not None:
        from bitcodes.cli.console import note
        from bitcodes.report.plots import FORMATS, write_plots

        files = write_plots(result.evaluations, plots)
        names = ", ".join(dict.fromkeys(file.stem for file in files))
        note(f"{plots}: {names}; each as {', '.join(FORMATS)}")
    show(result, json=json, html=report)
