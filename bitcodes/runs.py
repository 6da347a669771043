"""Run folders: the names of their files, runs/latest, and a run found by its name."""

import os
from pathlib import Path

from bitcodes.errors import ConfigError
from bitcodes.settings import Settings, backbone_name, read_settings_file

RUNS = Path("runs")
FEATURES = RUNS / ".features"  # of frozen backbones: a cache that may be deleted at any time
LATEST = "latest"
CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
LAST_MODEL_FILE = "last.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.jsonl"


def run_name(settings: Settings) -> str:
    """The default name of a run: made from the settings, so that the same command finds it."""
    backbone = backbone_name(settings).replace("/", "-")
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
