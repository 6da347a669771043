"""What a checkpoint must look like before training goes on from it."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    field_validator,
    model_validator,
)
from torch.optim import Optimizer

from bitcodes.models.weights import not_finite

Count = Annotated[int, Field(ge=0, strict=True)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
FileName = Annotated[str, StringConstraints(pattern=r"^events\.out\.tfevents\.[^/\\]*$")]
Weights = dict[str, torch.Tensor]


class _Line(BaseModel):
    """A line of metrics.jsonl: an epoch."""

    model_config = ConfigDict(extra="allow")

    epoch: Count
    step: Count
    image_size: Annotated[Count, Field(ge=1)]
    loss: FiniteFloat
    val_map: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    val_error: Annotated[FiniteFloat, Field(ge=0)] | None = None
    train_seconds: Seconds


class _Costs(BaseModel):
    step: dict[Count, Seconds]
    reading: dict[Count, Seconds]
    epoch_end: dict[Count, Seconds]


class _Pace(BaseModel):
    """What a training with a deadline is planned with."""

    costs: _Costs
    sizes: Annotated[list[Count], Field(min_length=1)]
    most_epochs: Count
    bend: tuple[Count, Annotated[FiniteFloat, Field(ge=0, le=1)]] | None
    used: Seconds
    size: Count
    steps: Count


class CheckpointValues(BaseModel):
    """The values in a checkpoint; validating raises ValueError with the name of what is wrong."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    model: Weights
    loss: Weights
    average: dict[str, Any] | None
    optimizer: dict[str, Any]
    step: Count
    history: list[_Line]
    loss_sum: FiniteFloat
    seconds: Seconds
    data: str
    events: dict[FileName, Count]
    pace: _Pace | None = None

    @field_validator("pace", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _in_order(self) -> "CheckpointValues":
        lines = self.history
        if [line.epoch for line in lines] != list(range(1, len(lines) + 1)):
            raise ValueError("history: expected the epochs 1, 2 and so on")
        steps = [0, *(line.step for line in lines), self.step]
        if sorted(steps) != steps:
            raise ValueError("history: expected steps that never fall")
        if len({line.val_map is None for line in lines}) > 1 or any(
            (line.val_map is None) != (line.val_error is None) for line in lines
        ):
            raise ValueError("history: expected val_map and val_error for each epoch, or for none")
        return self


def check_finite(name: str, tensors: Mapping[str, object]) -> None:
    """Raise ValueError if a tensor of floats has a value that is not finite."""
    if (key := not_finite(tensors)) is not None:
        raise ValueError(f"{name}: {key} holds values that are not finite")


def check_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError unless an optimizer can go on from this state."""
    own = optimizer.state_dict()
    for group, other in zip(own["param_groups"], state["param_groups"], strict=True):
        for key in ("params", "peak", "weight_decay", "momentum", "betas", "eps"):
            if key in group and group[key] != other[key]:
                raise ValueError(f"optimizer: {key}: expected {group[key]}, found {other[key]}")
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    for number, values in state["state"].items():
        if type(number) is not int or not 0 <= number < len(parameters):
            raise ValueError(f"optimizer: parameter {number!r} of {len(parameters)}")
        shape = parameters[number].shape
        for key, value in values.items():
            tensor = torch.as_tensor(value)
            if tensor.dim() and tensor.shape != shape:
                raise ValueError(
                    f"optimizer: {key} of parameter {number}: expected {tuple(shape)}, "
                    f"found {tuple(tensor.shape)}"
                )
        check_finite(f"optimizer: parameter {number}", values)
