"""What "auto" becomes: rates by the backbone's norms, precision by a trial."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small import make_settings
from torch import nn

from bitcodes.config import Settings
from bitcodes.data.lists import read_list
from bitcodes.losses import LOSSES
from bitcodes.training import resolving
from bitcodes.training.resolving import recipe_for, resolve


def recipe(*layers: nn.Module, **values: Any) -> dict[str, str | float]:
    return recipe_for(nn.Sequential(*layers), Settings.build({"data": "d", **values}))


def test_the_recipe_follows_the_norms_of_the_backbone() -> None:
    head = LOSSES["csq"].head_learning_rate
    assert recipe(nn.BatchNorm2d(3)) == {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "head_learning_rate": head,
        "weight_decay": 5e-4,
    }
    plain = recipe(nn.Conv2d(3, 3, 1))
    assert plain["learning_rate"] == pytest.approx(0.01)
    assert recipe(nn.BatchNorm2d(3), freeze_norms=True) == plain
    assert recipe(nn.BatchNorm2d(3), nn.LayerNorm(3))["optimizer"] == "adamw"


def test_rates_follow_the_batch() -> None:
    sgd, adamw = ([nn.BatchNorm2d(3)], [nn.LayerNorm(3)])
    for layers, factor in ((sgd, 4), (adamw, 2)):
        small, large = (recipe(*layers, batch_size=size) for size in (64, 256))
        for rate in ("learning_rate", "head_learning_rate"):
            assert float(large[rate]) == pytest.approx(factor * float(small[rate]))


def test_what_is_given_stays(data: Path) -> None:
    train, log = read_list(data / "train.txt"), list[str]()
    values = {"learning_rate": 0.3, "head_learning_rate": "auto", "optimizer": "adamw"}
    settings = resolve(make_settings(data, **values), train, log.append)
    assert (settings.learning_rate, settings.optimizer) == (0.3, "adamw")
    assert settings.head_learning_rate == pytest.approx(0.5 * 8 / 64)
    assert "auto" not in settings.to_dict().values()
    assert resolve(settings, train, log.append) == settings
    assert log == []


@pytest.mark.parametrize(("mixed", "amp"), [(0.5, "bfloat16"), (0.95, "off"), (3.0, "off")])
def test_precision_is_chosen_by_a_trial(
    data: Path, monkeypatch: pytest.MonkeyPatch, mixed: float, amp: str
) -> None:
    def seconds(network: nn.Module, images: torch.Tensor, **how: Any) -> float:
        assert images.shape == (8, 3, 32, 32)
        return mixed if how["mixed"] else 1.0

    monkeypatch.setattr(resolving, "_step_seconds", seconds)
    log: list[str] = []
    settings = make_settings(data, amp="auto")
    assert resolve(settings, read_list(data / "train.txt"), log.append).amp == amp
    assert log == [f"bfloat16 takes {mixed:.0%} of the time of float32 here"]


def test_the_trial_is_a_real_step() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    for mixed in (False, True):
        assert 0 < resolving._step_seconds(network, torch.rand(2, 3, 8, 8), mixed=mixed) < 10
