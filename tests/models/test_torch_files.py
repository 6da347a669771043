"""Files of torch.save: what PyTorch reads is read, and what takes for ever is refused."""

import io
import re
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from bitcodes.models.torch_files import MOST_SHARED, load_torch
from bitcodes.unpickle import RefusedPickle

WHOLE = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
DTYPES = [
    "uint8",
    "int8",
    "bool",
    "float16",
    "bfloat16",
    "int16",
    "int32",
    "int64",
    "float64",
    "complex64",
]
VALUES: dict[str, Any] = {
    "views": {"a": WHOLE[:, 1:], "b": WHOLE.permute(2, 0, 1), "c": WHOLE[0, 0, 0], "d": WHOLE},
    "one value many times": {"a": torch.ones(1).expand(1000)},
    "one tensor twice": {"a": WHOLE, "b": WHOLE},
    "nothing": {"a": torch.empty(0, 3), "b": torch.empty(0)},
    "parameters": torch.nn.ParameterDict({"a": torch.nn.Parameter(WHOLE)}).state_dict(),
    "a parameter": {"a": torch.nn.Parameter(WHOLE)},
    "a module's": torch.nn.BatchNorm2d(3).state_dict(),
    "other things": [None, True, 3, -1.5, 2**40, "é\n", b"bytes", 1j, {1, "a"}, (1, 2), {}],
    "other keys": {1: 2, 0.5: 3, None: 4, (1, "a"): 5, b"b": 7},
    "of torch": [torch.Size((2, 3)), torch.float16, torch.device("cpu")],
    "dicts": OrderedDict(a=Counter("aab"), b=OrderedDict()),
    "a number of a tensor": {"step": torch.tensor(3)},
    "dtypes": [torch.ones(3).to(getattr(torch, name)) for name in DTYPES],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("is_new", [True, False])
def test_what_torch_reads_is_read(name: str, is_new: bool, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save(VALUES[name], file, _use_new_zipfile_serialization=is_new)
    found, expected = load_torch(file), torch.load(file, weights_only=True)
    assert type(found) is type(expected) and repr(found) == repr(expected)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adam])
def test_the_state_of_an_optimizer_is_read(optimizer: Any, tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    trained = optimizer(module.parameters(), lr=0.1)
    module(torch.ones(1, 3)).sum().backward()
    trained.step()
    rates = torch.optim.lr_scheduler.MultiStepLR(trained, [1, 2])
    value = {"optimizer": trained.state_dict(), "rates": rates.state_dict()}
    torch.save(value, tmp_path / "a.pt")
    assert repr(load_torch(tmp_path / "a.pt")) == repr(value)


def _saved(file: Path, value: object, is_new: bool = True) -> Path:
    torch.save(value, file, _use_new_zipfile_serialization=is_new)
    return file


def _shared(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.timeout(30)
@pytest.mark.parametrize("is_new", [True, False])
def test_what_takes_for_ever_is_refused(is_new: bool, tmp_path: Path) -> None:
    nested: tuple[Any, ...] = ()
    for _ in range(30):
        nested = (nested, nested)
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    large = torch.ones(200_000)
    for value, said in (
        ({"a": _shared(40)}, "more than 1,000,000 values"),
        ({"a": deep}, "more than 50 lists and dicts"),
        ({"a": [list(range(2000))] * 2000}, "more than 1,000,000 values"),
        ([large] * (MOST_SHARED + 1), "tensors of 3,400,000 numbers that share 200,000"),
        ({"a": torch.ones(1).expand(10**9)}, "tensors of 1,000,000,000 numbers that share 1"),
        ({((1, 2), 3): 4}, "a key of the kind tuple"),
        ({tuple(range(100)): 4}, "a key of the kind tuple"),
        (torch.eye(3).to_sparse(), "'torch._utils._rebuild_sparse_tensor'"),
    ):
        with pytest.raises(RefusedPickle, match=re.escape(said)):
            load_torch(_saved(tmp_path / "a.pt", value, is_new))


def test_numbers_that_a_file_does_not_have_are_refused(tmp_path: Path) -> None:
    file = _saved(tmp_path / "a.pt", {"a": torch.ones(5)})
    content = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    name = next(one for one in parts if one.endswith("data.pkl"))
    for old, new, said in (
        (b"K\x05t", b"M\xff\x7ft", "32,767 numbers, which are not in the file"),
        (b"K\x05\x85", b"M\xff\x7f\x85", "a tensor of 32,767 numbers, which are not"),
        (b"K\x05\x85", b"K\x04\x86", "unknown form|dimensions|list"),
        (b"K\x00K\x05", b"K\x01K\x05", "a tensor of 5 numbers, which are not"),
    ):
        assert parts[name].count(old) == 1
        changed = {**parts, name: parts[name].replace(old, new)}
        with zipfile.ZipFile(file, "w") as archive:
            for one, data in changed.items():
                archive.writestr(one, data)
        with pytest.raises((RefusedPickle, IndexError), match=said):
            load_torch(file)
