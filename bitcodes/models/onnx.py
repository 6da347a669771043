"""Exported models: an ONNX file that holds a whole model, and ONNX Runtime that runs it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.errors import ModelError
from bitcodes.models.encoder import Encoded, images_at_once, settle
from bitcodes.models.modelfile import ONNX, ModelInfo, find_model, parse_info, read_info
from bitcodes.models.sealing import read_sealed
from bitcodes.wording import counted


class OnnxModel:
    """A model exported to ONNX, run by ONNX Runtime on the CPU in float32.

    `threads` compute it (None: all cores). `content` is that of the file if it lies nowhere: `file`
    is then the name of the model. A copy in another process opens the file itself. Raises
    ModelError for a file that is damaged or no export, and for one that has changed meanwhile.
    """

    engine = "onnx"
    dtype = "float32"

    def __init__(
        self,
        file: Path | str,
        path: Path | None = None,
        threads: int | None = None,
        content: bytes | None = None,
    ) -> None:
        self._file = file
        self._content = content
        self._threads = threads
        self._sealed: tuple[str, str] | None = None  # digest and fingerprint of the file
        self._open: Any = self._session(threads)
        metadata = self._metadata()
        self.info = info = self._with_fingerprint(parse_info(metadata, file))
        self.path: Path | str | None = path or file
        self.bits = info.bits
        self.parts = info.parts
        self.backbone_name = info.backbone
        self.preprocessing = info.preprocessing
        self.class_names = info.class_names
        try:
            self.feature_dim = int(metadata["bitcodes.feature_dim"])
            self._norms = np.array(json.loads(metadata["bitcodes.norms"]), np.float32)  # (K,)
            if self._norms.shape != (self.bits,) or not np.isfinite(self._norms).all():
                raise ValueError(f"expected {counted(self.bits, 'finite norm')}")
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ModelError(
                f"{file}: its description is damaged: {error!r}; make it anew with bitcodes export"
            ) from None
        self._check_signature()

    def __repr__(self) -> str:
        side = self.preprocessing.image_size
        return f"<OnnxModel {self.backbone_name}: {counted(self.bits, 'bit')}, {side} pixels>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def fingerprint(self) -> str:
        """The fingerprint of the model that was exported; another one if its file was changed."""
        return self.info.fingerprint

    def with_threads(self, threads: int) -> "OnnxModel":
        """The same model, computed by that many threads, for another process; closes this one."""
        self._open = None  # with its threads, which a fork would not have; use opens it again
        other = object.__new__(OnnxModel)
        state = {**self.__getstate__(), "_threads": threads}
        if self._content is None:  # the other process may work in another folder
            state["_file"] = Path(self._file).absolute()
        other.__dict__ = state
        return other

    def encode_batch(self, images: NDArray[np.uint8]) -> Encoded:
        """uint8 (B, S, S, 3) to hash outputs; bits do not depend on what else is in the batch."""
        step = images_at_once(self.preprocessing.image_size)
        parts = [self._encode(images[i : i + step]) for i in range(0, len(images), step)]
        encoded = Encoded(
            np.concatenate([part.outputs for part in parts]),
            np.concatenate([part.features for part in parts]),
        )
        settle(encoded, images, self._norms, self._encode)
        return encoded

    def _encode(self, images: NDArray[np.uint8]) -> Encoded:
        session = self._open = self._open or self._session(self._threads)
        try:
            outputs, features = session.run(None, {"images": np.ascontiguousarray(images)})
        except Exception as error:  # its own exceptions derive from nothing in common
            raise ModelError(f"{self._file}: cannot be run: {_first_words(error)}") from None
        sizes = (len(images), self.bits), (len(images), self.feature_dim)
        if (outputs.shape, features.shape) != sizes:
            raise ModelError(
                f"{self._file}: gives other sizes than it says: expected {sizes}, found "
                f"{(outputs.shape, features.shape)}"
            )
        return Encoded(outputs, features)

    def _session(self, threads: int | None) -> Any:
        """The model, opened by ONNX Runtime."""
        content = self._content
        if content is None:
            content, *sealed = read_sealed(self._file)
            if self._sealed not in (None, tuple(sealed)):
                raise ModelError(f"{self._file}: has changed since it was opened; start again")
            self._sealed = sealed[0], sealed[1]
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between layers take twice the processor time, and beside other programs
        # a quarter more of the time that passes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # as above
            raise ModelError(
                f"{self._file}: is not a readable ONNX model: {_first_words(error)}"
            ) from None

    def _metadata(self) -> dict[str, str]:
        try:
            metadata: dict[str, str] = self._open.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelError(f"{self._file}: its description is damaged: {error}") from None
        return metadata

    def _with_fingerprint(self, info: ModelInfo) -> ModelInfo:
        """A description with the fingerprint that the file has at its end."""
        if self._sealed is None:  # it is no file
            return info
        return info.model_copy(update={"fingerprint": self._sealed[1]})

    def _check_signature(self) -> None:
        """Raise ModelError if the model takes or gives anything but what its description says."""
        side = self.preprocessing.image_size
        expected = [
            _signature("images", "tensor(uint8)", (None, side, side, 3)),
            _signature("outputs", "tensor(float)", (None, self.bits)),
            _signature("features", "tensor(float)", (None, self.feature_dim)),
        ]
        arguments = [*self._open.get_inputs(), *self._open.get_outputs()]
        try:
            actual = [_signature(each.name, each.type, each.shape) for each in arguments]
        except UnicodeDecodeError as error:
            raise ModelError(f"{self._file}: its names are damaged: {error}") from None
        if actual != expected or len(self._open.get_inputs()) != 1:
            raise ModelError(
                f"{self._file}: has other inputs and outputs than bitcodes exports: expected "
                f"{', '.join(expected)}; found {_first_words(', '.join(actual))}"
            )


def _runtime() -> Any:
    """The module onnxruntime. Without this, loading it writes its telemetry into the cache folder.

    Its own `disable_telemetry_events` comes too late for that. Who sets the variable decides.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _signature(name: str, dtype: str, shape: Sequence[int | str | None]) -> str:
    """An input or output in words: its first dimension is the batch, of any size."""
    sizes = ", ".join(str(size) for size in shape[1:])
    batch = "B" if shape and not isinstance(shape[0], int) else str(*shape[:1])
    return f"{name} {dtype} ({batch}, {sizes})"


def _first_words(text: object) -> str:
    words = " ".join(str(text).split())[:300]
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def load_onnx(source: Path | str | None = None, log: Note | None = None) -> OnnxModel:
    """The exported model of a run or model file, or an .onnx file. Exports the model if necessary.

    The export lies beside the model file, under the same name with the suffix .onnx. `log` gets a
    line before a new export.
    """
    path = find_model(source)
    if path.suffix == ONNX:
        return OnnxModel(path)
    if (model := exported(path)) is not None:
        return model
    from bitcodes.models.checkpoint import load_model  # with torch
    from bitcodes.models.exporting import export_onnx

    file = path.with_suffix(ONNX)
    if log is not None:
        log(f"exporting the model to {file}, once")
    export_onnx(load_model(path, "cpu"), file)
    return OnnxModel(file, path)


def exported(path: Path) -> OnnxModel | None:
    """The export beside a model file, if it is an undamaged one of this very model."""
    file = path.with_suffix(ONNX)
    if not file.is_file():
        return None
    expected = read_info(path).fingerprint
    try:
        model = OnnxModel(file, path)
    except ModelError:
        return None  # damaged, or of an earlier version
    return model if expected and model.fingerprint() == expected else None
