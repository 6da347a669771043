"""Named sets of settings, and those of the project that this one succeeds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bitcodes.errors import ConfigError
from bitcodes.settings import Settings
from bitcodes.settings_file import explain

# How Learning-bit-codes-for-images trained: to 1,250 epochs or 10,000 steps, whichever ends first.
_SEED = {
    "backbone": "bvlc_alexnet",
    "loss": "ce",
    "bits": 48,
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


class Recipe(StrEnum):
    """The values of --recipe."""

    SEED = "seed"


RECIPES: dict[str, dict[str, Any]] = {Recipe.SEED: _SEED}


def find_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe; raises ConfigError listing the recipes there are."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(RECIPES)
        raise ConfigError(f"--recipe {name}: unknown; expected one of: {known}") from None


class _Params(BaseModel):
    """The `params.json` of Learning-bit-codes-for-images; what is left out keeps its default."""

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

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object) -> object:
        if isinstance(value, bool) or value is None:
            raise ValueError("input should be a number")
        return value


_MEANINGLESS = ("num_channels", "buffer_size")
_OWN = (_Params.model_fields.keys() | set(_MEANINGLESS)) - Settings.model_fields.keys()


@dataclass(frozen=True)
class Params:
    """What a `params.json` says: settings, processes that read images, the number of classes."""

    settings: dict[str, Any]
    workers: int | None
    classes: int | None
    ignored: tuple[str, ...]


def is_params(values: dict[str, Any]) -> bool:
    """Whether settings in a file have names that only the predecessor's `params.json` has."""
    return not _OWN.isdisjoint(values)


def read_params(values: dict[str, Any], where: str) -> Params:
    """Understand a `params.json`; names of this project's settings may stand beside its own.

    Raises ConfigError naming every wrong or unknown value, as the file calls it.
    """
    known = _Params.model_fields.keys() | set(_MEANINGLESS)
    ours = {
        name: value
        for name, value in values.items()
        if name not in known and name in Settings.model_fields
    }
    theirs = {
        name: value
        for name, value in values.items()
        if name not in ours and name not in _MEANINGLESS
    }
    try:
        params = _Params(**theirs)
    except ValidationError as error:
        raise ConfigError(explain(error, where, [*_Params.model_fields, *_MEANINGLESS])) from None
    if None not in (params.num_classes, params.num_labels) and (
        params.num_classes != params.num_labels
    ):
        raise ConfigError(
            f"{where}: 'num_classes' is {params.num_classes} and 'num_labels' {params.num_labels}: "
            "both are the number of classes"
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
    return Params(
        {name: value for name, value in settings.items() if value is not None} | ours,
        params.num_parallel_calls,
        params.num_classes if params.num_classes is not None else params.num_labels,
        tuple(name for name in _MEANINGLESS if name in values),
    )
