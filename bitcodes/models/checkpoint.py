"""A model as one portable file, model.safetensors, with everything that using it needs."""

from pathlib import Path

import torch
from safetensors.torch import save

from bitcodes.builtin import built_in_bits
from bitcodes.errors import ConfigError, ModelError, first_line
from bitcodes.files import atomic_write
from bitcodes.models.builtin import built_in_model
from bitcodes.models.hashing import HashModel
from bitcodes.models.modelfile import ONNX, ModelInfo, find_model, parse_info
from bitcodes.models.weights import copy_weights, read_safetensors
from bitcodes.runs import choose_model
from bitcodes.wording import as_utf8


def describe(model: HashModel, device: torch.device | str) -> ModelInfo:
    """The description in a file of the model; `device` is where it runs best."""
    return ModelInfo(
        backbone=model.backbone_name,
        bits=model.bits,
        parts=model.parts,
        class_names=tuple(map(as_utf8, model.class_names)),
        preprocessing=model.preprocessing,
        hidden=0 if isinstance(model.hidden, torch.nn.Identity) else model.feature_dim,
        device=str(device),
        fingerprint=model.fingerprint(),
    )


def save_model(model: HashModel, path: Path) -> None:
    """Write the model as one safetensors file, whole or not at all."""
    info = describe(model, model.device)
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as file:
        file.write(save(weights, {"bitcodes": info.to_json()}))


def load_model(source: Path | str | None = None, device: str = "auto") -> HashModel:
    """Load a model from a run folder or a model file, or the built-in one by its name.

    None means the newest run, runs/latest, or the built-in model if there is none. `device` "auto"
    is the device it was trained on if this machine has it, else the CPU; for the built-in model,
    the best one. Raises ModelError if the file is missing or damaged, ConfigError if it is an
    exported model.
    """
    source = choose_model(source)
    if (bits := built_in_bits(source)) is not None:
        return built_in_model(bits).to(choose_device(device))
    path = find_model(source)
    if path.suffix == ONNX:
        raise ConfigError(f"{path} runs with the engine onnx only; for torch, name the run")
    metadata, weights = read_safetensors(path)
    info = parse_info(metadata, path)
    model = HashModel(
        info.backbone, info.bits, info.preprocessing, info.class_names, hidden=info.hidden
    )
    model.parts = info.parts
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        kinds = [_kind(tensors.get(name)) for tensors in (expected, weights)]
        if kinds[0] != kinds[1]:
            raise ModelError(f"{path}: tensor {name}: expected {kinds[0]}, found {kinds[1]}")
    copy_weights(model, weights)
    if info.fingerprint and (actual := model.fingerprint()) != info.fingerprint:
        raise ModelError(
            f"{path}: is damaged: its weights or preprocessing have changed since it was written "
            f"(expected fingerprint {info.fingerprint[:16]}..., found {actual[:16]}...)"
        )
    model.path = path
    model.to(choose_device(info.device if device == "auto" else device, strict=device != "auto"))
    return model.eval()


def _kind(tensor: torch.Tensor | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def choose_device(name: str = "auto", strict: bool = True) -> torch.device:
    """The device called `name`; "auto" is the best one. Raises ConfigError if it is not usable.

    If `strict` is false, the CPU stands in for a device that is not usable.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("another kind of device")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if not strict:
            return torch.device("cpu")
        raise ConfigError(
            f"--device {name}: not usable here ({first_line(error)}); "
            "use auto, cpu, cuda, cuda:N or mps"
        ) from None
    return device
