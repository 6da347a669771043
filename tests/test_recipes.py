"""Recipes, and the settings that a run gets from a recipe, a file and options."""

from pathlib import Path

import pytest

from bitcodes.errors import ConfigError
from bitcodes.recipes import RECIPES, Recipe, gather_settings
from bitcodes.settings import Settings


def test_the_recipe_of_the_predecessor() -> None:
    settings = gather_settings(Recipe.PREDECESSOR, None, {"data": "d"}).settings
    assert (settings.backbone, settings.loss, settings.bits) == ("bvlc_alexnet", "ce", 48)
    assert (settings.retrain, settings.dropout, settings.max_steps) == ("fc6,fc7", 0.5, 10_000)
    assert (settings.learning_rate, settings.head_learning_rate) == (0.01, 0.01)
    assert (settings.momentum, settings.weight_decay, settings.schedule) == (0, 0, "constant")
    assert (settings.batch_size, settings.augment, settings.val) == (128, False, 0)


@pytest.mark.parametrize("name", Recipe)
def test_recipes_are_settings(name: Recipe) -> None:
    Settings.build({"data": "d", **RECIPES[name]})


def test_options_override_the_file_and_the_file_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("bits: 32\nbatch_size: 16\n")
    result = gather_settings(Recipe.PREDECESSOR, file, {"data": "d", "bits": 24})
    settings = result.settings
    assert (settings.bits, settings.batch_size, settings.loss) == (24, 16, "ce")
    assert (result.workers, result.note) == (None, None)
    assert gather_settings(None, None, {"data": "d"}).settings == Settings.build({"data": "d"})


def test_a_params_file_starts_from_the_recipe_of_its_project(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"num_epochs": 3, "num_parallel_calls": 2, "buffer_size": 9}')
    result = gather_settings(None, file, {"data": "d", "bits": 24})
    settings = result.settings
    assert (settings.epochs, settings.bits, settings.backbone) == (3, 24, "bvlc_alexnet")
    assert result.workers == 2
    assert result.note == (
        f"{file}: settings of Learning-bit-codes-for-images, over --recipe predecessor; "
        "without meaning here: buffer_size"
    )


def test_wrong_settings_are_named_with_their_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("bit: 32\n")
    with pytest.raises(ConfigError, match=r"s\.yaml and options: unknown setting 'bit'"):
        gather_settings(None, file, {"data": "d"})
