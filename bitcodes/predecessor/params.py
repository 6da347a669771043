"""How Learning-bit-codes-for-images trained: its recipe, and the settings in its `params.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from bitcodes.errors import ConfigError
from bitcodes.settings import Settings
from bitcodes.settings_file import explain

RECIPE: dict[str, Any] = {
    "backbone": "bvlc_alexnet",
    "loss": "ce",
    "bits": 48,
    "instance_bits": 0,
    "retrain": "fc6,fc7",
    "dropout": 0.5,
    "epochs": 1250,
    "max_steps": 10_000,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "head_learning_rate": 0.01,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warm_up": 0.0,
    "amp": "off",
    "augment": False,
    "val": 0.0,
}
"""The recipe "predecessor": to 1,250 epochs or 10,000 steps, whichever ends first."""


class _Params(BaseModel):
    """The values in a file; None: not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=2)] | None = None
    num_epochs: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None
    num_labels: Annotated[int, Field(ge=1)] | None = None
    keep_prob: Annotated[float, Field(gt=0, le=1)] | None = None
    image_size: Annotated[int, Field(ge=1)] | None = None
    num_parallel_calls: Annotated[int, Field(ge=1)] | None = None
    save_summary_steps: Annotated[int, Field(ge=1)] | None = None
    num_channels: Any = None
    buffer_size: Any = None

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name not in _MEANINGLESS and (isinstance(value, bool) or value is None):
            raise ValueError("expected a number")
        return value


_MEANINGLESS = ("num_channels", "buffer_size")
_OWN = _Params.model_fields.keys() - Settings.model_fields.keys()


@dataclass(frozen=True)
class Params:
    """The content of a `params.json`: settings, worker processes, the number of classes."""

    settings: dict[str, Any]
    workers: int | None
    classes: int | None
    ignored: tuple[str, ...]


def is_params(values: dict[str, Any]) -> bool:
    """Whether the settings have names that only the predecessor's `params.json` has."""
    return not _OWN.isdisjoint(values)


def read_params(values: dict[str, Any], where: str) -> Params:
    """Turn a `params.json` into settings; it may also hold settings of this project.

    Raises ConfigError, which names every wrong or unknown value as the file does.
    """
    ours = values.keys() & (Settings.model_fields.keys() - _Params.model_fields.keys())
    try:
        params = _Params(**{name: value for name, value in values.items() if name not in ours})
    except ValidationError as error:
        raise ConfigError(*explain(error, where, _Params.model_fields)) from None
    classes = {params.num_classes, params.num_labels} - {None}
    if len(classes) > 1:
        raise ConfigError(
            f"{where}: expected one number of classes; found num_classes {params.num_classes} and "
            f"num_labels {params.num_labels}"
        )
    settings = {
        "learning_rate": params.learning_rate,
        "head_learning_rate": params.learning_rate,
        "batch_size": params.batch_size,
        "epochs": params.num_epochs,
        "dropout": None if params.keep_prob is None else round(1 - params.keep_prob, 9),
        "image_size": params.image_size,
        "summary_steps": params.save_summary_steps,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    return Params(
        settings | {name: value for name, value in values.items() if name in ours},
        params.num_parallel_calls,
        classes.pop() if classes else None,
        tuple(name for name in _MEANINGLESS if name in values),
    )


def check_classes(classes: int, data: Path, where: str) -> None:
    """Raise ConfigError if the training list has another number of classes than a file says."""
    from bitcodes.datasets.dataset import LIST_NAMES  # heavier than help should load
    from bitcodes.sources.lists import read_list

    path = data / LIST_NAMES["train"]
    labels = read_list(path, check_exists=False).labels if path.is_file() else None
    if labels is not None and labels.shape[1] != classes:
        raise ConfigError(
            f"{where}: num_classes is {classes}, but {path} has labels of {labels.shape[1]} "
            "classes; correct it or leave it out"
        )
