"""Files of weights: every kind read, what does not fit named, and nothing in them run."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bitcodes.errors import ConfigError, ModelError
from bitcodes.models.backbones import find_backbone, start_from
from bitcodes.models.modelfile import find_model
from bitcodes.models.weights import check_fits, copy_weights, read_weights
from bitcodes.runs import load_settings
from bitcodes.settings import Settings
from bitcodes.training.beginning import check

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def network() -> nn.Module:
    return nn.ModuleDict({"a": nn.Linear(3, 2)})


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "w.bin", "W.PTH"])
def test_every_kind_is_read(tmp_path: Path, name: str) -> None:
    save: Any = save_file if name.endswith("safetensors") else torch.save
    save(WEIGHTS, tmp_path / name)
    result = read_weights(tmp_path / name)
    assert result.keys() == WEIGHTS.keys()
    assert all(torch.equal(result[key], WEIGHTS[key]) for key in result)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_within_a_checkpoint_are_found(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: WEIGHTS, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").keys() == WEIGHTS.keys()


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_pytorch_files_run_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    torch.save({**WEIGHTS, "b": Hostile(mark)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth: is not a file of nothing but weights"):
        read_weights(tmp_path / "w.pth")
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(ModelError, match=r"w\.pt: "):
        read_weights(tmp_path / "w.pt")
    assert not mark.exists()


@pytest.mark.posix
def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    (tmp_path / "w.safetensors").mkdir()
    for name, kind in (("w.pth", "a named pipe"), ("w.safetensors", "a folder")):
        with pytest.raises(ModelError, match=rf"{name}: expected a file; found {kind}"):
            read_weights(tmp_path / name)
        with pytest.raises(ModelError, match=rf"{name}: expected a file; found {kind}"):
            check(Settings(data=tmp_path, weights=tmp_path / name))
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"config\.yaml: expected a file; found a named pipe"):
        load_settings(tmp_path)
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: expected a file; found a named"):
        find_model(tmp_path)


def test_other_files_are_errors(tmp_path: Path) -> None:
    for name, message in [
        ("nowhere.pth", "no such file of weights"),
        ("w.onnx", r"expected weights as \.safetensors or \.pth \(\.pt, \.bin\)$"),
        ("w.npy", r"or for the backbone bvlc_alexnet as \.npy"),
        ("w.safetensors", "is not a readable safetensors file"),
        ("w.pth", "cannot be read|is not a file of nothing but weights"),
    ]:
        if name != "nowhere.pth":
            (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ModelError, match=message) as caught:
            read_weights(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    for content in ([1, 2], {"a": 1}, {3: torch.ones(1)}, torch.ones(2)):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=r"expected tensors by name, as model\.state_dict"):
            read_weights(tmp_path / "w.pth")


def test_what_does_not_fit_is_named() -> None:
    check_fits(network(), WEIGHTS, "it")
    with pytest.raises(ModelError) as caught:
        check_fits(network(), {"a.weight": torch.ones(2, 4), "fc.bias": torch.ones(2)}, "it")
    assert str(caught.value) == (
        "it: missing: a.bias; unexpected: fc.bias; "
        "of another shape: a.weight (expected (2, 3), found (2, 4))"
    )
    many = {f"layer{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(ModelError, match=r"unexpected: layer0, .*, layer4 and 4 more$"):
        check_fits(network(), {**WEIGHTS, **many}, "it")


def test_weights_of_another_backbone_are_told(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "w.pth")
    backbone = find_backbone("timm/test_resnet").build(64)
    with pytest.raises(ModelError) as caught:
        start_from(backbone, "timm/test_resnet", 64, tmp_path / "w.pth")
    assert str(caught.value).startswith(
        f"{tmp_path / 'w.pth'} do not fit timm/test_resnet at 64 pixels: missing: conv1.0.weight"
    )
    assert "unexpected: a.weight, a.bias" in str(caught.value)


def test_copying_leaves_what_is_named_and_makes_numbers_float32() -> None:
    module = network()
    bias = module.state_dict()["a.bias"].clone()
    copy_weights(module, {key: WEIGHTS[key].half() for key in WEIGHTS if key != "a.bias"})
    state = module.state_dict()
    assert torch.equal(state["a.weight"], WEIGHTS["a.weight"])
    assert state["a.weight"].dtype == torch.float32
    assert torch.equal(state["a.bias"], bias)
