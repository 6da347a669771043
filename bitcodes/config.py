"""The settings of a run, and where runs live."""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bitcodes.errors import ConfigError
from bitcodes.files import atomic_write

RUNS = Path("runs")
FEATURES = RUNS / ".features"  # of frozen backbones: a cache that may be deleted at any time
LATEST = "latest"
CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.jsonl"

LossName = Literal["ce", "csq", "ortho", "greedy", "dpn", "hashnet", "dch", "itq", "itq-nn", "lsh"]


class Settings(BaseModel):
    """Everything that decides what a run learns; saved with it as config.yaml.

    A value of "auto" is replaced by what was chosen before training starts (`training.resolve`),
    so that a saved file says what was done and repeats it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path = Field(
        description="Folder of a prepared dataset: train.txt and the other lists. For a loss "
        "without labels any folder of images."
    )
    backbone: str = Field("tf_efficientnet_lite0", description="Pretrained network to start from.")
    loss: LossName = Field(
        "csq",
        description="csq, dpn, ortho: a center for each class; ce, greedy: classify through the "
        "code; hashnet, dch: pairs of images; itq, itq-nn, lsh: no labels, no training.",
    )
    bits: Annotated[int, Field(ge=1, le=1024)] = Field(48, description="Length of a code, K.")
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1024)] = Field(
        "auto", description="Pixels on a side that the network sees. auto: by the images' own size."
    )
    epochs: Annotated[int, Field(ge=1)] = Field(9, description="Passes over the training images.")
    batch_size: Annotated[int, Field(ge=2)] = Field(64, description="Images in a training step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        0.05, description="Peak learning rate of the backbone (SGD, warm-up, then cosine to zero)."
    )
    head_learning_rate: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto",
        description="Peak learning rate of the hash layer and the classifier. auto: by the loss.",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(5e-4, description="L2 penalty of SGD.")
    augment: bool = Field(True, description="Random shift and flip of training images.")
    freeze: bool = Field(
        False, description="Train only the hash layer and classifier, on features computed once."
    )
    val: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05,
        description="Share of the training list held out (at most 2,000 images) to choose the best "
        "weights; 0: train on everything, keep the last.",
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of everything random.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    amp: Literal["auto", "off", "bfloat16"] = Field(
        "auto", description="Mixed precision. auto: bfloat16 on CUDA cards that have it, else off."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, bool) or cls.model_fields[str(info.field_name)].annotation is bool:
            return value
        if info.field_name == "amp" and not value:
            return "off"  # what YAML makes false of, unless it is quoted
        raise ValueError("input should not be true or false")

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links

    @classmethod
    def build(cls, values: dict[str, Any], where: str = "settings") -> Self:
        """Validate `values`; raises ConfigError naming every wrong or unknown key."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error, where)) from None

    def differences(self, other: "Settings") -> dict[str, tuple[Any, Any]]:
        """The settings that differ, as name -> (own value, other's value)."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

    def save(self, path: Path) -> None:
        """Write the settings as YAML, whole or not at all."""
        with atomic_write(path, "w") as file:
            yaml.safe_dump(self.to_dict(), file, sort_keys=False, allow_unicode=True)


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read a .yaml, .yml or .json file of settings into a dict; raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such settings file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from None
    try:
        values = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
        raise ConfigError(f"{path}: is not valid {kind}: {' '.join(str(error).split())}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected settings as `name: value` pairs, found {type(values).__name__}"
        )
    return {str(key): value for key, value in values.items()}


def _explain(error: ValidationError, where: str) -> str:
    lines: dict[str, str] = {}
    for problem in error.errors():
        key = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            line = f"{where}: unknown setting '{key}'; known are {known}"
        elif problem["type"] == "missing":
            line = f"{where}: '{key}' is missing"
            if key == "data":
                line += "; give the folder of a prepared dataset, such as --data data/cifar10"
        else:
            reason = problem["msg"].removeprefix("Value error, ").lower()
            line = f"{where}: '{key}' is {problem['input']!r}: {reason}"
            if key in lines:  # a union of types reports once for each of them
                line = f"{lines[key]}, or {reason}"
        lines[key] = line
    return "\n".join(lines.values())


def run_name(settings: Settings) -> str:
    """The default name of a run: made from the settings, so that the same command finds it."""
    backbone = settings.backbone.replace("/", "-")
    frozen = "-frozen" if settings.freeze else ""
    return f"{settings.data.name}-{backbone}-{settings.loss}-{settings.bits}{frozen}"


def set_latest(run: Path) -> None:
    """Make runs/latest point to the run, wherever that is."""
    link = RUNS / LATEST
    if link.exists() and not link.is_symlink():
        return  # somebody's own folder of that name is not ours to replace
    RUNS.mkdir(parents=True, exist_ok=True)
    inside = run.resolve().parent == RUNS.resolve()
    fresh = RUNS / f".{LATEST}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(run.name if inside else run.resolve(), target_is_directory=True)
    fresh.replace(link)


def resolve_run(run: Path | None) -> Path:
    """The run folder meant by `--run`: as given, or the newest one; raises ConfigError."""
    if run is not None:
        if not run.is_dir():
            raise ConfigError(f"{run}: no such run; expected a folder that finetune wrote")
        return run
    latest = RUNS / LATEST
    if not latest.is_dir():
        raise ConfigError(
            f"there is no {latest}: no run has been made from this folder; "
            "train one with `bitcodes finetune --data ...`, or name one with --run"
        )
    return latest.resolve()


def load_settings(run: Path) -> Settings:
    """The settings saved with a run; raises ConfigError."""
    path = run / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(f"{path}: missing; expected a run folder that finetune wrote")
    return Settings.build(read_settings_file(path), str(path))


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from any values, the same on every machine and version."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
