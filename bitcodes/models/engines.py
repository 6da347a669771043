"""What runs a model: torch, or ONNX Runtime, which takes half of the time on a CPU."""

import importlib.util
from pathlib import Path

from bitcodes.builtin import built_in_bits, built_in_name
from bitcodes.callbacks import Note
from bitcodes.choices import DType, Engine
from bitcodes.codes.header import CodeSetHeader
from bitcodes.errors import ConfigError
from bitcodes.models.builtin import built_in_graph
from bitcodes.models.encoder import Encoder
from bitcodes.models.modelfile import ONNX, find_model, read_info
from bitcodes.models.onnx import OnnxModel, exported, load_onnx
from bitcodes.runs import choose_model

WORTH_EXPORTING = 1000
"""For this many images, exporting the model first (seconds, once) saves more than it costs."""


def load_encoder(
    source: Path | str | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    dtype: DType = "auto",
    images: int | None = None,
    like: CodeSetHeader | None = None,
    log: Note | None = None,
) -> Encoder:
    """Load the model of a run, a model file or the built-in model, with the engine that runs it.

    `source` None is the newest run, or without one the built-in model, with codes as long as those
    of `like` if they are its own. "auto" is the engine and dtype of `like`, the code set to append
    to. Without `like`, the dtype
    is float32, and the engine is onnx if the model runs on the CPU, ONNX Runtime is installed, and
    the model is exported already or `images` (None: unknown, many) are enough to make exporting
    pay; otherwise it is torch. Raises ModelError, ConfigError.
    """
    source = choose_model(source)
    bits = built_in_bits(source)
    if engine == "auto" and like is not None and like.engine in ("torch", "onnx"):
        engine = like.engine  # type: ignore[assignment]
    if dtype == "auto":
        dtype = "bfloat16" if like is not None and like.dtype == "bfloat16" else "float32"
    if bits is not None:
        return _load_built_in(bits, device, engine, dtype)
    path = find_model(source)
    export = None
    if engine == "auto":
        engine, export = _choose(path, device, dtype, images)
    if engine == "torch":
        if path.suffix == ONNX:
            raise ConfigError(f"{path} runs with the engine onnx only; for torch, name the run")
        from bitcodes.models.checkpoint import load_model

        model = load_model(path, device)
        model.dtype = dtype
        return model
    _check_onnx(device, dtype)
    return export or load_onnx(path, log)


def load_like(header: CodeSetHeader, source: Path | str | None, device: str = "auto") -> Encoder:
    """The model for queries to a code set: with its engine and dtype if possible, else torch.

    Another engine in float32 flips a bit in ten thousand images or more: queries can bear that.
    """
    source = choose_model(source)
    if built_in_bits(source) is not None:
        return load_encoder(source, device, like=header)
    path = find_model(source)
    if header.engine == "onnx" and _has_runtime():
        if path.suffix == ONNX:
            return load_onnx(path)
        if device in ("auto", "cpu") and (export := exported(path)) is not None:
            return export
    return load_encoder(path, device, "torch", like=header)


def _load_built_in(bits: int, device: str, engine: Engine, dtype: DType) -> Encoder:
    """The built-in model; engine "auto" is torch for what ONNX Runtime cannot do here."""
    if engine == "auto":
        engine = "onnx" if dtype == "float32" and device in ("auto", "cpu") else "torch"
    if engine == "torch":
        from bitcodes.models.checkpoint import load_model

        model = load_model(built_in_name(bits), device)
        model.dtype = "bfloat16" if dtype == "bfloat16" else "float32"
        return model
    _check_onnx(device, dtype)
    return OnnxModel(built_in_name(bits), content=built_in_graph(bits))


def _check_onnx(device: str, dtype: str) -> None:
    if dtype != "float32":
        raise ConfigError(f"the engine onnx computes in float32; use --engine torch for {dtype}")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"the engine onnx runs on the CPU; use --engine torch for {device}")


def _choose(
    path: Path, device: str, dtype: str, images: int | None
) -> tuple[Engine, OnnxModel | None]:
    """The engine, and the exported model if the choice opened it."""
    if path.suffix == ONNX:
        return "onnx", None
    if not _has_runtime() or dtype != "float32" or device not in ("auto", "cpu"):
        return "torch", None
    if device == "auto" and read_info(path).device.startswith(("cuda", "mps")):
        return "torch", None
    if (export := exported(path)) is not None:
        return "onnx", export
    many = images is None or images >= WORTH_EXPORTING
    can_export = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript"))
    return "onnx" if many and can_export else "torch", None


def _has_runtime() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None
