"""`bitcodes search`: the images whose codes are nearest to those of the queries."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import (
    DeviceOption,
    HtmlOption,
    JsonOption,
    ThreadsOption,
    WorkersOption,
)


def search(
    queries: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERIES",
            help="Images to search for: files, folders, list files (.txt), - for paths on standard "
            "input; or one code set (.npy).",
        ),
    ],
    codes: Annotated[Path, typer.Option("--codes", help="Code set to search.")] = Path("codes.npy"),
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, help="Most results per query. Default: 10; with --radius, no limit."
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option("--radius", min=0, help="Largest Hamming distance of a result."),
    ] = None,
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Order a shortlist by the distance between features."),
    ] = False,
    asymmetric: Annotated[
        bool,
        typer.Option(
            "--asymmetric",
            help="Order a shortlist by the hash outputs of the query, not only by their bits.",
        ),
    ] = False,
    shortlist: Annotated[
        int | None,
        typer.Option(
            "--shortlist",
            min=1,
            help="How many of the nearest codes --rerank or --asymmetric orders. Default: 1,000; "
            "with --radius, all within it.",
        ),
    ] = None,
    json: JsonOption = False,
    html: HtmlOption = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Run or model file. Default: the one that encoded the code set."
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Search even if the queries are of another model than the code set. The distances "
            "then mean nothing.",
        ),
    ] = False,
) -> None:
    """Find the images nearest to each query, exactly, by the Hamming distance of their codes.

    ```
    bitcodes search query.jpg
    bitcodes search queries/ --codes photos.npy -k 20 --html results.html
    bitcodes search query.jpg --radius 12 --rerank -k 120
    ```

    Results are ordered by distance, then by row. If labels are known, each result is marked as
    correct or not. A query without a label has that of its class folder.

    When piped, prints one tab-separated line per result: query, rank, distance, similarity, path,
    labels and, with --rerank or --asymmetric, the distance of features or hash outputs.
    """
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.show import show
    from bitcodes.tasks import search as task
    from bitcodes.tasks.queries import is_code_set

    if rerank and asymmetric:
        raise typer.BadParameter("use it or --rerank, not both", param_hint="--asymmetric")
    if shortlist is not None and not (rerank or asymmetric):
        raise typer.BadParameter("it needs --rerank or --asymmetric", param_hint="--shortlist")
    if shortlist is not None and radius is not None:
        raise typer.BadParameter("use it or --radius, not both", param_hint="--shortlist")
    if len(queries) > 1 and any(map(is_code_set, queries)):
        raise typer.BadParameter("expected one code set (.npy), or images", param_hint="QUERIES")

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
