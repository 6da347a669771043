"""Layers that learn and layers that stay; plain SGD, steps and dropout of a recipe."""

import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import (
    _build,
    _build_staged,
    _preprocessing,
    _pretrained,
    make_settings,
    weights,
)
from torch import nn

from bitcodes import training
from bitcodes.errors import ConfigError
from bitcodes.models.backbones import BACKBONES
from bitcodes.models.hashing import HashModel
from bitcodes.runs import load_settings
from bitcodes.settings import Schedule, Settings
from bitcodes.training import Finetuned, Progress, learner
from bitcodes.training.optimizing import freeze, make_optimizer, schedule, set_modes


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finetune(settings: Settings, run: str = "run", **options: Any) -> Finetuned:
    return training.finetune(settings, Path(run), **{"workers": 0, **options})


def test_only_the_layers_named_learn_and_they_start_anew(data: Path) -> None:
    published = _pretrained(32)
    tiny_rate = {"learning_rate": 1e-9, "epochs": 1}
    finetune(make_settings(data, retrain="3", **tiny_rate), "begun")
    finetune(make_settings(data, retrain="3", epochs=2), "done")
    begun, done = (load_file(f"{run}/model.safetensors") for run in ("begun", "done"))
    for name, tensor in published.items():
        key = f"backbone.{name}"
        if name.startswith("3."):
            assert not torch.allclose(begun[key], tensor, atol=1e-3), name
            assert not torch.allclose(done[key], begun[key], atol=1e-4), name
        else:  # the statistics of the batch norm among them
            assert torch.equal(done[key], tensor), name


def test_all_learn_where_none_is_named(data: Path) -> None:
    finetune(make_settings(data, epochs=1))
    done = load_file("run/model.safetensors")
    for name, tensor in _pretrained(32).items():
        assert not torch.equal(done[f"backbone.{name}"], tensor), name


def test_a_layer_that_is_not_there_is_named_with_those_that_are(data: Path) -> None:
    message = "--retrain: expected none or layers of small, which are 0, 1, 2.*; found 'fc6'"
    with pytest.raises(ConfigError, match=message):
        finetune(make_settings(data, retrain="3,fc6"))
    with pytest.raises(ConfigError, match="retrain: expected none or names of layers"):
        make_settings(data, retrain="a b")


def test_one_of_the_ways_to_freeze_is_chosen(data: Path) -> None:
    whole, layer = "freeze (train no layer of the backbone)", "retrain (train only 3)"
    stages = "freeze_stages (train all but the first 2)"
    for values, message in [
        ({"freeze": True, "retrain": "3"}, f"{whole} and {layer}"),
        ({"freeze_stages": 2, "retrain": "3"}, f"{stages} and {layer}"),
        ({"freeze_stages": 2, "freeze": True}, f"{whole} and {stages}"),
    ]:
        with pytest.raises(
            ConfigError, match=re.escape(f"settings: {message} contradict each other; choose one")
        ):
            make_settings(data, **values)


def test_frozen_norms_keep_their_statistics_and_others_do_not() -> None:
    backbone = _build(32)
    norm = backbone[1]  # type: ignore[index]
    assert isinstance(norm, nn.BatchNorm2d)
    set_modes(backbone)
    assert norm.training
    norm.requires_grad_(False)
    set_modes(backbone)
    assert not norm.training
    assert backbone[7].training  # type: ignore[index] # dropout goes on


def test_plain_sgd_takes_the_gradient_and_nothing_else(data: Path) -> None:
    settings = make_settings(
        data, momentum=0, weight_decay=0, learning_rate=0.1, head_learning_rate=0.1, retrain="3"
    )
    model = HashModel("small", 12, _preprocessing(32), weights="pretrained")
    freeze(model.backbone, settings)
    optimizer = make_optimizer(settings, model.backbone, [model.hash_layer])
    for step in range(3):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer.zero_grad()
        model(torch.randn(4, 3, 32, 32)).square().mean().backward()
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(step, 3, settings.warm_up, settings.schedule)
        rate = 0.1 * schedule(step, 3, settings.warm_up, settings.schedule)
        optimizer.step()
        for name, parameter in model.named_parameters():
            moved = before[name] if parameter.grad is None else before[name] - rate * parameter.grad
            torch.testing.assert_close(parameter.detach(), moved)
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {
        *("backbone.3.weight", "backbone.3.bias", "hash_layer.weight", "hash_layer.bias")
    }


@pytest.mark.parametrize("kind", ["cosine", "constant"])
@pytest.mark.parametrize("warm_up", [0, 0.05, 0.1, 0.5])
def test_between_two_steps_the_rate_is_not_above_its_peak(warm_up: float, kind: Schedule) -> None:
    positions = np.linspace(0, 20, 401)
    rates = [schedule(position, 20, warm_up, kind) for position in positions]
    assert max(rates) == 1
    assert np.abs(np.diff(rates)).max() < 0.06


def test_a_constant_schedule_stays_at_its_peak() -> None:
    assert {schedule(step, 7, 0, "constant") for step in range(7)} == {1.0}
    assert [schedule(step, 8, 0.5, "constant") for step in range(8)] == [
        0.25,
        0.5,
        0.75,
        *[1.0] * 5,
    ]


