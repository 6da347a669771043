"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="Run (a folder that finetune wrote) or model file. Default: the newest run, "
        "runs/latest.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document to standard output, and nothing else."),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", help="Write a page with thumbnails: one file for any browser."),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="Device that runs the model: auto, cpu, cuda, cuda:N or mps. auto takes a GPU if it "
        "finds one.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that read images; 0 reads them in this process. Default: by the number of "
        "cores.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads that search. Default: all cores."),
]
BatchSizeOption = Annotated[
    int,
    typer.Option("--batch-size", min=1, help="Images that the model encodes at a time."),
]
