"""Run folders: the names of their files, the newest run, and how to find a run by name."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bitcodes.builtin import BUILT_IN, DEFAULT_BITS, LENGTHS, built_in_bits, built_in_name
from bitcodes.errors import ConfigError
from bitcodes.files import atomic_write, check_kind, open_regular
from bitcodes.wording import as_utf8

if TYPE_CHECKING:  # a search finds its model without them
    from bitcodes.settings import Settings

RUNS = Path("runs")
FEATURES = RUNS / ".features"  # of frozen backbones: a cache that may be deleted at any time
LATEST = "latest"
CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
EXPORT_FILE = "model.onnx"
LAST_MODEL_FILE = "last.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.jsonl"
FITTED_CODES = "fitted.npy"  # the code set of the images that a label-free loss was fitted to
_LONGEST = 4096  # bytes of a path
LISTS = "lists"  # folder of the lists that finetune made of class folders


def run_name(settings: "Settings") -> str:
    """The default name of a run: made from the settings, so that the same command finds it."""
    from bitcodes.settings import backbone_name

    backbone = backbone_name(settings).rpartition(":")[2].replace("/", "-")
    loss = settings.loss.rpartition(":")[2]  # of package.module:Class, the class
    frozen = "-frozen" if settings.freeze else ""
    data = as_utf8(settings.data.name).replace("\\x", "_")
    bits = f"{settings.bits}+{settings.instance_bits}" if settings.instance_bits else settings.bits
    return f"{data}-{backbone}-{loss}-{bits}{frozen}"


def set_latest(run: Path) -> None:
    """Make runs/latest point to the run, wherever that is.

    It is a text file with the folder's name. A link would be a second run to whatever walks
    through runs/, such as TensorBoard. A folder of that name belongs to somebody else and stays.
    """
    latest = RUNS / LATEST
    if latest.is_symlink():  # as an older version made it
        latest.unlink()
    if latest.is_dir():
        return
    RUNS.mkdir(parents=True, exist_ok=True)
    inside = run.resolve().parent == RUNS.resolve()
    with atomic_write(latest) as file:
        file.write(os.fsencode(run.name if inside else str(run.resolve())))


def follow(path: Path) -> Path:
    """The folder that a text file runs/latest names; any other path as it is.

    Raises ConfigError for a file that is too long to be one.
    """
    if path.name != LATEST or not path.is_file():
        return path
    with open_regular(path) as file:
        name = file.read(_LONGEST + 1)
    if len(name) > _LONGEST:
        raise ConfigError(f"{path}: expected the name of a run, found {len(name):,} bytes and more")
    return path.parent / os.fsdecode(name).strip()


def choose_model(source: Path | str | None, bits: int | None = None) -> Path | str:
    """The run or model file that `source` names, or the name of the built-in model.

    None is the newest run. If there is none, it is the built-in model, with codes of `bits` or of
    the default length.
    """
    if source is None and os.path.isdir(follow(RUNS / LATEST)):  # noqa: PTH112 - never raises
        return resolve_run(None)
    if source in (None, BUILT_IN):
        return built_in_name(DEFAULT_BITS if bits is None else bits)
    assert source is not None
    return source


def resolve_run(run: Path | None) -> Path:
    """The run folder that `--run` means; None is the newest one. Raises ConfigError."""
    folder = follow(RUNS / LATEST if run is None else run)
    if os.path.isdir(folder):  # noqa: PTH112 - never raises, whatever the name is
        if built_in_bits(folder.name) is not None and not is_run(folder):
            raise ConfigError(
                f"{folder} is no run: it holds what `evaluate` encoded with the built-in model. To "
                f"name that model, write {folder.name}"
            )
        return folder.resolve() if run is None else folder
    if run is not None:
        is_near = run.name.startswith("built-in")
        hint = f"; the built-in model has codes of {LENGTHS} bits" if is_near else ""
        raise ConfigError(f"{run}: no such run; expected a folder that finetune wrote{hint}")
    raise ConfigError(
        f"there is no {RUNS / LATEST}: no run has been made from this folder; "
        "train one with `bitcodes finetune --data ...`, or name one with --run"
    )


def is_run(folder: Path) -> bool:
    """Whether finetune has written anything into a folder."""
    return any((folder / name).exists() for name in (CONFIG_FILE, MODEL_FILE, EXPORT_FILE))


def data_folder(run: Path, settings: "Settings") -> Path:
    """The folder of the lists that a run was trained on: its own, or the settings' data folder."""
    own = run / LISTS
    return own if own.is_dir() else settings.data


def load_settings(run: Path) -> "Settings":
    """The settings saved with a run; raises ConfigError."""
    from bitcodes.settings import Settings
    from bitcodes.settings_file import read_settings_file

    path = run / CONFIG_FILE
    check_kind(path, ConfigError)
    if not path.is_file():
        raise ConfigError(f"{path}: missing; expected a run folder that finetune wrote")
    return Settings.build(read_settings_file(path), str(path))
