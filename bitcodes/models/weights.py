"""Reading weights from files, without running code in them, and copying them into networks."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from bitcodes.errors import ModelError, first_line
from bitcodes.files import check_kind
from bitcodes.models.torch_files import load_torch
from bitcodes.unpickle import RefusedPickle

Weights = dict[str, torch.Tensor]

_MOST_NAMES = 5  # in a message


def read_weights(path: Path) -> Weights:
    """The tensors in a .safetensors or PyTorch file (.pth, .pt, .bin) by name.

    PyTorch files are read by `load_torch`; if one holds a dict under "state_dict" or
    "model", that dict is the weights. From a model of bitcodes, returns the backbone's weights.
    Raises ModelError.
    """
    check_kind(path, ModelError)
    if not path.is_file():
        raise ModelError(f"{path}: no such file of weights")
    kind = path.suffix.lower()
    read = {".safetensors": _backbone_in_safetensors}.get(kind)
    if kind in (".pth", ".pt", ".bin"):
        read = _read_pytorch
    if read is not None:
        weights = read(path)
        if (name := not_finite(weights)) is not None:
            raise ModelError(f"{path}: {name} holds values that are not finite numbers")
        return weights
    raise ModelError(
        f"{path}: expected weights as .safetensors or .pth (.pt, .bin)"
        + (", or for the backbone bvlc_alexnet as .npy" if kind == ".npy" else "")
    )


def not_finite(tensors: Mapping[str, object]) -> str | None:
    """The name of a tensor of floats that holds an infinity or NaN; None if there is none."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            continue
        if not bool(tensor.isfinite().all()):
            return name
    return None


def read_safetensors(path: Path) -> tuple[dict[str, str], Weights]:
    """The metadata and the tensors of a .safetensors file; raises ModelError."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: is not a readable safetensors file: {error}") from None


def _backbone_in_safetensors(path: Path) -> Weights:
    metadata, weights = read_safetensors(path)
    if "bitcodes" not in metadata:
        return weights
    own = [name for name in weights if name.startswith("backbone.")]
    return {name.removeprefix("backbone."): weights[name] for name in own}


def _read_pytorch(path: Path) -> Weights:
    try:
        content = load_torch(path)
    except Exception as error:  # torch, zipfile and pickle have many kinds
        problem, reason = "cannot be read", first_line(error)
        if isinstance(error, (RefusedPickle, pickle.UnpicklingError)):
            problem = "is not a file of nothing but weights"
        if isinstance(error, RefusedPickle):
            reason = f"it holds {reason}"
        raise ModelError(f"{path}: {problem}: {reason}") from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise ModelError(f"{path}: expected tensors by name, as model.state_dict() gives them")
    return dict(content)


def copy_weights(module: nn.Module, weights: Weights) -> None:
    """Copy weights into the tensors of a module that have the same names, and the same shapes.

    Unlike `load_state_dict` it runs no code of the layers: some take a plain dict of weights for
    one of their older versions.
    """
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name in weights:
                tensor.copy_(weights[name])


def fits(module: nn.Module, weights: Weights) -> bool:
    """Whether weights have the same names and shapes as those of the module."""
    return not _differences(module.state_dict(), weights)


def check_fits(module: nn.Module, weights: Weights, where: str) -> None:
    """Raise ModelError if names or shapes of weights differ from those of the module.

    The message begins with `where` and names the tensors.
    """
    if differences := _differences(module.state_dict(), weights):
        raise ModelError(f"{where}: " + "; ".join(differences))


def _differences(expected: Mapping[str, torch.Tensor], weights: Weights) -> list[str]:
    lists = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} (expected {tuple(expected[name].shape)}, found {tuple(weights[name].shape)})"
            for name in expected
            if name in weights and expected[name].shape != weights[name].shape
        ],
    }
    return [f"{what}: {_some(names)}" for what, names in lists.items() if names]


def _some(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
