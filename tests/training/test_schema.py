"""Checkpoints that are damaged, made up, or of another training."""

import copy
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small import make_settings

from bitcodes.errors import BitcodesError, ModelError, first_line
from bitcodes.training import finetune
from bitcodes.training.schema import check_optimizer


@pytest.fixture(scope="module")
def stopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an average of weights, which would be trained on."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return finetune(settings(data, 2), folder / "run", workers=0).run


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where runs/latest is written."""
    monkeypatch.chdir(tmp_path)


def settings(data: Path, epochs: int):
    return make_settings(data, epochs=epochs, ema=0.9)


def nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor[(0,) * tensor.dim()] = math.nan
    return tensor


def put(*path: object, value: object = None) -> Callable[[dict[str, Any]], None]:
    """A change of the value at this path; without a value, it is removed."""

    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        if value is None:
            del values[path[-1]]
        else:
            values[path[-1]] = value(values[path[-1]]) if callable(value) else value

    return change


CHANGES = {
    "a weight is missing": put("model", "hash_layer.weight"),
    "a weight too many": put("model", value=lambda old: {**old, "other": torch.zeros(1)}),
    "a weight of another shape": put("model", "hash_layer.weight", value=torch.zeros(3, 3)),
    "a weight is a number": put("model", "hash_layer.weight", value=1),
    "nan weights": put("model", "hash_layer.weight", value=nan),
    "nan in the average": put("average", "model", "hash_layer.weight", value=nan),
    "no average": put("average", value=lambda old: 0),
    "an average of nothing": put("average", "model"),
    "another step": put("step", value=-1),
    "a step before the history's": put("step", value=1),
    "a step of text": put("step", value="10"),
    "a history of another shape": put("history", value=lambda old: old[0]),
    "a line without its step": put("history", 0, "step"),
    "epochs in another order": put("history", value=lambda old: old[::-1]),
    "an infinite loss": put("history", 0, "loss", value=math.inf),
    "an image size of nothing": put("history", 1, "image_size", value=0),
    "validated once": put("history", 0, "val_map"),
    "a score of text": put("history", 0, "val_map", value="good"),
    "a sum that is no number": put("loss_sum", value=math.nan),
    "a sum of digits": put("loss_sum", value="0"),
    "a sum that is yes or no": put("loss_sum", value=True),
    "seconds of digits": put("seconds", value="1.5"),
    "a loss of digits": put("history", 0, "loss", value="0.5"),
    "seconds before the start": put("seconds", value=-1.0),
    "an optimizer of nothing": put("optimizer", value=lambda old: {}),
    "fewer groups": put("optimizer", "param_groups", value=lambda old: old[:1]),
    "other decay": put("optimizer", "param_groups", 0, "weight_decay", value=7.0),
    "a rate of text": put("optimizer", "param_groups", 0, "peak", value="fast"),
    "momentum of another shape": put(
        "optimizer", "state", 0, value=lambda old: {key: torch.zeros(2, 9) for key in old}
    ),
    "nan momentum": put(
        "optimizer", "state", 0, value=lambda old: {key: nan(value) for key, value in old.items()}
    ),
    "momentum of no parameter": put("optimizer", "state", value=lambda old: {999: old[0]}),
    "a log elsewhere": put("events", value=lambda old: {"events.out.tfevents./../../x": 3}),
    "a log of a negative size": put("events", value=lambda old: dict.fromkeys(old, -1)),
    "the digest is missing": put("data"),
    "weights of more digits": put("model", "hash_layer.weight", value=torch.Tensor.double),
    "weights of no digits": put("average", "model", "hash_layer.weight", value=torch.Tensor.int),
    "weights with holes": put("model", "hash_layer.weight", value=torch.Tensor.to_sparse),
    "weights without values": put("model", "hash_layer.weight", value=lambda old: old.to("meta")),
    "a billion weights": put("model", "hash_layer.bias", value=torch.zeros(1).expand(10**9)),
    "an average without its step": put("average", "step"),
    "an average of more steps": put("average", "step", value=10**6),
    "an average of half a step": put("average", "step", value=0.5),
    "no state of a parameter": put("optimizer", "state", 1),
    "no state at all": put("optimizer", "state", value=lambda old: {}),
    "no momentum": put("optimizer", "state", 0, "momentum_buffer"),
    "momentum that is no tensor": put("optimizer", "state", 0, "momentum_buffer", value=3),
    "momentum of more digits": put(
        "optimizer", "state", 0, "momentum_buffer", value=torch.Tensor.double
    ),
    "more than momentum": put(
        "optimizer", "state", 0, value=lambda old: {**old, "more": torch.zeros(1)}
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_error_that_says_how_to_start_over(stopped: Path, data: Path, tmp_path, name) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    values = torch.load(run / "checkpoint.pt", weights_only=True)
    CHANGES[name](values)
    torch.save(values, run / "checkpoint.pt")
    before = {file: file.read_bytes() for file in run.iterdir()}
    with pytest.raises(ModelError, match=r"run.checkpoint\.pt: .* start over with --fresh"):
        finetune(settings(data, 3), run, workers=0)
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_reasons_are_sentences() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    groups = "optimizer: param_groups: expected a list of 1 group"
    for wrong in ([], None):
        with pytest.raises(ValueError, match=groups):
            check_optimizer(optimizer, {"param_groups": wrong, "state": {}}, 0)
    with pytest.raises(KeyError) as missing:
        check_optimizer(optimizer, {}, 0)
    assert first_line(missing.value) == "'param_groups' is missing"


def test_a_turned_bit_is_noticed(stopped: Path, data: Path, tmp_path: Path) -> None:
    """Wherever in a tensor: the weights would be others, and nothing else would show it."""
    shutil.copytree(stopped, tmp_path / "run")
    file = tmp_path / "run/checkpoint.pt"
    content = file.read_bytes()
    weights = torch.load(file, weights_only=True)["model"]["hash_layer.weight"]
    start = content.index(weights.numpy().tobytes())
    for place in (start, start + 5, start + weights.nbytes - 1):
        damaged = bytearray(content)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"is not as it was written.; start over with --fresh"):
            finetune(settings(data, 3), tmp_path / "run", workers=0)


def test_the_state_of_adamw_is_checked(data: Path, tmp_path: Path) -> None:
    adamw = {"optimizer": "adamw", "ema": 0.9}
    run = finetune(make_settings(data, epochs=1, **adamw), tmp_path / "run", workers=0).run
    values = torch.load(run / "checkpoint.pt", weights_only=True)
    for change in (
        put("optimizer", "state", 0, "exp_avg_sq"),
        put("optimizer", "state", 0, "exp_avg", value=torch.zeros(2)),
        put("optimizer", "state", 0, "step", value=torch.tensor(-1.0)),
        put("optimizer", "state", 0, "step", value=torch.tensor(1e9)),
        put("optimizer", "state", 0, "step", value=torch.tensor(float("nan"))),
    ):
        other = copy.deepcopy(values)
        change(other)
        torch.save(other, run / "checkpoint.pt")
        with pytest.raises(ModelError, match=r"optimizer: parameter 0: .*expected"):
            finetune(make_settings(data, epochs=2, **adamw), run, workers=0)
    torch.save(values, run / "checkpoint.pt")
    assert len(finetune(make_settings(data, epochs=2, **adamw), run, workers=0).history) == 2


def test_without_momentum_there_is_no_state(data: Path, tmp_path: Path) -> None:
    run = finetune(make_settings(data, epochs=1, momentum=0), tmp_path / "run", workers=0).run
    assert len(finetune(make_settings(data, epochs=2, momentum=0), run, workers=0).history) == 2


def test_a_sound_one_is_gone_on_from(stopped: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    result = finetune(settings(data, 3), tmp_path / "run", workers=0)
    assert len(result.history) == 3


@pytest.mark.parametrize("name", ["checkpoint.pt", "config.yaml"])
def test_a_folder_in_its_place(stopped: Path, data: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (run / name).unlink()
    (run / name).mkdir()
    with pytest.raises(BitcodesError, match=name.replace(".", r"\.")):
        finetune(settings(data, 3), run, workers=0)
