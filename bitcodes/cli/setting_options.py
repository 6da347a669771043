"""The options of `bitcodes finetune` that come from the declarations of its settings."""

import inspect
from collections.abc import Callable
from copy import copy
from enum import EnumType, StrEnum
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.models import OptionInfo

from bitcodes.extensions import installed
from bitcodes.losses import LossName
from bitcodes.settings import Panel, Settings
from bitcodes.settings_file import explain

_FIRST = (
    *("folder", "data", "minutes", "bits", "loss", "backbone", "epochs"),
    *("image_size", "freeze", "run", "fresh"),
)
"""The options that most people need, in the order of the help."""

_PANELS = {
    "config": "Settings from files",
    "recipe": "Settings from files",
    "pretrained": Panel.MODEL,
    "workers": Panel.MACHINE,
    "as_json": "Output",
    "log_format": "Output",
}
"""The panels of options that are no settings, if not the first."""


def _complete_loss(incomplete: str) -> list[str]:
    names = [*LossName, *installed("loss")]
    return [str(name) for name in names if name.startswith(incomplete)]


def _complete_backbone(incomplete: str) -> list[str]:
    from bitcodes.models.backbones import names_beginning  # which loads torch

    return names_beginning(incomplete)


_COMPLETIONS = {"loss": _complete_loss, "backbone": _complete_backbone}
"""What completes the settings that are names, of which not all are known."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every setting, as Typer reads it.

    The first parameter of the command, `options`, gets those that are set, by name. Panels stand in
    the order of `Panel`, the first in the order of `_FIRST`, and settings within another in the
    order of their declarations.
    """
    own = dict(inspect.signature(command).parameters)
    del own["options"]
    panels: dict[str, list[inspect.Parameter]] = {
        panel: [] for panel in [*Panel, *_PANELS.values()]
    }
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        panels[extra["panel"]].append(_option(name, field, **extra))
    for name, parameter in own.items():
        panel = _PANELS.get(name, Panel.GENERAL)
        panels[panel].append(_in_panel(parameter, panel))
    panels[Panel.GENERAL].sort(key=lambda parameter: _FIRST.index(parameter.name))
    parameters = [*chain.from_iterable(panels.values())]

    @wraps(command)
    def run(**values: Any) -> None:
        settings = {name: values.pop(name) for name in Settings.model_fields}
        plain = {k: str(v) if isinstance(v, StrEnum) else v for k, v in settings.items()}
        command({k: v for k, v in plain.items() if v is not None}, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _option(
    name: str, field: FieldInfo, panel: Panel, choice: str, metavar: str | None
) -> inspect.Parameter:
    """The option of a setting.

    Its own default is None: a settings file may have the value, or the declaration.
    """
    kind = _kind(field.annotation)
    flag = name.replace("_", "-")
    if field.is_required():
        default = "Required, here or in --config."
    else:
        value = ("on" if field.default else "off") if kind is bool else field.default
        default = f"Default: {value}{f' ({choice})' if choice else ''}."
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=f"{field.description} {default}",
        metavar=metavar or _metavar(field.annotation),
        show_default=False,
        rich_help_panel=None if panel == Panel.GENERAL else panel,
        callback=_checked(name),
        autocompletion=_COMPLETIONS.get(name),
    )
    typed: Any = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=typed)


def _checked(name: str) -> Callable[[Any], Any]:
    """What gives a value of the setting back, or raises BadParameter (exit 2) if it is none."""

    def check(value: Any) -> Any:
        if value is not None:
            plain = str(value) if isinstance(value, StrEnum) else value
            try:
                Settings.model_validate({"data": ".", name: plain})
            except ValidationError as error:
                (line,) = explain(error, "", {name: Settings.model_fields[name]})
                raise typer.BadParameter(line.partition(": ")[2]) from None
        return value

    return check


def _in_panel(parameter: inspect.Parameter, panel: str) -> inspect.Parameter:
    """The parameter of an option, which the help shows in that panel."""
    if panel == Panel.GENERAL:
        return parameter
    if isinstance(parameter.default, OptionInfo):
        info = copy(parameter.default)
        info.rich_help_panel = panel
        return parameter.replace(default=info)
    kind, info = get_args(parameter.annotation)
    info = copy(info)
    info.rich_help_panel = panel
    return parameter.replace(annotation=Annotated[kind, info])


def _kind(annotation: Any) -> Any:
    """What Typer makes of a setting's type: the type, an enum of its choices, or text.

    Numbers are text there, which the declaration of the setting reads.
    """
    if annotation in (bool, Path) or isinstance(annotation, EnumType):
        return annotation
    parts = get_args(annotation)
    if any(get_args(part)[:1] == (str,) for part in parts):  # names that are not known
        return str
    enums = [part for part in parts if isinstance(part, EnumType)]
    return StrEnum(enums[0].__name__, ["auto", *enums[0]]) if enums else str  # beside "auto"


def _metavar(annotation: Any) -> str | None:
    """What stands for a number in the help, also where it may be "auto"."""
    parts = [getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation))]
    return "N" if int in parts else "X" if float in parts else None
