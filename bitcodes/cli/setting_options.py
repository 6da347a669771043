"""The options of `bitcodes finetune` that come from the declarations of its settings."""

import inspect
from collections.abc import Callable
from enum import Enum, StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from bitcodes.settings import Panel, Settings


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every setting, as Typer reads it.

    The first parameter of the command, `options`, gets those that are set, by name. Panels stand in
    the order of `Panel`, and settings within one in the order of their declarations.
    """
    own = dict(inspect.signature(command).parameters)
    del own["options"]
    panels: dict[str, list[inspect.Parameter]] = {panel: [] for panel in Panel}
    for name in Settings.model_fields:
        option, panel = _option(name)
        panels[panel].append(option)
    pretrained = own.pop("pretrained")  # after the settings of its panel
    general = [*panels.pop(Panel.GENERAL), *own.values()]
    parameters = [*general, *chain.from_iterable(panels.values()), pretrained]

    def run(**values: Any) -> None:
        settings = {name: values.pop(name) for name in Settings.model_fields}
        command({k: _plain(v) for k, v in settings.items() if v is not None}, **values)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    typed: Any = run
    typed.__signature__ = inspect.Signature(parameters)
    return run


def _option(name: str) -> tuple[inspect.Parameter, Panel]:
    """The option of a setting, and its panel.

    The option's own default is None: a settings file may have the value, or the declaration.
    """
    field = Settings.model_fields[name]
    extra: Any = field.json_schema_extra
    kind = _kind(field.annotation)
    flag = name.replace("_", "-")
    if field.is_required():
        default = "required, here or in --config"
    else:
        value = ("" if field.default else "no-") + flag if kind is bool else field.default
        default = f"default: {value}" + (f", {extra['auto']}" if extra["auto"] else "")
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=f"{field.description} [{default}]",
        metavar=extra["metavar"] or {int: "N", float: "X"}.get(kind),
        show_default=False,
        rich_help_panel=None if extra["panel"] == Panel.GENERAL else extra["panel"],
    )
    typed: Any = Annotated[kind | None, option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=None, annotation=typed), extra["panel"]


def _kind(annotation: Any) -> Any:
    """What Typer makes of a setting's type: the type, an enum of its choices, or text."""
    choices = [part for part in (annotation, *get_args(annotation)) if _is_enum(part)]
    if not choices:
        return annotation if annotation in (bool, int, float, Path) else str
    if choices[0] is annotation:
        return annotation
    return StrEnum(choices[0].__name__, ["auto", *choices[0]])  # beside "auto"


def _is_enum(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, Enum)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, StrEnum) else value
