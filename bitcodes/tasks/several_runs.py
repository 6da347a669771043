"""Which runs are meant where several are named, as by `runs/*`."""

from collections.abc import Sequence
from pathlib import Path

from bitcodes.builtin import built_in_bits
from bitcodes.callbacks import Note
from bitcodes.errors import ConfigError
from bitcodes.runs import CONFIG_FILE, MODEL_FILE, follow


def several_runs(names: Sequence[str], log: Note) -> list[str]:
    """Each run once, in the place of its own name: runs/latest is one of the others.

    Folders without a model of finetune are left out if others are named, and `log` is told: code
    sets of the built-in model lie in runs/ too. Raises ConfigError if no run is left.
    """
    if len(names) < 2:
        return list(names)
    runs: dict[object, str] = {}
    for name in sorted(names, key=_is_alias):
        runs.setdefault(_place(name), name)
    reasons = {name: _lack(name) for name in sorted(runs.values(), key=names.index)}
    for name, reason in reasons.items():
        if reason is not None:
            log(f"{name} left out: {reason}")
    if not (kept := [name for name, reason in reasons.items() if reason is None]):
        raise ConfigError("none of these folders holds a run; train one with `bitcodes finetune`")
    return kept


def _place(name: str) -> object:
    return built_in_bits(name) or follow(Path(name)).resolve()


def _is_alias(name: str) -> bool:
    """Whether it is another name of a run, as runs/latest is."""
    return isinstance(place := _place(name), Path) and place.name != Path(name).name


def _lack(name: str) -> str | None:
    """What a folder lacks to be a run that can be evaluated; None if it lacks nothing."""
    folder = follow(Path(name))
    if built_in_bits(name) is not None or not folder.is_dir():
        return None
    missing = [file for file in (CONFIG_FILE, MODEL_FILE) if not (folder / file).is_file()]
    if not missing:
        return None
    return f"it has no {missing[0]}" if missing == [MODEL_FILE] else "it is not a run of finetune"
