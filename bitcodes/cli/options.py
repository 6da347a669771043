"""The options that several commands share, written once."""

from pathlib import Path
from typing import Annotated

import typer

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="The run (a folder that finetune wrote) or model file to use. "
        "Default: the newest run, runs/latest.",
    ),
]
CodesOption = Annotated[
    Path,
    typer.Option("--codes", help="The code set to search."),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout instead of tables."),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that read images; 0 reads in this one. Default: by the number of cores.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads that search codes. Default: all cores."),
]
BatchSizeOption = Annotated[
    int,
    typer.Option("--batch-size", min=1, help="Images in a batch."),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Go ahead where the command would refuse."),
]
