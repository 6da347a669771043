"""`bitcodes search`: the images whose codes are nearest to those of the queries."""

import sys
from pathlib import Path

import typer

from bitcodes.choices import SearchOrder
from bitcodes.cli.options import (
    DatabaseOption,
    DeviceOption,
    HtmlOption,
    JsonOption,
    OpenOption,
    ThreadsOption,
    WorkersOption,
    argument,
    flag,
    number,
    option,
    output,
)


def search(
    queries: list[str] = argument(
        "QUERIES",
        "Images to search for: files, folders, list files (.txt), - for paths on standard input; "
        "or one code set (.npy).",
    ),
    codes: DatabaseOption = None,
    k: int | None = option(
        "Largest number of results per query. Default: 10; with --radius, no limit.",
        "-k",
        **number(int, least=1),
    ),
    radius: int | None = option(
        "Largest distance of a result: the Hamming distance, or for codes of two parts the "
        "distance by --order.",
        **number(int, least=0),
    ),
    order: SearchOrder | None = option(
        "How to order the results if the codes have two parts (finetune --instance-bits). The "
        "class distance is the number of class bits that differ, the instance distance the number "
        "of instance bits. sum: by the class distance, times a weight that the model stores, plus "
        "the instance distance. class: by the class distance, then by the instance distance; "
        "--radius limits the class distance. Default: sum."
    ),
    label: list[str] | None = option(
        "Search only images with this label. Repeat the option to search images with any of "
        "several labels.",
        metavar="NAME",
    ),
    under: str | None = option(
        "Search only images whose path in the code set begins with this text, for example a "
        "folder.",
        metavar="PREFIX",
    ),
    rerank: bool = flag(
        "--rerank",
        "Order the nearest images by the distance between features. The code set needs features.",
    ),
    asymmetric: bool = flag(
        "--asymmetric",
        "Order the nearest images by the real-valued hash outputs of the query, not only by its "
        "bits.",
    ),
    shortlist: int | None = option(
        "Length of the shortlist: how many of the nearest images --rerank or --asymmetric orders. "
        "Default: 1,000; with --radius, all images within it.",
        **number(int, least=1),
    ),
    exclude_self: bool = flag("--exclude-self", "Leave each query's own file out of its results."),
    json: JsonOption = False,
    pictures: bool = flag(
        "--show", "Show the results as pictures on the terminal, if it has at least 256 colours."
    ),
    html: HtmlOption = None,
    open_page: OpenOption = False,
    copy_to: Path | None = option(
        "Copy the files of the results into this folder, named by rank: 01 name.jpg. No file is "
        "replaced. Several queries get a subfolder each. It must not lie in a folder that was "
        "encoded.",
        metavar="DIR",
        callback=output,
    ),
    run: str | None = option(
        "Run, model file, or built-in. Default: the one that encoded the code set."
    ),
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    force: bool = flag(
        "--force",
        "Search even if the codes of the queries are of another model than the code set. The "
        "distances then mean nothing.",
    ),
) -> None:
    """Find the images nearest to each query, exactly, by the Hamming distance of their codes.

    ```
    bitcodes search query.jpg
    bitcodes search query.jpg --show
    bitcodes search queries/ --codes photos.npy -k 20 --html results.html
    bitcodes search query.jpg --radius 12 --rerank -k 120
    bitcodes search query.jpg --label dog --label cat --under holidays/
    ```

    Results are ordered by distance, and at equal distance by row. If labels are known, each result
    is marked as correct or not. A query without a label gets the label of its class folder.

    The similarity is the share of equal bits. For codes of two parts, it is 1 minus the distance as
    a share of the largest possible one. Even unrelated images have half of the bits or more in
    common: look for distances that are clearly smaller than the others.

    When piped, prints one tab-separated line per result: query, rank, distance, similarity, path,
    labels and, with --rerank or --asymmetric, the distance of features or hash outputs.
    """
    from bitcodes.cli.code_sets import find_database
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.show import show
    from bitcodes.codes.paths import with_slashes
    from bitcodes.tasks.searching import search as task
    from bitcodes.tasks.searching.queries import is_code_set

    if rerank and asymmetric:
        raise typer.BadParameter("use it or --rerank, not both", param_hint="--asymmetric")
    if pictures and json:
        raise typer.BadParameter("use it or --json, not both", param_hint="--show")
    if shortlist is not None and not (rerank or asymmetric):
        raise typer.BadParameter("it needs --rerank or --asymmetric", param_hint="--shortlist")
    if shortlist is not None and radius is not None:
        raise typer.BadParameter("use it or --radius, not both", param_hint="--shortlist")
    if len(queries) > 1 and any(map(is_code_set, queries)):
        raise typer.BadParameter("expected one code set (.npy), or images", param_hint="QUERIES")

    database = find_database(codes)
    if copy_to is not None:
        from bitcodes.tasks.searching.copying import check_folder

        check_folder(copy_to, database)
    with progress("encoding queries") as report:
        results = task.search(
            queries,
            database,
            k=k,
            radius=radius,
            order=order,
            label=label or (),
            under=None if under is None else with_slashes(under),
            rerank=rerank,
            asymmetric=asymmetric,
            shortlist=shortlist,
            exclude_self=exclude_self,
            run=run,
            device=device,
            workers=workers,
            threads=threads,
            force=force,
            progress=report,
            note=note,
            stdin=sys.stdin.buffer if "-" in queries else None,
        )
    show(results, json=json, html=html, open_page=open_page, pictures=pictures)
    if copy_to is not None:
        from bitcodes.tasks.searching.copying import copy_hits

        for line in copy_hits(results, copy_to).remarks():
            note(line)
