"""What "auto" becomes: rates by the backbone's norms, precision by a trial."""

import itertools
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import make_settings
from torch import nn

from bitcodes.errors import ConfigError
from bitcodes.losses import LossName
from bitcodes.losses.base import loss_class
from bitcodes.models.backbone import preprocessing_with
from bitcodes.models.backbones import BACKBONES
from bitcodes.settings import Settings
from bitcodes.sources.lists import read_list
from bitcodes.training import resolving
from bitcodes.training.resolving import epochs_for, recipe_for, resolve, resolve_to_fit


def recipe(*layers: nn.Module, **values: Any) -> dict[str, str | float]:
    settings = Settings.build({"data": "d", "batch_size": 64, **values})
    return recipe_for(nn.Sequential(*layers), settings)


def test_the_recipe_follows_the_norms_of_the_backbone() -> None:
    head = loss_class(LossName.CSQ).head_learning_rate
    assert recipe(nn.BatchNorm2d(3)) == {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "head_learning_rate": head,
        "weight_decay": 5e-4,
    }
    plain = recipe(nn.Conv2d(3, 3, 1))
    assert plain["learning_rate"] == pytest.approx(0.01)
    assert recipe(nn.BatchNorm2d(3), freeze_norms=True) == plain
    assert recipe(nn.BatchNorm2d(3), nn.LayerNorm(3)) == {
        "optimizer": "adamw",
        "learning_rate": pytest.approx(1e-4),
        "head_learning_rate": pytest.approx(1e-3),
        "weight_decay": 0.05,
    }


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


@pytest.mark.parametrize(
    ("images", "epochs"),
    [(1, 60), (1_000, 60), (5_000, 32), (50_000, 10), (200_000, 5), (10**7, 5)],
)
def test_fewer_images_are_seen_oftener(images: int, epochs: int) -> None:
    assert epochs_for(images) == epochs


def automatic(data: Path, **values: Any) -> Settings:
    names = ("image_size", "epochs", "zoom", "rand_augment", "freeze_stages", "hidden")
    settings = make_settings(data, **{**dict.fromkeys(names, "auto"), **values})
    train = read_list(data / "train.txt")
    if settings.loss.label_free:
        return resolve_to_fit(settings, train)
    return resolve(settings, train, print)


