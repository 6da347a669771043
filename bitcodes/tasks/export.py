"""Export: a model as an ONNX file."""

from dataclasses import dataclass
from pathlib import Path

from bitcodes.errors import BitcodesError, ModelError
from bitcodes.files import check_folder_of


@dataclass(frozen=True)
class Exported:
    """An ONNX file and the model in it."""

    file: Path
    backbone: str
    bits: int
    image_size: int
    """Pixels per side of the images that the model takes."""


def export_model(run: Path | str | None, out: Path, *, force: bool = False) -> Exported:
    """Write the model of `run` to `out`, a .onnx file.

    `run` is a run, a model file or a name of the built-in model; None is the newest run, or without
    one the built-in model.

    Raises ModelError if `out` has another suffix, or there is no model; BitcodesError if `out`
    exists and `force` does not allow replacing it.
    """
    from bitcodes.models.checkpoint import load_model
    from bitcodes.models.exporting import export_onnx
    from bitcodes.models.modelfile import ONNX

    if out.suffix != ONNX:
        raise ModelError(f"{out}: expected a name that ends in {ONNX}")
    check_free(out, force)
    model = load_model(run, "cpu")
    export_onnx(model, out)
    return Exported(out, model.backbone_name, model.bits, model.preprocessing.image_size)


def check_free(out: Path, force: bool) -> None:
    """Raise BitcodesError unless a file can be written: none is there, or `force` replaces it."""
    if out.exists() and not force:
        raise BitcodesError(
            f"{out} exists already; write to another name, or replace it with --force"
        )
    check_folder_of(out)
