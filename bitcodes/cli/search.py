"""`bitcodes search`: the images whose codes are nearest to those of the queries."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import (
    CodesOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    ThreadsOption,
    WorkersOption,
)


def search(
    queries: Annotated[
        list[str],
        typer.Argument(
            help="Images to search for: files, folders, list files (.txt), - for paths on standard "
            "input; or one code set (.npy).",
        ),
    ],
    codes: CodesOption = Path("codes.npy"),
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, help="How many to find. Default: 10, or all within --radius if given."
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option("--radius", min=0, help="Only codes at this Hamming distance or nearer."),
    ] = None,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Order a shortlist by the distance between features instead of codes."
        ),
    ] = False,
    asymmetric: Annotated[
        bool,
        typer.Option(
            "--asymmetric",
            help="Order a shortlist by the query's hash outputs, before they became bits.",
        ),
    ] = False,
    shortlist: Annotated[
        int | None,
        typer.Option(
            "--shortlist",
            min=1,
            help="How many nearest codes --rerank or --asymmetric orders. Default: 1,000, or all "
            "within --radius.",
        ),
    ] = None,
    json: JsonOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with thumbnails: one file, for any browser."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="The run or model file to use. Default: the one that made the code set."
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
) -> None:
    """Find the images nearest to queries, by the Hamming distance of their codes, exactly.

    ```
    bitcodes search query.jpg
    bitcodes search queries/ --codes photos.npy -k 20 --html results.html
    bitcodes search query.jpg --radius 12 --rerank -k 120
    ```

    Results are ordered by distance, then by row. Into a pipe or a file goes a line a result, parted
    by tabs: query, rank, distance, similarity, path, labels and, with --rerank or --asymmetric, the
    distance of features or hash outputs. Where labels are known, of a query also by the class
    folder it lies in, results are marked as correct or not.
    """
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.show import show
    from bitcodes.tasks import search as task
    from bitcodes.tasks.queries import is_code_set

    if rerank and asymmetric:
        raise typer.BadParameter("give it or --rerank, not both", param_hint="--asymmetric")
    if shortlist is not None and not (rerank or asymmetric):
        raise typer.BadParameter("it needs --rerank or --asymmetric", param_hint="--shortlist")
    if shortlist is not None and radius is not None:
        raise typer.BadParameter("give it or --radius, not both", param_hint="--shortlist")
    if len(queries) > 1 and any(map(is_code_set, queries)):
        raise typer.BadParameter("give one code set (.npy), or images", param_hint="QUERIES")

    with progress("encoding queries") as report:
        results = task.search(
            queries,
            codes,
            k=k,
            radius=radius,
            rerank=rerank,
            asymmetric=asymmetric,
            shortlist=shortlist,
            run=run,
            device=device,
            workers=workers,
            threads=threads,
            force=force,
            progress=report,
            note=note,
            stdin=sys.stdin.buffer if "-" in queries else None,
        )
    show(results, json=json, html=html)
