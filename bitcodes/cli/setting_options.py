"""The options of `bitcodes finetune` that come from the declarations of its settings."""

import inspect
from collections.abc import Callable
from enum import EnumType, StrEnum
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from bitcodes.settings import Panel, Settings


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every setting, as Typer reads it.

    The first parameter of the command, `options`, gets those that are set, by name. Panels stand in
    the order of `Panel`, and settings within one in the order of their declarations.
    """
    own = dict(inspect.signature(command).parameters)
    del own["options"]
    panels: dict[str, list[inspect.Parameter]] = {panel: [] for panel in Panel}
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        panels[extra["panel"]].append(_option(name, field, **extra))
    pretrained = own.pop("pretrained")  # after the settings of its panel
    general = [*panels.pop(Panel.GENERAL), *own.values()]
    parameters = [*general, *chain.from_iterable(panels.values()), pretrained]

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
        default = "required, here or in --config"
    else:
        value = ("" if field.default else "no-") + flag if kind is bool else field.default
        default = f"default: {value}" + (f", {choice}" if choice else "")
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=f"{field.description} [{default}]",
        metavar=metavar or _metavar(field.annotation),
        show_default=False,
        rich_help_panel=None if panel == Panel.GENERAL else panel,
    )
    typed: Any = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=typed)


def _kind(annotation: Any) -> Any:
    """What Typer makes of a setting's type: the type, an enum of its choices, or text."""
    if annotation in (bool, int, float, Path) or isinstance(annotation, EnumType):
        return annotation
    enums = [part for part in get_args(annotation) if isinstance(part, EnumType)]
    return StrEnum(enums[0].__name__, ["auto", *enums[0]]) if enums else str  # beside "auto"


def _metavar(annotation: Any) -> str | None:
    """What stands for a number in the help, also where it may be "auto"."""
    parts = [getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation))]
    return "N" if int in parts else "X" if float in parts else None
