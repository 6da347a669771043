"""Writing a model as an ONNX file, by torch's exporter."""

import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from bitcodes.callbacks import Note
from bitcodes.errors import ModelError
from bitcodes.files import atomic_write
from bitcodes.models.checkpoint import describe
from bitcodes.models.hashing import HashModel, evaluating
from bitcodes.models.modelfile import ONNX
from bitcodes.models.sealing import seal


class _Whole(nn.Module):
    """From uint8 pixels to hash outputs and features, in one graph."""

    def __init__(self, model: HashModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.model.backbone(self.model.preprocessing.normalise(images))
        features = self.model.hidden(pooled)  # (B, D)
        return self.model.hash_features(features), features


def export_onnx(model: HashModel, file: Path) -> None:
    """Write a model with its preprocessing settings as an ONNX file, whole or not at all.

    Input `images`: uint8 (B, S, S, 3), as `preprocessing.to_array` gives them. Outputs: `outputs`
    float32 (B, K), and `features` float32 (B, D). Raises ModelError.
    """
    try:
        with atomic_write(file) as out:
            out.write(_export(model))
    except OSError as error:
        raise ModelError(f"{file} cannot be written: {error.strerror}") from None


def try_export(model: HashModel, path: Path, log: Note | None) -> Path | None:
    """Export a model beside its file `path`, under the same name with the suffix .onnx.

    Returns the ONNX file; None, and `log` is told why, if there can be none.
    """
    file = path.with_suffix(ONNX)
    if log is not None:
        log(f"exporting the model to {file}, once")
    try:
        export_onnx(model, file)
    except ModelError as error:
        if log is not None:
            log(f"{error}; so torch runs the model, which takes longer on a CPU")
        return None
    return file


def _export(model: HashModel) -> bytes:
    """The model as an ONNX file, with its description in the metadata."""
    norms = model.hash_layer.weight.detach().norm(dim=1).tolist()  # (K,)
    info = describe(model, "cpu")
    properties = {
        # The fingerprint stands at the end of the file, where it depends on all of it.
        "bitcodes": info.model_copy(update={"fingerprint": ""}).to_json(),
        "bitcodes.norms": json.dumps(norms),
        "bitcodes.feature_dim": str(model.feature_dim),
    }
    try:
        proto = _translate(model)
        onnx.helper.set_model_props(proto, properties)
        return seal(proto.SerializeToString(), info.fingerprint)
    except Exception as error:  # whatever cannot be translated, or is larger than 2 GB
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{model.backbone_name} cannot be exported to ONNX: {reason}") from error


def _translate(model: HashModel) -> Any:
    """The model as torch's exporter gives it: onnx.ModelProto."""
    side = model.preprocessing.image_size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8, device=model.device)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # It prints its progress.
    with evaluating(model), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Whole(model).eval(),
            (example,),
            input_names=["images"],
            output_names=["outputs", "features"],
            dynamic_shapes={"images": {0: "batch"}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
