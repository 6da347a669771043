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
        ("learning_rate", 0, "expected a number above 0; found 0"),
        ("learning_rate", "fast", "expected a number above 0; found 'fast'"),
        ("batch_size", 1, "expected a whole number of at least 2; found 1"),
        ("num_epochs", 0, "expected a whole number of at least 1; found 0"),
        ("num_epochs", 1.5, "expected a whole number of at least 1; found 1.5"),
        ("num_classes", -3, "expected a whole number of at least 1; found -3"),
        ("num_labels", "ten", "expected a whole number of at least 1; found 'ten'"),
        ("keep_prob", 0, "expected a number above 0 up to 1; found 0"),
        ("keep_prob", 50, "expected a number above 0 up to 1; found 50"),
        ("keep_prob", None, "expected a number; found nothing"),
        ("image_size", True, "expected a number; found true"),
        ("num_parallel_calls", 0, "expected a whole number of at least 1; found 0"),
        ("save_summary_steps", 0, "expected a whole number of at least 1; found 0"),
    ],
)
def test_wrong_values_are_named_as_the_file_has_them(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_params({**PARAMS, key: value}, "experiments/params.json")
    assert str(caught.value) == f"experiments/params.json: {key}: {message}"


def test_unknown_names_are_told_with_the_known() -> None:
    with pytest.raises(ConfigError) as caught:
        read_params({**PARAMS, "keep_probe": 0.5, "colour": 1, "num_epochs": 0}, "p")
    first, second, third = sorted(str(caught.value).splitlines())
    assert first == "p: num_epochs: expected a whole number of at least 1; found 0"
    assert second.startswith("p: unknown setting 'colour'; known are learning_rate, batch_size")
    assert second.endswith("num_channels, buffer_size")
    assert third == "p: unknown setting 'keep_probe'; did you mean 'keep_prob'?"


def test_two_numbers_of_classes_are_an_error() -> None:
    with pytest.raises(ConfigError, match="found num_classes 10 and num_labels 5"):
        read_params({**PARAMS, "num_labels": 5}, "p")
