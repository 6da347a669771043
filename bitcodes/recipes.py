"""Where the settings of a run come from: a recipe, a file, the options of the command line."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bitcodes.extensions import GROUPS, is_place, is_trusted, refusal, trust
from bitcodes.predecessor import params
from bitcodes.settings import Settings
from bitcodes.settings_file import read_settings_file


class Recipe(StrEnum):
    """Named settings to start from."""

    PREDECESSOR = "predecessor"


RECIPES: dict[Recipe, dict[str, Any]] = {Recipe.PREDECESSOR: params.RECIPE}


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run; from a `params.json` also the number of workers, and a note on it."""

    settings: Settings
    workers: int | None = None
    note: str | None = None


def gather_settings(
    recipe: Recipe | None, file: Path | None, options: dict[str, Any]
) -> RunSettings:
    """The settings of a recipe, overridden by those in a file, overridden by `options`.

    The file may be a `params.json` of Learning-bit-codes-for-images: then its recipe is the
    default. Raises ConfigError, which names every wrong or unknown setting.
    """
    values = {} if file is None else read_settings_file(file)
    for kind in GROUPS:
        trust(str(options.get(kind, "")))
        name = str((values | options).get(kind, ""))
        if is_place(name) and not is_trusted(name, kind):
            raise refusal(kind, name, f"add --{kind} {name}", file)
    where = "" if file is None else f"{file} and options"
    if file is None or not params.is_params(values):
        start = {} if recipe is None else RECIPES[recipe]
        return RunSettings(Settings.build(start | values | options, where))
    recipe = recipe or Recipe.PREDECESSOR
    theirs = params.read_params(values, str(file))
    settings = Settings.build(RECIPES[recipe] | theirs.settings | options, where)
    note = f"{file}: settings of Learning-bit-codes-for-images, over --recipe {recipe}"
    if theirs.ignored:
        note += f"; without meaning here: {', '.join(theirs.ignored)}"
    if theirs.classes is not None:
        params.check_classes(theirs.classes, settings.data, str(file))
    return RunSettings(settings, theirs.workers, note)
