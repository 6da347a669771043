"""Model files: where they are, and their descriptions, read without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bitcodes.codes.parts import Parts
from bitcodes.errors import ModelError
from bitcodes.files import check_kind
from bitcodes.images.transforms import Preprocessing
from bitcodes.runs import MODEL_FILE, follow, resolve_run

FORMAT = "bitcodes-model/1"
ONNX = ".onnx"
"""Suffix of an exported model."""


class ModelInfo(BaseModel):
    """The description of a model: JSON under "bitcodes" in the metadata of its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = FORMAT
    backbone: str
    bits: Annotated[int, Field(ge=1, le=1024)]
    parts: Parts | None = None  # of the bits, if there are two
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    hidden: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    """Width of the layer between backbone and hash layer; 0: none."""
    device: str  # the device it was trained on, the default for encoding with it
    fingerprint: str = ""  # shows damage that safetensors cannot see; empty: unknown

    def to_json(self) -> str:
        """The content of the metadata, without parts where there are none."""
        return self.model_dump_json(exclude=None if self.parts else {"parts"})

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.parts is not None and self.parts.bits != self.bits:
            raise ValueError(f"parts: expected {self.bits} bits together, found {self.parts.bits}")
        return self


def find_model(source: Path | str | None = None) -> Path:
    """The model file of a run, or `source` if it is a file; None: the newest run, runs/latest.

    A folder with an exported model alone will do. Raises ConfigError, ModelError.
    """
    path = None if source is None else follow(Path(source))
    if path is not None and path.is_file():
        return path
    path = resolve_run(path) / MODEL_FILE
    check_kind(path, ModelError)
    if not path.is_file():
        if (export := path.with_suffix(ONNX)).is_file():
            return export
        raise ModelError(
            f"{path}: missing; the run has no weights yet: let finetune finish an epoch, "
            "or run the same finetune command again to resume"
        )
    return path


def read_info(path: Path) -> ModelInfo:
    """The description in a model.safetensors. Raises ModelError if it is none, or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: is not a readable safetensors file: {error}") from None
    return parse_info(metadata, path)


def parse_info(metadata: Mapping[str, str], path: Path | str) -> ModelInfo:
    """The description in a model file's metadata. Raises ModelError if it has none, or another."""
    if "bitcodes" not in metadata:
        raise ModelError(f"{path}: is not a bitcodes model: its metadata has no 'bitcodes' entry")
    try:
        info = ModelInfo.model_validate_json(metadata["bitcodes"])
    except ValidationError as error:
        raise ModelError(f"{path}: its description is damaged: {error}") from None
    if info.format != FORMAT:
        raise ModelError(f"{path}: expected format {FORMAT}, found {info.format}")
    return info
