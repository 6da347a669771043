"""`bitcodes evaluate`: retrieval figures of runs, or of two stored code sets."""

import logging
from pathlib import Path

from bitcodes.choices import CompatName
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
    queries: Path | None = option(
        "Code set of the queries. Use it with --database, and without RUNS."
    ),
    database: Path | None = option("Code set of the images to search. Use it with --queries."),
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
        "Also measure the order inside classes, with N images of the database and N queries: are "
        "cropped, blurred, recompressed and mirrored copies found, and are a query's neighbours "
        "those by the features of the built-in model? Default: 0, which measures none; 500 is "
        "enough.",
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
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: bool = flag(
        "--force", "Evaluate even if --queries and --database are of different models."
    ),
    json: JsonOption = False,
) -> None:
    """Measure retrieval quality: mAP, precision and recall, in total and per class.

    ```
    bitcodes evaluate
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
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.metrics.comparison import compare
    from bitcodes.report import evaluation_views  # noqa: F401 - for `show`
    from bitcodes.tasks import evaluate as task

    sources: list[str | None] = [*(runs or []), *([run] if run else [])]
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
        from bitcodes.cli.console import note
        from bitcodes.report.plots import FORMATS, write_plots

        files = write_plots(result.evaluations, plots)
        names = ", ".join(dict.fromkeys(file.stem for file in files))
        note(f"{plots}: {names}; each as {', '.join(FORMATS)}")
    show(result, json=json, html=report)
