"""`bitcodes encode`: images to a code set."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import (
    BatchSizeOption,
    DeviceOption,
    ForceOption,
    RunOption,
    WorkersOption,
)


def encode(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders (searched through), list files (.txt), "
            "or - for paths on standard input.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The code set to write, a .npy file.")
    ] = Path("codes.npy"),
    run: RunOption = None,
    features: Annotated[
        bool,
        typer.Option("--features", help="Keep the features too, which search --rerank needs."),
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            help="The folder that relative paths in lists are taken from. "
            "Default: the list's own folder; the working folder for standard input.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at an image that cannot be read, not skip it."),
    ] = False,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    force: ForceOption = False,
) -> None:
    """Turn images into a code set: codes.npy, with its paths, labels and header beside it.

    ```
    bitcodes encode photos/ -o photos.npy
    ```

    Images that cannot be read are skipped and listed with the reason in codes.skipped.txt. If it is
    interrupted, the same command goes on where it stopped. A code set of the same model and the
    same files is up to date and left as it is; any other is replaced only with --force.
    """
    from bitcodes import encoding
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.console import out as console
    from bitcodes.data.lists import shown
    from bitcodes.data.sources import open_source
    from bitcodes.models.checkpoint import load_model

    source = open_source(images, root, sys.stdin.buffer.read() if "-" in images else None)
    model = load_model(run, device)
    try:
        with progress("encoding") as report:
            code_set = encoding.encode(
                model,
                source,
                out,
                features=features,
                batch_size=batch_size,
                workers=workers,
                strict=strict,
                force=force,
                progress=report,
                log=note,
            )
    except KeyboardInterrupt:
        note("interrupted; the same command goes on where this stopped")
        raise
    skipped = code_set.skipped
    for path, reason in skipped[:5]:
        note(f"skipped {shown(path)}: {reason}")
    if len(skipped) > 5:
        note(f"skipped {len(skipped) - 5:,} more")
    line = f"{out}: {code_set.count:,} codes of {code_set.bits} bits"
    if skipped:
        line += f", {len(skipped):,} images skipped ({out.with_suffix('.skipped.txt').name})"
    console.print(line, markup=False)
