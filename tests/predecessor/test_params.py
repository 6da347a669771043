"""The predecessor's params.json."""

from typing import Any

import pytest
from predecessor import PARAMS

from bitcodes.errors import ConfigError
from bitcodes.predecessor.params import RECIPE, is_params, read_params
from bitcodes.settings import Settings


def test_params_are_understood() -> None:
    assert is_params(PARAMS)
    params = read_params(PARAMS, "params.json")
    assert params.settings == {
        **{"learning_rate": 0.01, "head_learning_rate": 0.01, "batch_size": 128, "epochs": 1250},
        **{"dropout": 0.5, "image_size": 227, "summary_steps": 50},
    }
    assert (params.workers, params.classes) == (8, 10)
    assert params.ignored == ("num_channels", "buffer_size")
    settings = Settings.build({"data": "d", **RECIPE, **params.settings})
    assert settings.to_dict() | {"image_size": "auto", "summary_steps": 20} == (
        Settings.build({"data": "d", **RECIPE}).to_dict()
    )


def test_what_is_left_out_keeps_its_default_and_settings_may_stand_beside() -> None:
    params = read_params({"keep_prob": 0.9, "bits": 32, "data": "d"}, "p")
    assert params.settings == {"dropout": 0.1, "bits": 32, "data": "d"}
    assert (params.workers, params.classes, params.ignored) == (None, None, ())
    assert read_params({"num_labels": 7}, "p").classes == 7
    assert read_params({"learning_rate": 1, "keep_prob": 1}, "p").settings["dropout"] == 0


def test_other_settings_are_not_taken_for_params() -> None:
    assert not is_params({"data": "d", "learning_rate": 0.1, "batch_size": 3, "image_size": 64})
    assert not is_params({})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("learning_rate", 0, "input should be greater than 0"),
        ("learning_rate", "fast", "input should be a valid number"),
        ("batch_size", 1, "input should be greater than or equal to 2"),
        ("num_epochs", 0, "input should be greater than or equal to 1"),
        ("num_epochs", 1.5, "input should be a valid integer"),
        ("num_classes", -3, "input should be greater than or equal to 1"),
        ("num_labels", "ten", "input should be a valid integer"),
        ("keep_prob", 0, "input should be greater than 0"),
        ("keep_prob", 50, "input should be less than or equal to 1"),
        ("keep_prob", None, "input should be a number"),
        ("image_size", True, "input should be a number"),
        ("num_parallel_calls", 0, "input should be greater than or equal to 1"),
        ("save_summary_steps", 0, "input should be greater than or equal to 1"),
    ],
)
def test_wrong_values_are_named_as_the_file_has_them(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_params({**PARAMS, key: value}, "experiments/params.json")
    assert str(caught.value).startswith(f"experiments/params.json: '{key}' is {value!r}: {message}")
    assert len(str(caught.value).splitlines()) == 1


def test_unknown_names_are_told_with_the_known() -> None:
    with pytest.raises(ConfigError) as caught:
        read_params({**PARAMS, "keep_probe": 0.5, "num_epochs": 0}, "p")
    first, second = sorted(str(caught.value).splitlines())
    assert first == "p: 'num_epochs' is 0: input should be greater than or equal to 1"
    assert second.startswith("p: unknown setting 'keep_probe'; known are learning_rate, batch_size")
    assert second.endswith("num_channels, buffer_size")


def test_two_numbers_of_classes_are_an_error() -> None:
    with pytest.raises(ConfigError, match="'num_classes' is 10 and 'num_labels' 5"):
        read_params({**PARAMS, "num_labels": 5}, "p")
