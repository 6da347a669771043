"""A run folder with files of earlier trainings: what to remove, and whether to resume."""

from pathlib import Path

from bitcodes import runs
from bitcodes.errors import ConfigError
from bitcodes.settings import Settings

_FILES = (
    *(runs.CHECKPOINT_FILE, runs.MODEL_FILE, runs.LAST_MODEL_FILE),
    *(runs.METRICS_FILE, runs.CONFIG_FILE),
)


def clear(run: Path) -> None:
    """Remove what training writes into a run, and nothing else."""
    for path in [*(run / name for name in _FILES), *run.glob("events.out.tfevents.*")]:
        path.unlink(missing_ok=True)


def sweep(run: Path) -> None:
    """Remove the half-written files that a killed process left."""
    for name in _FILES:
        for path in run.glob(f".{name}.*.tmp"):
            path.unlink()


def same_settings(settings: Settings, run: Path) -> Settings:
    """The settings of the run in that folder; raises ConfigError if `settings` are others.

    More epochs are allowed: the run is trained on.
    """
    before = runs.load_settings(run)
    values = before.to_dict()
    # What was chosen automatically then is what automatic means now.
    settings = Settings.build(
        {
            key: values[key] if value == "auto" else value
            for key, value in settings.to_dict().items()
        }
    )
    differences = settings.differences(before)
    epochs, epochs_before = differences.get("epochs", (0, 0))
    if epochs > epochs_before:
        differences.pop("epochs")  # training on
    if differences:
        lines = [
            f"  {key}: {old!r} in the run, {new!r} now" for key, (new, old) in differences.items()
        ]
        raise ConfigError(
            f"{run} holds a run made with other settings:\n" + "\n".join(lines) + "\n"
            "repeat its settings, choose another folder with --run, or start over with --fresh"
        )
    return settings
