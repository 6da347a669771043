"""`bitcodes prepare` as a user runs it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import commands
import pytest

from bitcodes.datasets import demo as shapes
from bitcodes.datasets.dataset import read_dataset

run = partial(commands.run, "prepare")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shapes, "TRAIN_PER_CLASS", 3)
    monkeypatch.setattr(shapes, "TEST_PER_CLASS", 2)
    return tmp_path


def test_demo_in_its_shortest_form(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo") == 0
    shown = capsys.readouterr()
    assert shown.out == (
        "data/demo is ready: 30 images to train on, 20 queries, 30 in the database, 10 classes "
        "(protocol demo)\n"
    )
    assert shown.err == "next: bitcodes finetune --data data/demo\n"
    assert len(read_dataset(here / "data/demo").train) == 30
    assert run("demo") == 0
    assert capsys.readouterr().out.startswith("data/demo is already prepared: 30 images")
    assert run("demo", "--seed", 1) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: data/demo is already prepared with seed 0, not 1; ")


def test_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(20):
        for name in ("cat", "dog"):
            (here / f"pets/{name}").mkdir(parents=True, exist_ok=True)
            (here / f"pets/{name}/{i}.jpg").touch()
    (here / "pets/cat/notes.txt").touch()
    assert run("folder", "pets", "data/pets", "--queries", 0.25, "--train", 10) == 0
    captured = capsys.readouterr()
    assert "20 images to train on, 10 queries, 30 in the database, 2 classes" in captured.out
    assert "note: 1 file in" in captured.err
    (here / "pets/dog/new.jpg").touch()
    assert run("folder", "pets", "data/pets") == 0
    assert capsys.readouterr().out.startswith("data/pets is updated: ")


def test_lists(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "photos").mkdir()
    (here / "lists").mkdir()
    for key, names in {"train": "ab", "database": "abc", "test": "d"}.items():
        lines = [f"D:\\photos\\{name}.jpg {i} {1 - i}" for i, name in enumerate(names[:2])]
        lines += [f"/somewhere/photos/{name}.jpg 1 1" for name in names[2:]]
        (here / f"lists/{key}.txt").write_text("\r\n".join(lines))
        for name in names:
            (here / f"photos/{name}.jpg").touch()
    assert run("lists", "lists", "data/photos") == 0  # photos/ is in the working folder
    shown = capsys.readouterr()
    assert shown.out == (
        "data/photos is ready: 2 images to train on, 1 query, 3 in the database, 2 classes "
        "(protocol own lists)\n"
    )
    assert shown.err == "next: bitcodes finetune --data data/photos\n"
    assert run("lists", "lists", "data/other", "--root", "lists") == 1
    assert "error: " in (error := capsys.readouterr().err) and "not there: 6 of 6 lines" in error


def test_cifar10_of_something_else(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pets/cat").mkdir(parents=True)
    assert run("cifar10", "--source", "pets") == 1
    error = capsys.readouterr().err
    assert error == (
        "error: pets: expected cifar-10-python.tar.gz or images in train/<class>/ and "
        "test/<class>/, found neither\n"
    )
    assert not (here / "data/cifar10").exists()
    assert run("cifar10", "--protocol", "tiny") == 2


def test_a_data_folder_that_is_not_prepared_names_the_command(here: Path) -> None:
    """The command that the error names does what it says."""
    for i in range(10):
        for name in ("cat", "dog"):
            (here / f"pets/{name}").mkdir(parents=True, exist_ok=True)
            (here / f"pets/{name}/{i}.jpg").touch()
    with pytest.raises(Exception, match="bitcodes prepare") as caught:
        read_dataset(Path("pets"))
    command = str(caught.value).split("`")[1].split()
    assert command[:2] == ["bitcodes", "prepare"]
    assert run(*command[2:]) == 0
    assert len(read_dataset(Path(command[-1])).train) == 18


def test_help_needs_neither_torch_nor_numba() -> None:
    code = (
        "import sys\n"
        "from bitcodes.cli.app import main\n"
        "try: main(['prepare', 'cifar10', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numba', 'PIL', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--protocol" in done.stdout
