"""Info: what a code set, a run or a model file holds."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitcodes.builtin import built_in_bits, built_in_name
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import is_store_url, open_store
from bitcodes.errors import ConfigError
from bitcodes.tasks.advice import command_for

if TYPE_CHECKING:  # models are opened only to describe one
    from bitcodes.models import modelfile


@dataclass(frozen=True)
class CodeSetInfo:
    """What a code set holds. Its files have been verified."""

    codes: str
    count: int
    bits: int
    root: str | None
    model: str | None
    """Fingerprint of the model."""
    run: str | None
    backbone: str | None
    engine: str | None
    dtype: str | None
    decode: str | None
    class_names: list[str]
    columns: dict[str, str]
    """Optional column -> its shape per row, such as 1280 or 4x2."""
    skipped: int
    bytes: int
    checksums: str
    parts: dict[str, int] | None = None
    """How many class bits and instance bits there are, and the weight of a class bit."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return _known(asdict(self))


@dataclass(frozen=True)
class ModelInfo:
    """What a model file holds."""

    model: str
    fingerprint: str | None
    backbone: str
    bits: int
    class_names: list[str]
    preprocessing: dict[str, Any]
    exported: bool
    """Whether there is an ONNX file of this very model, for ONNX Runtime."""
    bytes: int
    parts: dict[str, int] | None = None
    """As of a code set."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return _known(asdict(self))


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without the parts of codes that have none."""
    return {name: value for name, value in fields.items() if name != "parts" or value is not None}


def describe(path: Path | str = "codes.npy") -> CodeSetInfo | ModelInfo:
    """Describe a code set (a .npy file, or the URL of a database), a run or a model file.

    The built-in model is described by its name.

    Raises CodeSetError if a file of the set does not match its header, ModelError if there is no
    model, ConfigError for anything else: then it says which command takes that.
    """
    if (bits := built_in_bits(path)) is not None:
        return _describe_built_in(bits)
    if is_store_url(path):
        with open_store(str(path)) as store, store.reading():
            return _set_info(store.head, len(store), store.nbytes, "none (a database)")
    advice = command_for(str(path))
    if advice is not None and not advice.is_described:
        raise ConfigError(
            f"{path}: expected a code set (.npy), a run or a model file; found {advice.kind}; "
            f"{advice.then()}"
        )
    path = Path(path)
    if path.suffix != ".npy" and not os.path.lexists(path):
        raise ConfigError(f"{path}: there is no such code set, run or model file")
    return _describe_code_set(path) if path.suffix == ".npy" else _describe_model(path)


def _describe_code_set(path: Path) -> CodeSetInfo:
    code_set = CodeSet.open(path, verify=False)
    code_set.verify()
    files = code_set.header.files.values()
    size = sum(entry.size for entry in files) or code_set.codes.nbytes
    return _set_info(
        code_set, code_set.count, size, "none (a bare file)" if code_set.is_bare else "good"
    )


def _set_info(code_set: CodeSet, count: int, size: int, checksums: str) -> CodeSetInfo:
    header = code_set.header
    columns = {
        name: "x".join(map(str, array.shape[1:])) or "1"
        for name in ("labels", "features", "stat")
        if (array := getattr(code_set, name)) is not None
    }
    return CodeSetInfo(
        codes=code_set.name,
        count=count,
        bits=code_set.bits,
        root=code_set.root_name,
        model=header.fingerprint,
        run=None if code_set.run is None else str(code_set.run),
        backbone=header.backbone,
        engine=header.engine,
        dtype=header.dtype,
        decode=header.decode,
        class_names=list(header.class_names),
        columns=columns,
        skipped=len(code_set.skipped),
        bytes=size,
        checksums=checksums,
        parts=None if header.parts is None else header.parts.model_dump(),
    )


def _describe_model(path: Path) -> ModelInfo:
    from bitcodes.models.modelfile import ONNX, find_model, read_info
    from bitcodes.models.onnx import OnnxModel, exported

    file = find_model(path)
    info = OnnxModel(file, threads=1).info if file.suffix == ONNX else read_info(file)
    is_exported = file.suffix == ONNX or exported(file) is not None
    return _model_info(str(file), info, is_exported, file.stat().st_size)


def _describe_built_in(bits: int) -> ModelInfo:
    from bitcodes.models.builtin import built_in_graph, built_in_info

    return _model_info(built_in_name(bits), built_in_info(bits), True, len(built_in_graph(bits)))


def _model_info(name: str, info: "modelfile.ModelInfo", exported: bool, size: int) -> ModelInfo:
    return ModelInfo(
        model=name,
        fingerprint=info.fingerprint or None,
        backbone=info.backbone,
        bits=info.bits,
        class_names=list(info.class_names),
        preprocessing=info.preprocessing.model_dump(mode="json"),
        exported=exported,
        bytes=size,
        parts=None if info.parts is None else info.parts.model_dump(),
    )
