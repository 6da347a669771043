"""`bitcodes export`: a model as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import ForceOption, RunOption


def export(
    out: Annotated[Path, typer.Argument(metavar="MODEL.ONNX", help="The file to write.")],
    run: RunOption = None,
    force: ForceOption = False,
) -> None:
    """Write the model with its preprocessing settings as one ONNX file.

    ```
    bitcodes export model.onnx
    ```

    It takes uint8 images (B, S, S, 3) and gives hash outputs (B, K) and features (B, D); a bit is
    output > 0. encode --run model.onnx uses it, and so can any ONNX Runtime: the settings are JSON
    under "bitcodes" in the file's metadata.
    """
    from bitcodes.cli.show import show
    from bitcodes.tasks.export import export_model

    show(export_model(run, out, force=force))