def test_few_images_are_changed_more(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = automatic(data)
    assert (few.zoom, few.rand_augment) == (0.2, 4)
    assert automatic(data, zoom=0).zoom == 0
    monkeypatch.setattr(resolving, "_FEW", 1)
    many = automatic(data)
    assert (many.zoom, many.rand_augment) == (0, 0)


def test_training_begins_at_half_the_size(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for largest, sizes in ((224, [96, 160]), (96, [64, 96]), (64, [32, 64])):
        larger = replace(BACKBONES["small"], default_image_size=largest)
        monkeypatch.setitem(BACKBONES, "small", larger)
        assert automatic(data).image_size == sizes
        assert automatic(data, epochs=1).image_size == sizes[-1]
        assert automatic(data, freeze=True).image_size == sizes[-1]
        assert automatic(data, loss="itq").image_size == sizes[-1]


def test_frozen_backbones_and_those_that_want_one_get_a_hidden_layer(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert automatic(data).hidden == 0
    assert automatic(data, freeze=True).hidden == 1024
    assert automatic(data, freeze=True, hidden=0).hidden == 0
    assert automatic(data, loss="itq").hidden == 0
    assert automatic(data, loss="itq", freeze=True).hidden == 0
    with pytest.raises(
        ConfigError, match="--hidden: expected 0, because loss itq trains no layer; found 7"
    ):
        automatic(data, loss="itq", hidden=7)
    monkeypatch.setitem(BACKBONES, "small", replace(BACKBONES["small"], hidden=9))
    assert automatic(data).hidden == 9
    assert automatic(data, hidden=0).hidden == 0
    assert automatic(data, freeze=True).hidden == 1024
    assert automatic(data, loss="itq").hidden == 0


def test_the_kind_of_a_frozen_backbone_does_not_matter() -> None:
    target = recipe(nn.BatchNorm2d(3))
    for layer in (nn.LayerNorm(3), nn.Conv2d(3, 3, 1)):
        assert recipe(layer, freeze=True) == target


def test_the_first_stages_are_frozen(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert automatic(data).freeze_stages == 0  # has none
    backbone = replace(
        BACKBONES["small"],
        stages=lambda network: [[name] for name, _ in network.named_parameters()],
    )
    monkeypatch.setitem(BACKBONES, "small", backbone)
    stages = len(list(backbone.build(32).parameters())) - 1
    assert automatic(data).freeze_stages == stages * 3 // 7 > 0
    others = ({"freeze": True}, {"retrain": "0"}, {"weights": "random"}, {"freeze_stages": 0})
    for other in others:
        assert automatic(data, **other).freeze_stages == 0


@pytest.mark.parametrize(
    ("sides", "image_size", "crop"),
    [
        *[((32, 32), [128, 224], 1), ((159, 500), 224, 1), ((160, 160), [64, 160], 0.9)],
        *[((500, 375), 224, 0.9), ((500, 375), 128, 1)],
    ],
)
def test_small_pictures_and_small_inputs_are_seen_as_a_whole(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sides: tuple[int, int],
    image_size: Any,
    crop: float,
) -> None:
    way = preprocessing_with(0.9, mean=(0.5,) * 3, std=(0.5,) * 3)
    monkeypatch.setitem(BACKBONES, "small", replace(BACKBONES["small"], preprocessing=way))
    data = Path(shutil.copytree(data, tmp_path / "data"))
    for path in read_list(data / "train.txt").paths:
        Image.new("RGB", sides).save(data / path)
    assert automatic(data, image_size=image_size).crop == crop
    assert automatic(data, image_size=np.max(image_size), loss="itq").crop == crop
    assert automatic(data, image_size=image_size, crop=0.5).crop == 0.5


def test_a_picture_that_is_squashed_keeps_its_crop(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = preprocessing_with(0.9, mean=(0.5,) * 3, std=(0.5,) * 3, fit="squash")
    monkeypatch.setitem(BACKBONES, "small", replace(BACKBONES["small"], preprocessing=way))
    assert automatic(data, image_size=224).crop == 0.9


@pytest.mark.parametrize(("mixed", "amp"), [(0.5, "bfloat16"), (0.95, "off"), (3.0, "off")])
def test_precision_is_chosen_by_a_trial(
    data: Path, monkeypatch: pytest.MonkeyPatch, mixed: float, amp: str
) -> None:
    def seconds(network: nn.Module, images: torch.Tensor, **how: Any) -> float:
        assert images.shape == (8, 3, 32, 32)
        assert how.get("give_up") == (3.0 if how["mixed"] else None)
        return mixed if how["mixed"] else 1.0

    monkeypatch.setattr(resolving, "_step_seconds", seconds)
    log: list[str] = []
    settings = make_settings(data, amp="auto")
    assert resolve(settings, read_list(data / "train.txt"), log.append).amp == amp
    assert [line.split(",")[0] for line in log] == ["training in bfloat16"] * (amp == "bfloat16")


def test_the_trial_is_a_real_step() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    for mixed in (False, True):
        assert 0 < resolving._step_seconds(network, torch.rand(2, 3, 8, 8), mixed=mixed) < 10


@pytest.mark.parametrize(("give_up", "expected"), [(math.inf, 2.0), (4.0, 2.0), (2.5, 3.0)])
def test_the_trial_counts_the_best_step_but_the_first(
    monkeypatch: pytest.MonkeyPatch, give_up: float, expected: float
) -> None:
    durations = iter([1.0, 3.0, 2.0, 5.0])  # the first would win, or lose by far on a GPU
    clock = itertools.chain.from_iterable((0.0, seconds) for seconds in durations)
    monkeypatch.setattr(resolving, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    images = torch.rand(2, 3, 2, 2)
    assert resolving._step_seconds(network, images, mixed=False, give_up=give_up) == expected
