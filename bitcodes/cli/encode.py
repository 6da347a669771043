"""`bitcodes encode`: images to a code set."""

import sys
from pathlib import Path
from typing import Annotated, Any

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
            help="Image files, folders (searched through), list files (.txt), archives (.zip, "
            ".tar and compressed ones, shards-{0000..0099}.tar), URLs of any of these (s3://, "
            "https://), or - for paths on standard input.",
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
    append: Annotated[
        bool,
        typer.Option(
            "--append", help="Keep all that the code set holds, and add what is new in IMAGES."
        ),
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="I/N",
            help="Encode the I-th of N equal parts; bitcodes merge joins their code sets.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="What runs the model: torch, onnx (ONNX Runtime, faster on a CPU), or auto: that "
            "of the code set, else onnx where it is installed and the model exported, or worth "
            "exporting.",
        ),
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            help="What the model computes in: float32, bfloat16 (torch), or auto: that of the "
            "code set, else float32.",
        ),
    ] = "auto",
    full_decode: Annotated[
        bool,
        typer.Option(
            "--full-decode", help="Decode JPEGs at full size even where the model sees far less."
        ),
    ] = False,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="--engine torch --dtype float32 --full-decode."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Let a Ray cluster do the work: its address, or local for one on this machine.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 32,
    workers: WorkersOption = None,
    force: ForceOption = False,
) -> None:
    """Turn images into a code set: codes.npy, with its paths, labels and header beside it.

    ```
    bitcodes encode photos/ -o photos.npy
    ```

    Images that cannot be read are skipped and listed with the reason in codes.skipped.txt. If it is
    interrupted, the same command goes on where it stopped. A code set that is there is brought up
    to date: what is new or has changed is encoded, what is gone is dropped. It must be of the same
    model and way of encoding; any other is replaced only with --force.
    """
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.console import out as console
    from bitcodes.codes.codeset import recorded_header
    from bitcodes.models.engines import load_encoder
    from bitcodes.sources.lists import shown
    from bitcodes.sources.source import open_stream
    from bitcodes.tasks import encode as encoding

    if exact:
        engine, dtype, full_decode = "torch", "float32", True
    like = None if force else recorded_header(out)
    source = open_stream(images, root, sys.stdin.buffer if "-" in images else None)
    if part is not None:
        source = source.part(*_part(part))
    model = load_encoder(
        run,
        device,
        _one_of("--engine", engine, ("auto", "torch", "onnx")),
        _one_of("--dtype", dtype, ("auto", "float32", "bfloat16")),
        source.count,
        like,
        note,
    )
    try:
        with progress("encoding") as report:
            code_set = encoding.encode(
                model,
                source,
                out,
                features=features,
                decode="full" if full_decode else None,
                append=append,
                batch_size=batch_size,
                workers=workers,
                ray="" if ray == "local" else ray,
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


def _part(text: str) -> tuple[int, int]:
    """From 2/8 to (2, 8)."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise typer.BadParameter(
            f"expected I/N, such as 1/8, with I from 1 to N, found {text!r}", param_hint="--part"
        )
    return int(number), int(of)


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise typer.BadParameter(
            f"expected one of {', '.join(choices)}, found {value!r}", param_hint=option
        )
    return value
