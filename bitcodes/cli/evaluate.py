"""`bitcodes evaluate`: retrieval figures of runs, or of two stored code sets."""

import logging
from collections.abc import Sequence
from pathlib import Path

import typer

from bitcodes.choices import CompatName, TableFormat
from bitcodes.cli.leaks import CheckLeaksOption, show_leaks
from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.options import (
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    WorkersOption,
    argument,
    flag,
    number,
    option,
    output,
    page,
)
from bitcodes.errors import ConfigError


def _columns(text: str | None) -> str | None:
    """The value of --columns, names with commas; raises BadParameter unless columns have them."""
    if text is not None:
        from bitcodes.report.run_table import check_columns

        try:
            check_columns(text.split(","))
        except ConfigError as error:
            raise typer.BadParameter(str(error)) from None
    return text


def evaluate(
    runs: list[str] | None = argument(
        "RUNS",
        "Runs (folders that finetune wrote), or built-in. Several are compared on the same "
        "queries. Default: the newest run, runs/latest.",
        default=None,
    ),
    run: str | None = option("One more run to evaluate."),
    data: Path | None = option(
        "Prepared dataset, or folder of images in one folder per class, to evaluate on. Default: "
        "what the run was trained on; for built-in, what the newest run was trained on."
    ),
    queries: str | None = option(
        "Code set of the queries, or the URL of a database. Use it with --database, and without "
        "RUNS.",
        metavar="CODES",
    ),
    database: str | None = option(
        "Code set of the images to search, or the URL of a database. Use it with --queries.",
        metavar="CODES",
    ),
    exclude_self: bool = flag(
        "--exclude-self",
        "Leave each query's own file out of its results. Files are compared by path.",
    ),
    compat: CompatName | None = option(
        "Also print the figures as another project computes them, to compare with its tables. "
        "docs/metrics.md explains the differences."
    ),
    stages: bool = flag(
        "--stages",
        "Also compare the search modes (plain, re-ranked, asymmetric) on 1,000 of the queries: "
        "quality and queries per second.",
    ),
    copies: int = option(
        "Also measure the order inside classes, with N images of the database and N queries. Does "
        "a search for a cropped, blurred, recompressed or mirrored copy find its original? Does it "
        "put first those images of a class that are nearest by the features of the built-in model? "
        "500 is enough. Default: 0, which measures none.",
        default=0,
        **number(int, least=0),
    ),
    report: Path | None = option(
        "Write a page with figures, curves, bit statistics, and the best and worst queries: one "
        "file for any browser.",
        callback=page,
    ),
    plots: Path | None = option(
        "Write plots for papers into this folder, each as PDF, SVG and PNG: precision and recall, "
        "precision at k, distances, mAP by class, and the use of the bits.",
        callback=output,
    ),
    table_format: TableFormat | None = option(
        "Print a table with a row per run: for a terminal, or as text in Markdown, LaTeX or CSV. "
        "Default: a table for several runs, and all figures of a single one.",
        "--format",
    ),
    columns: str | None = option(
        "Columns of the table of --format, with commas: run, data, protocol, backbone, loss, bits, "
        "queries, database, and figures by their names in --json. FIGURE_interval and "
        "FIGURE_difference are its 95 % interval and its difference from the first run.",
        metavar="NAME,...",
        callback=_columns,
    ),
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: bool = flag(
        "--force", "Evaluate even if --queries and --database are of different models."
    ),
    check_leaks: CheckLeaksOption = False,
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Measure retrieval quality: mAP, precision and recall, in total and per class.

    ```
    bitcodes evaluate
    bitcodes evaluate runs/* --format latex
    bitcodes evaluate runs/first built-in --report compared.html
    bitcodes evaluate --queries queries.npy --database codes.npy
    ```

    A run is evaluated on the dataset that it was trained on: the queries (test.txt) search the
    database (database.txt). In class folders, one image in ten is a query. The codes are kept in
    the run, so a second call is fast. Code sets need labels.

    An image is relevant to a query if they share a label. The order of images at equal distance is
    arbitrary, so each figure is the mean over all possible orders. docs/metrics.md defines every
    figure.
    """
    if json and (table_format or columns):
        raise typer.BadParameter("it goes without --format and --columns", param_hint="--json")
    if check_leaks and (json or queries or database):
        raise typer.BadParameter(
            "it goes without --json, --queries and --database", param_hint="--check-leaks"
        )
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.show import show
    from bitcodes.metrics.comparison import compare
    from bitcodes.report import evaluation_views  # noqa: F401 - for `show`
    from bitcodes.report.run_table import RunTable
    from bitcodes.tasks import evaluate as task
    from bitcodes.tasks.several_runs import several_runs

    sources: Sequence[str | None] = several_runs([*(runs or []), *([run] if run else [])], note)
    evaluations = [
        task.evaluate(
            source,
            data=data,
            queries=queries,
            database=database,
            exclude_self=exclude_self,
            stages=stages,
            copies=copies,
            force=force,
            device=device,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        for source in sources or [None]
    ]
    result = compare(evaluations, compat)
    if report is not None or plots is not None:
        # It would warn of a home folder that is read-only, where it cannot keep a list of fonts.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if plots is not None:
        from bitcodes.report.plots import FORMATS, write_plots

        files = write_plots(result.evaluations, plots)
        names = ", ".join(dict.fromkeys(file.stem for file in files))
        note(f"{plots}: {names}; each as {', '.join(FORMATS)}")
    if report is not None:
        from bitcodes.cli.browser import write_and_open

        write_and_open(result, report, open_page=False)
    if table_format is not None or columns is not None:
        chosen = () if columns is None else columns.split(",")
        show(RunTable.of(result, chosen, table_format or "table"))
    else:
        show(result, json=json)
    if check_leaks:
        from bitcodes.tasks.labelled_data import run_and_data

        show_leaks(run_and_data(sources[0] if sources else None, data)[1].folder)
