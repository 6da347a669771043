"""`bitcodes export`: a model as an ONNX file."""

from pathlib import Path

from bitcodes.cli.options import RunOption, argument, flag, output


def export(
    out: Path = argument("MODEL.ONNX", "File to write.", callback=output),
    run: RunOption = None,
    force: bool = flag("--force", "Replace an existing file."),
) -> None:
    """Write a model and its preprocessing as one ONNX file.

    ```
    bitcodes export model.onnx
    ```

    The ONNX model takes uint8 images (B, S, S, 3) and returns hash outputs (B, K) and features
    (B, D). A bit is 1 if its output is above 0. Use the file with encode --run model.onnx, or with
    any ONNX Runtime: its metadata holds the preprocessing as JSON, under "bitcodes".
    """
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.export import export_model

    show(export_model(run, out, force=force))
    next_command("encode", "IMAGES", "--run", out)
