"""What the project promises about itself: light imports, full help, current documents, layers."""

import ast
import graphlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
import typer
import yaml
from typer.testing import CliRunner

import bitcodes
from bitcodes.cli.app import SUMMARIES, app
from bitcodes.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bitcodes"
TYPER_OF_PAGE = "0.29."  # whose version wrote docs/cli.md: others draw it a little differently


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Full names, such as "bitcodes prepare cifar10", and Typer's objects, in the help's order."""
    context = typer.Context(command)
    for part in command.list_commands(context):
        below = command.get_command(context, part)
        yield f"{name} {part}", below
        if hasattr(below, "list_commands"):
            yield from commands(below, f"{name} {part}")


COMMANDS = dict(commands(typer.main.get_command(app), "bitcodes"))


def flags_of(parameter: Any) -> list[str]:
    """What a user types for an option, such as --flip and --no-flip; nothing for an argument."""
    typed: list[str] = [*parameter.opts, *parameter.secondary_opts]
    return [flag for flag in typed if flag.startswith("-")]


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


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize(
    ("tag", "changelog", "error"),
    [
        ("v1.2.0", "## 1.2.0\n", None),
        ("v1.2", "## 1.2.0\n", "expected v1.2.0"),
        ("v1.2.0", "## 1.2.0 (unreleased)\n", "no heading '## 1.2.0'"),
    ],
)
def test_a_release_is_of_the_version_in_its_tag(
    tmp_path: Path, tag: str, changelog: str, error: str | None
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/check_tag.py", tmp_path / ".ci")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}")
    command = [sys.executable, tmp_path / ".ci/check_tag.py", tag]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode == 0) == (error is None)
    assert (error or "") in done.stderr


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"bitcodes {bitcodes.__version__}\n")


def test_every_command_of_the_design_is_there() -> None:
    groups = {command.split()[1] for command in COMMANDS}
    assert groups >= {"prepare", "finetune", "encode", "search", "evaluate"}


@pytest.mark.parametrize(("name", "summary"), SUMMARIES.items())
def test_the_list_of_commands_has_the_first_paragraph_of_each_help(name: str, summary: str) -> None:
    assert COMMANDS[f"bitcodes {name}"].short_help == summary
    wide = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert re.search(rf"\b{name} +{re.escape(summary)}", wide)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_and_each_option(name: str) -> None:
    command = COMMANDS[name]
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert command.help
    assert "[bold]" not in result.output  # docstrings are Markdown
    for parameter in command.params:
        assert len(parameter.help) > 10, parameter.name
        names = [name.removeprefix("--") for name in parameter.secondary_opts]
        for flag in [f"--[{name[:3]}]{name[3:]}" for name in names] or flags_of(parameter):
            assert flag in result.output


def test_the_help_of_finetune_tells_the_defaults_of_the_settings() -> None:
    help_texts = {
        parameter.name: parameter.help for parameter in COMMANDS["bitcodes finetune"].params
    }
    for name, field in Settings.model_fields.items():
        default = str(field.default)
        if isinstance(field.default, bool):
            default = "on" if field.default else "off"
        if not field.is_required():
            pattern = rf" Default: {re.escape(default)}( \(.*\))?\.$"
            assert re.search(pattern, help_texts[name]), name


def test_the_page_of_commands_is_current(tmp_path: Path) -> None:
    if not typer.__version__.startswith(TYPER_OF_PAGE):
        pytest.skip(f"docs/cli.md is written by Typer {TYPER_OF_PAGE}*, not {typer.__version__}")
    (recipe,) = re.findall(r"-m (typer .*) --output docs/cli.md", (ROOT / "Makefile").read_text())
    page = tmp_path / "cli.md"
    command = [sys.executable, "-m", *shlex.split(recipe), "--output", str(page)]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"PYTHONUTF8": "1"})
    current = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8") == current, "docs/cli.md is old: run `make docs`"
    outside_code = re.sub(r"```.*?```|`[^`]*`", "", current, flags=re.DOTALL)
    assert not re.findall("<[a-z/!][^>]*>", outside_code, re.IGNORECASE), "HTML: it is not shown"


def _examples() -> list[tuple[str, str]]:
    """Every `bitcodes ...` line in the code blocks of the documents, by file and line number."""
    examples = []
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
                examples.append((f"{page.name}:{number}", line.lstrip("$ ")))
    return examples


@pytest.mark.parametrize(("where", "line"), _examples(), ids=lambda value: value.split(" ")[0])
def test_the_documents_use_commands_and_options_that_exist(where: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    name = max((n for n in COMMANDS if words[: len(n.split())] == n.split()), key=len, default="")
    assert name, f"{where}: there is no such command: {line}"
    flags = [flag for parameter in COMMANDS[name].params for flag in flags_of(parameter)]
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in ("-", "--help"):
            assert option in flags, f"{where}: {name} has no {option}"


def test_modules_import_only_what_their_layer_may() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("bitcodes", cache_dir=None)  # imports in functions and for types too
    imports = {
        name: graph.find_modules_directly_imported_by(name) - {name} for name in graph.modules
    }
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


def test_files_and_constructors_are_short() -> None:
    long = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > 450:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines, of at most 450")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                assert node.end_lineno is not None
                if (lines := node.end_lineno - node.lineno + 1) > 50:
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    long.append(f"{where}: __init__ of {lines} lines, of at most 50")
    assert not long, "\n".join(long)
