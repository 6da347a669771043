"""The settings of a run: what each means, its default, and how they are read from files."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from bitcodes.errors import ConfigError
from bitcodes.files import atomic_write

_Size = Annotated[int, Field(ge=32, le=1024)]
_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]

LabelFree = Literal["itq", "itq-nn", "lsh"]  # fitted to features, without training
LossName = Literal["ce", "csq", "ortho", "greedy", "dpn", "hashnet", "dch", LabelFree]


def _setting(default: Any, meaning: str, auto: str = "", metavar: str | None = None) -> Any:
    """A setting: its default, what it means, what the default comes to, what stands for a value."""
    extra: JsonDict = {"auto": auto, "metavar": metavar}
    return Field(default, description=meaning, json_schema_extra=extra)


class Settings(BaseModel):
    """Everything that decides what a run learns; saved with it as config.yaml.

    A value of "auto" is replaced by what was chosen before training starts (`training.resolve`),
    so that a saved file says what was done and repeats it. Each is an option of `bitcodes finetune`
    too, by the same name: what is written here is its help.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path = Field(
        description="Folder of a prepared dataset (see `bitcodes prepare`); for a loss without "
        "labels any folder of images."
    )
    backbone: str = _setting(
        "auto",
        "Pretrained network to start from: alexnet, or any of these libraries' as "
        "torchvision/resnet50 or timm/vit_small_patch16_224.",
        "tf_efficientnet_lite0_stages, EfficientNet-Lite0 with the features of all its stages; "
        "tf_efficientnet_lite0_trunk, with those of the last one, without labels",
        metavar="NAME",
    )
    weights: Literal["pretrained", "random"] | Path = _setting(
        "pretrained",
        "Weights for the backbone from a file: .safetensors, .pth, for bvlc_alexnet .npy; a model "
        "of bitcodes will do.",
        "those published for it, downloaded if they do not come with a package",
        metavar="FILE",
    )
    hidden: Literal["auto"] | Annotated[int, Field(ge=0, le=65536)] = _setting(
        "auto",
        "Width of a layer between backbone and hash layer, trained from random weights; 0: none.",
        "1024 for tf_efficientnet_lite0_stages and with --freeze, else 0",
        metavar="N",
    )
    loss: LossName = _setting(
        "csq",
        "What training minimises. csq, dpn, ortho: pull codes to a center for each class; ce, "
        "greedy: classify through it; hashnet, dch: bring pairs of a class together. Without "
        "labels and in seconds, for any folder of images: itq, itq-nn, lsh.",
        metavar="NAME",
    )
    bits: Annotated[int, Field(ge=1, le=1024)] = _setting(48, "Length of a code.")
    image_size: Literal["auto"] | _Size | Annotated[list[_Size], Field(min_length=2)] = _setting(
        "auto",
        "Pixels on a side that the network sees; several, such as 64,128, each for an equal share "
        "of the epochs.",
        "by the images' own size: 128 for small ones, up to what the backbone was trained with; "
        "half of it for the first epochs",
        metavar="N,...",
    )
    epochs: Literal["auto"] | Annotated[int, Field(ge=1)] = _setting(
        "auto",
        "Passes over the training images. A finished run trains on when given more.",
        "10 for 50,000 images, 32 for 5,000; 30 with --freeze",
        metavar="N",
    )
    max_steps: Annotated[int, Field(ge=0)] = _setting(
        0, "Steps to stop after, if the epochs have more; 0: no such limit."
    )
    batch_size: Annotated[int, Field(ge=2)] = _setting(32, "Images in a training step.")
    optimizer: Literal["auto", "sgd", "adamw"] = _setting(
        "auto",
        "How gradients change the weights.",
        "adamw for networks with layer norms, else sgd",
        metavar="sgd|adamw",
    )
    learning_rate: Literal["auto"] | _Positive = _setting(
        "auto",
        "Peak learning rate of the backbone and of a hidden layer: warm-up, then cosine to zero.",
        "in a batch of 64: 0.05, without batch norms 0.01; with layer norms 0.0001",
        metavar="X",
    )
    head_learning_rate: Literal["auto"] | _Positive = _setting(
        "auto",
        "Peak learning rate of hash layer and classifier.",
        "0.02 to 0.5 by the loss, without batch norms a fifth of it; with layer norms 0.001",
        metavar="X",
    )
    weight_decay: Literal["auto"] | Annotated[float, Field(ge=0)] = _setting(
        "auto",
        "Penalty on the weights.",
        "0.0005, with layer norms 0.05",
        metavar="X",
    )
    warm_up: _Share = _setting(
        0.1, "Share of the steps in which the learning rates rise to their peaks."
    )
    schedule: Literal["cosine", "constant"] = _setting(
        "cosine",
        "Learning rates after warm-up: along a cosine to zero, or constant.",
        metavar="cosine|constant",
    )
    momentum: _Share = _setting(0.9, "Nesterov momentum; 0: plain SGD.")
    dropout: _Share = _setting(
        0.0,
        "Share of the features that a step leaves out before the hash layer, and in the backbone's "
        "own dropout layers; 0: as the backbone has it.",
    )
    label_smoothing: _Share = _setting(
        0.0, "Probability spread over all classes, in ce, greedy and ortho."
    )
    dither: _Share = _setting(
        0.9,
        "Share of the outputs' range over which the bits' thresholds are spread, in csq and dpn: "
        "codes then tell how sure the network is. 0: all at zero, as in the papers.",
    )
    ema: _Share = _setting(
        0.0,
        "Decay, a step, of averaged weights, which are validated and saved in place of the last "
        "step's; such as 0.99. 0: off.",
    )
    freeze_norms: bool = _setting(
        False, "Keep the statistics of batch norms as they were pretrained."
    )
    augment: bool = _setting(True, "Change training images at random, as the next four say.")
    flip: bool = _setting(True, "Mirror half of them.")
    shift: Annotated[float, Field(ge=0, le=0.5)] = _setting(
        0.125, "Shift them by up to this share of their side."
    )
    zoom: Literal["auto"] | _Share = _setting(
        "auto",
        "Enlarge them, so that up to this share of their side is cut off.",
        "0.2 for fewer than 20,000 images, else 0.0",
        metavar="X",
    )
    rand_augment: Literal["auto"] | Annotated[float, Field(ge=0, le=10)] = _setting(
        "auto",
        "Two random changes to each (RandAugment), of this strength, to 10; 0: none.",
        "4 for fewer than 20,000 images, else 0.0",
        metavar="X",
    )
    freeze: bool = _setting(
        False,
        "Train only what follows the backbone, on features computed once and kept in "
        "runs/.features: seconds an epoch.",
    )
    freeze_stages: Literal["auto"] | Annotated[int, Field(ge=0)] = _setting(
        "auto",
        "Keep the first N stages of the backbone as they are, its stem with them, and train the "
        "others: faster steps.",
        "three of seven: 1 of ResNets' 4; 0 where there are none",
        metavar="N",
    )
    retrain: Annotated[str, Field(pattern=r"^(none|[\w.]+(,[\w.]+)*)$")] = _setting(
        "none",
        "Layers of the backbone to train from random weights while its others stay frozen, such as "
        "fc6,fc7.",
        "all learn, from the weights that they have",
        metavar="LAYERS",
    )
    val: Annotated[float, Field(ge=0, lt=1)] = _setting(
        0.05,
        "Share of the training list held out (at most 2,000 images), to keep an earlier epoch's "
        "weights where they are clearly better; 0: train on everything and keep the last.",
    )
    seed: Annotated[int, Field(ge=0)] = _setting(0, "Seed of everything random.")
    summary_steps: Annotated[int, Field(ge=1)] = _setting(
        20, "Steps between two points of TensorBoard's curves."
    )
    device: str = _setting(
        "auto", "Where to train: cpu, cuda, cuda:N or mps.", "the best there is", metavar="NAME"
    )
    amp: Literal["auto", "off", "bfloat16"] = _setting(
        "auto",
        "Mixed precision.",
        "bfloat16 where a trial at the start finds it faster",
        metavar="off|bfloat16",
    )
    compile: bool = _setting(
        False,
        "Compile the training step: minutes at the start, then faster steps on a CUDA card.",
    )

    @field_validator("image_size", mode="before")
    @classmethod
    def _sizes(cls, value: object) -> object:
        """Sizes as the command line has them, "64,128"."""
        return value.split(",") if isinstance(value, str) and "," in value else value

    @field_validator("image_size")
    @classmethod
    def _growing(cls, value: str | int | list[int]) -> str | int | list[int]:
        if isinstance(value, list) and value != sorted(value):
            raise ValueError("input should be sizes that grow, such as 64,128")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (
            isinstance(self.image_size, list)
            and self.epochs != "auto"
            and len(self.image_size) > self.epochs
        ):
            raise ValueError(
                f"'image_size' has {len(self.image_size)} sizes for {self.epochs} epochs: "
                "input should be at most one an epoch"
            )
        if isinstance(self.image_size, list) and self.freeze:
            raise ValueError("'image_size' should be one size with freeze: there is one pass")
        learning = {
            "freeze": "'freeze' trains no layer of the backbone",
            "freeze_stages": f"'freeze_stages' all but the first {self.freeze_stages} stages",
            "retrain": f"'retrain' trains {self.retrain}",
        }
        unset = (0, "none", "auto")
        said = [text for name, text in learning.items() if getattr(self, name) not in unset]
        if len(said) > 1:
            raise ValueError(f"{', '.join(said)}: choose one")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, bool) or cls.model_fields[str(info.field_name)].annotation is bool:
            return value
        if info.field_name == "amp" and not value:
            return "off"  # what YAML makes false of, unless it is quoted
        raise ValueError("input should not be true or false")

    @field_validator("data", "weights")
    @classmethod
    def _absolute(cls, value: Path | str) -> Path | str:
        if isinstance(value, str):
            return value
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links

    @classmethod
    def build(cls, values: dict[str, Any], where: str = "settings") -> Self:
        """Validate `values`; raises ConfigError naming every wrong or unknown key."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(explain(error, where, cls.model_fields)) from None

    @property
    def label_free(self) -> bool:
        """Whether the loss is one that fits codes without labels and without training."""
        return self.loss in get_args(LabelFree)

    def size_in(self, epoch: int) -> int:
        """The image size in an epoch, from 0; -1 is the last one: the size of the model."""
        sizes = self.image_size if isinstance(self.image_size, list) else [self.image_size]
        if epoch < 0:
            return int(sizes[-1])
        share = int(self.epochs) // len(sizes)  # what is left over goes to the last size
        return int(sizes[min(epoch // share, len(sizes) - 1)])

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


def explain(error: ValidationError, where: str, known: Iterable[str]) -> str:
    """A line for each wrong setting, beginning with `where`; `known` are the names there are."""
    lines: dict[str, str] = {}
    for problem in error.errors():
        if not problem["loc"]:  # of the settings together
            lines[""] = f"{where}: {problem['msg'].removeprefix('Value error, ')}"
            continue
        key = str(problem["loc"][0])
        if problem["type"] == "list_type" and key in lines:
            continue  # what else it may be has been said
        if problem["type"] == "extra_forbidden":
            line = f"{where}: unknown setting '{key}'; known are {', '.join(known)}"
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


def backbone_name(settings: Settings) -> str:
    """The backbone: as named, or else by whether its features are learned from or only coded."""
    if settings.backbone != "auto":
        return settings.backbone
    variant = "trunk" if settings.label_free else "stages"
    return f"tf_efficientnet_lite0_{variant}"


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from any values, the same on every machine and version."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
