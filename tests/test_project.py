"""What the project promises about itself: light imports, full help, current documents, layers."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import bitcodes
from bitcodes.cli.app import app
from bitcodes.settings import Settings

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "timm", "numba", "PIL", "tensorboard", "safetensors"}


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs/generate_cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


generate_cli = _load_generator()
COMMANDS = {command.name: command for command in generate_cli.commands()}


def packages_loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after running `code`."""
    script = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def print_help_of(*commands: list[str]) -> str:
    """Code that prints the help of commands, and goes on."""
    lines = ["from bitcodes.cli.app import main"]
    for words in commands:
        lines += [
            f"try: main({[*words, '--help']!r})",
            "except SystemExit as done: assert not done.code, done.code",
        ]
    return "\n".join(lines)


def test_importing_the_package_costs_next_to_nothing() -> None:
    loaded = packages_loaded_by("import bitcodes; dir(bitcodes)")
    assert loaded & (HEAVY | {"numpy", "pydantic", "rich", "typer", "yaml"}) == set()


def test_help_loads_neither_torch_nor_numba() -> None:
    assert all(importlib.util.find_spec(name) for name in HEAVY)  # no name here is mistyped
    assert packages_loaded_by(print_help_of([])) & HEAVY == set()


def test_the_help_of_commands_loads_neither_torch_nor_numba() -> None:
    commands = [name.split()[1:] for name in COMMANDS]
    assert packages_loaded_by(print_help_of(*commands)) & HEAVY == set()


def test_stored_codes_are_searched_without_torch() -> None:
    loaded = packages_loaded_by("from bitcodes import CodeSet, HammingIndex")
    assert loaded & {"torch", "torchvision", "timm", "safetensors"} == set()


def test_public_names_are_there_and_documented() -> None:
    for name in bitcodes.__all__:
        value = getattr(bitcodes, name)
        assert name == "__version__" or value.__doc__, name
    assert dir(bitcodes) == sorted(bitcodes.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        bitcodes.serach  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "bitcodes/py.typed").is_file()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == bitcodes.__version__
    assert f"## {bitcodes.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"bitcodes {bitcodes.__version__}\n")


def test_every_command_of_the_design_is_there() -> None:
    groups = {command.split()[1] for command in COMMANDS}
    assert groups >= {"prepare", "finetune", "encode", "search", "evaluate"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_and_each_option(name: str) -> None:
    command = COMMANDS[name]
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert command.help
    assert "[bold]" not in result.output  # docstrings are Markdown
    for parameter in command.parameters:
        assert len(parameter.help) > 10, parameter.name
        for flag in re.findall(r"(?<!\S)--?[a-z][a-z-]*", parameter.name):
            assert flag in result.output


def test_the_help_of_finetune_tells_the_defaults_of_the_settings() -> None:
    told = {
        p.name.split()[0].strip(",-"): p.default for p in COMMANDS["bitcodes finetune"].parameters
    }
    for name, field in Settings.model_fields.items():
        flag = name.replace("_", "-")
        if isinstance(field.default, bool):
            assert told[flag] == f"`{'' if field.default else 'no-'}{flag}`"
        elif not field.is_required():
            assert re.match(rf"`?{re.escape(str(field.default))}\b", told[flag]), told[flag]


def test_the_page_of_commands_is_current() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert page == generate_cli.document(), "docs/cli.md is out of date: run `make docs`"


def _examples() -> list[tuple[str, str]]:
    """Every `bitcodes ...` line in the code blocks of the documents, by file and line number."""
    found = []
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]:
        code = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("```"):
                code = not code
            elif code and line.lstrip("$ ").startswith("bitcodes ") and page.name != "cli.md":
                found.append((f"{page.name}:{number}", line.lstrip("$ ")))
    return found


@pytest.mark.parametrize(("where", "line"), _examples(), ids=lambda value: value.split(" ")[0])
def test_the_documents_use_commands_and_options_that_exist(where: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    name = max((n for n in COMMANDS if words[: len(n.split())] == n.split()), key=len, default="")
    assert name, f"{where}: there is no such command: {line}"
    flags = " ".join(parameter.name for parameter in COMMANDS[name].parameters).replace(",", " ")
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in ("-", "--help"):
            assert option in flags.split(), f"{where}: {name} has no {option}"


def test_modules_import_only_what_their_layer_may() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
