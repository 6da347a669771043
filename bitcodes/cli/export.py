"""`bitcodes export`: a model as an ONNX file, or the rows of a code set for other programs."""

from pathlib import Path

import typer

from bitcodes.choices import RowFormat
from bitcodes.cli.options import RunOption, argument, flag, option, output

_STDOUT = Path("-")


def _file(path: Path) -> Path | None:
    return path if path == _STDOUT else output(path)


def export(
    codes: list[str] | None = argument(
        "CODES",
        "Code set to export, or the URL of a database, unless FILE is a model. Default: the "
        "nearest codes.npy, in the working folder or a folder above.",
        None,
    ),
    out: Path = argument(
        "FILE",
        "File to write. Its name says what: .onnx for a model; .parquet, .ndjson or .csv for the "
        "rows of a code set. - writes rows to standard output.",
        callback=_file,
    ),
    run: RunOption = None,
    row_format: RowFormat | None = option(
        "Format of the rows. Default: that of the name of FILE, and ndjson for standard output.",
        "--format",
    ),
    force: bool = flag("--force", "Replace an existing file."),
) -> None:
    """Write a model as one ONNX file, or the rows of a code set for other programs.

    ```
    bitcodes export model.onnx
    bitcodes export codes.npy codes.parquet
    bitcodes export codes.npy - | jq .path
    ```

    The ONNX model takes uint8 images (B, S, S, 3) and returns hash outputs (B, K) and features
    (B, D). A bit is 1 if its output is above 0. Use the file with encode --run model.onnx, or with
    any ONNX Runtime: its metadata holds the preprocessing as JSON, under "bitcodes".

    A row has the number, the path, the labels and the code of an image. Parquet has codes as
    64-bit numbers, for SQL, ndjson and csv have them in hex. docs/code-format.md describes the
    files, with lines of SQL that search them.
    """
    if len(codes or ()) > 1:
        raise typer.BadParameter(
            f"expected one code set; found {len(codes or ())}; join them with merge",
            param_hint="CODES",
        )
    if out.suffix == ".onnx" and not codes and row_format is None:
        _export_model(run, out, force)
    elif run is not None:
        raise typer.BadParameter("it goes with .onnx only", param_hint="--run")
    else:
        _export_rows(codes[0] if codes else None, out, row_format, force)


def _export_model(run: str | None, out: Path, force: bool) -> None:
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.export import export_model

    show(export_model(run, out, force=force))
    next_command("encode", "IMAGES", "--run", out)


def _export_rows(codes: str | None, out: Path, row_format: RowFormat | None, force: bool) -> None:
    import sys

    from bitcodes.cli.code_sets import find_database
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.export_rows import export_rows, write_rows

    source = find_database(codes)
    with progress("exporting") as report:
        if out == _STDOUT:
            write_rows(source, sys.stdout.buffer, row_format or "ndjson", report)
            return
        rows = export_rows(source, out, row_format, force=force, progress=report)
    show(rows)
