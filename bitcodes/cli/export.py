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
    from bitcodes.cli.console import out as console
    from bitcodes.errors import ModelError
    from bitcodes.models.checkpoint import load_model
    from bitcodes.models.modelfile import ONNX
    from bitcodes.models.onnx import export_onnx

    if out.suffix != ONNX:
        raise ModelError(f"{out}: expected a name that ends in {ONNX}")
    if out.exists() and not force:
        raise ModelError(f"{out} exists already; write to another name, or replace it with --force")
    model = load_model(run, "cpu")
    export_onnx(model, out)
    side = model.preprocessing.image_size
    console.print(
        f"{out}: {model.backbone_name}, {model.bits} bits, images of {side} x {side} pixels",
        markup=False,
    )