def test_dropout_is_in_the_backbone_and_before_the_hash_layer() -> None:
    model = HashModel("small", 12, _preprocessing(32), weights="pretrained")
    features = torch.ones(400, model.feature_dim)
    with torch.no_grad():
        model.hash_layer.weight.fill_(1)
        model.hash_layer.bias.fill_(0)
    assert torch.equal(model.train().hash_features(features), 16 * torch.ones(400, 12))
    model.set_dropout(0.5)
    kept = model.hash_features(features)[:, 0] / 2  # how many of 16, each counting twice
    assert 7 < kept.mean() < 9
    assert kept.std() > 1
    assert model.backbone[7].p == 0.5  # type: ignore[index, union-attr]
    assert torch.equal(model.eval().hash_features(features), 16 * torch.ones(400, 12))


def test_dropout_changes_training_and_is_the_same_again(data: Path) -> None:
    runs = [("none", 0.0), ("some", 0.5), ("again", 0.5)]
    for name, share in runs:
        finetune(make_settings(data, epochs=1, dropout=share), name)
    none, some, again = (weights(Path(name)) for name, _ in runs)
    assert some == again
    assert some["losses"] != none["losses"]


# -- the first stages -------------------------------------------------------------------------

FROZEN = {1: ("0.", "1.", "2."), 2: ("0.", "1.", "2.", "3.")}  # of "staged": the stem is 0 and 1


@pytest.mark.parametrize("count", FROZEN)
def test_frozen_stages_do_not_change_and_all_others_do(data: Path, count: int) -> None:
    settings = make_settings(data, backbone="staged", freeze_stages=count, ema=0.5, epochs=1)
    finetune(settings)
    assert load_settings(Path("run")).freeze_stages == count
    saved = torch.load("run/checkpoint.pt", weights_only=True)
    before = BACKBONES["staged"].pretrained(32)
    for after in (saved["model"], saved["average"]["model"]):
        for name, tensor in before.items():
            same = torch.equal(after[f"backbone.{name}"], tensor)
            assert same == name.startswith(FROZEN[count]), name


def test_frozen_stages_train_as_layers_that_are_frozen_one_by_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(data, backbone="staged", epochs=2)
    finetune(settings.model_copy(update={"freeze_stages": 2}))

    def freeze_by_name(backbone: nn.Module, settings: Settings) -> None:
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad = name[0] in "456"

    def evaluate_by_name(backbone: nn.Module) -> None:
        for name, child in backbone.named_children():
            child.train(name in "456")

    monkeypatch.setattr(learner, "freeze", freeze_by_name)
    monkeypatch.setattr(learner, "set_modes", evaluate_by_name)
    finetune(settings, "reference")
    assert weights(Path("run")) == weights(Path("reference"))


def test_nothing_is_kept_of_frozen_stages_for_the_way_back(data: Path) -> None:
    backbone = _build_staged(32)
    freeze(backbone, make_settings(data, backbone="staged", freeze_stages=2))
    set_modes(backbone)
    assert [module.training for module in backbone] == [False] * 4 + [True] * 3
    kept: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        at_border = backbone[:4](torch.randn(4, 3, 32, 32))
    assert at_border.grad_fn is None
    assert kept == []
    backbone[4:](at_border).sum().backward()
    learning = {name for name, p in backbone.named_parameters() if p.grad is not None}
    assert learning == {name for name, _ in backbone.named_parameters() if name.startswith("4.")}
    optimizer = make_optimizer(
        make_settings(data, optimizer="sgd", weight_decay=0.1), backbone, [nn.Linear(2, 2)]
    )
    updated = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(updated) == len(learning) + 2


def test_frozen_stages_outlive_a_stop(data: Path) -> None:
    settings = make_settings(data, backbone="staged", freeze_stages=1, ema=0.5, epochs=2)

    def press(now: Progress) -> None:
        if now.step == 7:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        finetune(settings, report=press)
    finetune(settings)
    finetune(settings, "undisturbed")
    assert weights(Path("run")) == weights(Path("undisturbed"))


def test_stages_that_are_not_there_are_told(data: Path) -> None:
    message = "--freeze-stages: expected at most 2, so that a stage of staged learns; found 3"
    with pytest.raises(ConfigError, match=message):
        finetune(make_settings(data, backbone="staged", freeze_stages=3))
    message = "--freeze-stages: expected 0; found 1, but the layers of small are not in stages"
    with pytest.raises(ConfigError, match=message):
        finetune(make_settings(data, freeze_stages=1), "other")


# -- a number of steps ------------------------------------------------------------------------


def test_steps_may_end_within_an_epoch(data: Path) -> None:
    done = finetune(make_settings(data, max_steps=7))  # of 3 epochs of 5
    assert [(line["epoch"], line["step"]) for line in done.history] == [(1, 5), (2, 7)]
    assert finetune(make_settings(data, max_steps=7)).already
    # The average of two steps is a loss like that of five.
    assert 0.3 < done.history[1]["loss"] / done.history[0]["loss"] < 1.5


def test_steps_beyond_the_epochs_change_nothing(data: Path) -> None:
    finetune(make_settings(data), "free")
    finetune(make_settings(data, max_steps=15), "exact")
    finetune(make_settings(data, max_steps=99), "beyond")
    assert weights(Path("free")) == weights(Path("exact")) == weights(Path("beyond"))


@pytest.mark.parametrize("step", [3, 6, 7])
def test_interrupted_before_the_last_step_it_ends_the_same(data: Path, step: int) -> None:
    def report(now: Progress) -> None:
        if now.step == step and not now.epoch_done:
            signal.raise_signal(signal.SIGINT)

    settings = make_settings(data, max_steps=7)
    with pytest.raises(KeyboardInterrupt):
        finetune(settings, report=report)
    assert not finetune(settings).already
    finetune(settings, "undisturbed")
    assert weights(Path("run")) == weights(Path("undisturbed"))
