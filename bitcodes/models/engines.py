"""What runs a model: ONNX Runtime, which takes half of the time on a CPU, or torch."""

from pathlib import Path

from bitcodes.builtin import built_in_bits, built_in_name
from bitcodes.callbacks import Note
from bitcodes.choices import DType, Engine
from bitcodes.codes.header import CodeSetHeader
from bitcodes.errors import ConfigError
from bitcodes.machine import has_gpu
from bitcodes.models.builtin import built_in_graph
from bitcodes.models.encoder import Encoder
from bitcodes.models.modelfile import ONNX, find_model, read_info
from bitcodes.models.onnx import OnnxModel, exported, load_onnx
from bitcodes.runs import choose_model


def load_encoder(
    source: Path | str | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    dtype: DType = "auto",
    like: CodeSetHeader | None = None,
    log: Note | None = None,
) -> Encoder:
    """Load the model of a run, a model file or the built-in model, with the engine that runs it.

    `source` None is the newest run, or without one the built-in model. "auto" is the engine and
    dtype of `like`, the code set to append to. Without `like`, the dtype is float32, and the engine
    is onnx on a CPU and torch on a GPU: that is taken if `device` names it, or the model was
    trained on one and this machine has one. A model that is not exported yet is exported, which
    takes seconds, once; torch runs a model that cannot be. `log` is told both. Raises ModelError,
    ConfigError.
    """
    source = choose_model(source)
    bits = built_in_bits(source)
    path = find_model(source) if bits is None else None
    if dtype == "auto":
        dtype = "bfloat16" if like is not None and like.dtype == "bfloat16" else "float32"
    is_free = engine == "auto" and (like is None or like.engine is None)
    if engine == "auto":
        engine = _choose(path, device, dtype, like, log)
    if engine == "torch":
        from bitcodes.models.checkpoint import load_model

        model = load_model(path or source, device)
        model.dtype = dtype
        return model
    if dtype != "float32":
        raise ConfigError(f"--dtype: expected float32 with --engine onnx; found {dtype}")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"the engine onnx runs on the CPU; use --engine torch for {device}")
    if bits is not None:
        return OnnxModel(built_in_name(bits), content=built_in_graph(bits))
    assert path is not None
    return _exported_if_possible(path, log) if is_free else load_onnx(path, log)


def load_like(
    header: CodeSetHeader,
    source: Path | str | None,
    device: str = "auto",
    log: Note | None = None,
) -> Encoder:
    """The model for queries to a code set, with its dtype: by ONNX Runtime where that can run it.

    The engine may be another than that of the set. In float32 that flips a bit in ten thousand
    images or more, which queries can bear; starting torch takes seconds. `log` is told if the model
    is exported first.
    """
    is_onnx = header.dtype != "bfloat16" and device in ("auto", "cpu")
    if built_in_bits(source := choose_model(source)) is not None:
        return load_encoder(source, device, "onnx" if is_onnx else "torch", like=header)
    path = find_model(source)
    if is_onnx or path.suffix == ONNX:
        return _exported_if_possible(path, log)
    return load_encoder(path, device, "torch", like=header)


def load_model(
    source: Path | str | None = None, device: str = "auto", engine: Engine = "auto"
) -> Encoder:
    """Load a model that encodes: of a run folder or a model file, or the built-in one by its name.

    None is the newest run, runs/latest, or the built-in model if there is none. By default, ONNX
    Runtime runs it, or torch on a GPU: that is taken if `device` names it, or if the model was
    trained on one and this machine has one. With the engine "torch" it is a `HashModel`, a torch
    module. An .onnx file runs with ONNX Runtime only. Raises ModelError if the file is missing or
    damaged, ConfigError for a device or engine that cannot be used.
    """
    return load_encoder(source, device, engine)


def _choose(
    path: Path | None, device: str, dtype: str, like: CodeSetHeader | None, log: Note | None
) -> Engine:
    """The engine for a model file, or None for the built-in model, where none is named."""
    if path is not None and path.suffix == ONNX:
        return "onnx"
    best: Engine = "onnx"
    if dtype != "float32" or device not in ("auto", "cpu"):
        best = "torch"
    elif path is not None and device == "auto":
        was_on_gpu = read_info(path).device.startswith(("cuda", "mps"))
        best = "torch" if was_on_gpu and has_gpu() else "onnx"
    if like is None or like.engine not in ("torch", "onnx"):
        return best
    if like.engine == "torch" and best == "onnx" and log is not None:
        log(
            "the code set was encoded by torch, which goes on with it; --force encodes it anew by "
            "ONNX Runtime, which is faster on a CPU"
        )
    return like.engine  # type: ignore[return-value]


def export_trained(path: Path, log: Note) -> None:
    """Export the model that training has left in the file `path`, if that is not done yet.

    `log` is told, also if it cannot be exported.
    """
    _exported_if_possible(path, log)


def _exported_if_possible(path: Path, log: Note | None) -> Encoder:
    """The export of a model, made if it is missing; the model itself if it cannot be exported."""
    if path.suffix == ONNX:
        return OnnxModel(path)
    return exported(path) or export_now(path, log)


def export_now(path: Path, log: Note | None) -> Encoder:
    """Export a model; returns the export, or the model itself if it cannot be exported."""
    from bitcodes.models.checkpoint import load_model
    from bitcodes.models.exporting import try_export

    whole = load_model(path, "cpu")
    file = try_export(whole, path, log)
    return whole if file is None else OnnxModel(file, path)
