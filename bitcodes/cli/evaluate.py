"""`bitcodes evaluate`: retrieval figures of runs, or of two stored code sets."""

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
        str | None,
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
    from bitcodes.cli.console import note, out, print_json, progress
    from bitcodes.metrics.comparison import evaluation_name, paired_differences
    from bitcodes.metrics.compat import NAMES, compat_figures
    from bitcodes.report.tables import comparison_tables, compat_table, evaluation_tables
    from bitcodes.tasks import evaluate as evaluation
    from bitcodes.tasks.examples import examples

    if compat is not None and compat not in NAMES:
        raise typer.BadParameter(f"known are {', '.join(NAMES)}", param_hint="--compat")
    chosen: list[Path | None] = [*(runs or []), *([run] if run else [])]
    results = [
        evaluation.evaluate(
            one,
            data=data,
            queries=queries,
            database=database,
            exclude_self=exclude_self,
            stages=stages,
            force=force,
            device=device,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        for one in chosen or [None]
    ]
    differences = [paired_differences(results[0], other) for other in results[1:]]
    counted = [compat_figures(compat, result) for result in results] if compat else []

    if report is not None:
        from bitcodes.report.evaluation_page import evaluation_page
        from bitcodes.report.page import write_page

        looked_at = examples(results[0]) if len(results) == 1 else ()
        write_page(evaluation_page(results, differences, looked_at), report)
        note(f"{report}: open it in a browser")
    if json:
        documents = [result.to_dict() for result in results]
        for document, figures in zip(documents, counted, strict=False):
            document["compat"] = {compat: [vars(figure) for figure in figures]}
        if len(results) == 1:
            print_json(documents[0])
            return
        print_json(
            {
                "runs": documents,
                "differences": [
                    {
                        "run": evaluation_name(result),
                        "against": evaluation_name(results[0]),
                        "figures": {name: found.to_dict() for name, found in known.items()},
                    }
                    for result, known in zip(results[1:], differences, strict=True)
                ],
            }
        )
        return
    parts = (
        evaluation_tables(results[0])
        if len(results) == 1
        else comparison_tables(results, differences)
    )
    for part in parts:
        out.print(part)
    for result, figures in zip(results, counted, strict=False):
        out.print()
        of = f"{compat}, {evaluation_name(result)}," if len(results) > 1 else str(compat)
        out.print(compat_table(of, figures))
