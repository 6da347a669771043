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
from bitcodes.wording import counted

Count = Annotated[int, Field(ge=0, strict=True)]
_Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
FileName = Annotated[str, StringConstraints(pattern=r"^events\.out\.tfevents\.[^/\\]*$")]
Weights = dict[str, torch.Tensor]


class _Line(BaseModel):
    """A line of metrics.jsonl: an epoch."""

    model_config = ConfigDict(extra="allow", strict=True)

    epoch: Count
    step: Count
    image_size: Annotated[Count, Field(ge=1)]
    loss: FiniteFloat
    val_map: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    val_error: Annotated[FiniteFloat, Field(ge=0)] | None = None
    train_seconds: Seconds


class _Costs(BaseModel):
    model_config = ConfigDict(strict=True)

    step: dict[Count, Seconds]
    reading: dict[Count, Seconds]
    epoch_end: dict[Count, Seconds]
    fitting: dict[Count, Seconds] = {}  # earlier versions did not count it


class _Pace(BaseModel):
    """What a training with a deadline is planned with."""

    model_config = ConfigDict(strict=True)

    costs: _Costs
    sizes: Annotated[list[Count], Field(min_length=1)]
    most_epochs: Count
    bend: Annotated[tuple[Count, _Share], Field(strict=False)] | None  # a list in the file
    used: Seconds
    size: Count
    steps: Count


class CheckpointValues(BaseModel):
    """The values in a checkpoint; validating raises ValueError with the name of what is wrong."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow", strict=True)

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


def check_weights(name: str, own: Mapping[str, torch.Tensor], found: Mapping[str, object]) -> None:
    """Raise ValueError unless `found` are weights like `own`: names, dtypes, shapes, and finite."""
    for key in sorted(own.keys() | found.keys()):
        kinds = _kind(own.get(key)), _kind(found.get(key))
        if kinds[0] != kinds[1]:
            raise ValueError(f"{name}: {key}: expected {kinds[0]}, found {kinds[1]}")
    if (wrong := not_finite(found)) is not None:
        raise ValueError(f"{name}: {wrong} holds values that are not finite")


def _kind(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return "nothing" if value is None else type(value).__name__
    is_plain = value.layout is torch.strided and value.device.type != "meta"
    return f"{value.dtype} {tuple(value.shape)}{'' if is_plain else ', not stored as such'}"


_STATE: Mapping[type[Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
}
"""The tensors that an optimizer keeps of each parameter, which have its shape."""


def check_optimizer(optimizer: Optimizer, state: Mapping[str, Any], step: int) -> None:
    """Raise ValueError, TypeError or KeyError unless an optimizer can go on from this state.

    `step` is how many steps it has made.
    """
    own = optimizer.state_dict()
    others = state["param_groups"]
    if not isinstance(others, list) or len(others) != len(own["param_groups"]):
        groups = counted(len(own["param_groups"]), "group")
        raise ValueError(f"optimizer: param_groups: expected a list of {groups}")
    for group, other in zip(own["param_groups"], others, strict=True):
        for key in ("params", "peak", "weight_decay", "momentum", "betas", "eps"):
            if key in group and group[key] != other[key]:
                raise ValueError(f"optimizer: {key}: expected {group[key]}, found {other[key]}")
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    keys = _STATE[type(optimizer)]
    keeps = step > 0 and own["param_groups"][0].get("momentum") != 0
    numbers = set(range(len(parameters))) if keeps else set()
    if state["state"].keys() != numbers:
        raise ValueError(f"optimizer: expected the state of {counted(len(numbers), 'parameter')}")
    for number, values in state["state"].items():
        name = f"optimizer: parameter {number}"
        parameter = parameters[number].detach()
        tensors = dict(values)
        steps = float(tensors.pop("step")) if isinstance(optimizer, torch.optim.AdamW) else step
        if not 0 < steps <= step:
            raise ValueError(f"{name}: expected 1 to {step} steps, found {steps}")
        check_weights(name, dict.fromkeys(keys, parameter), tensors)
