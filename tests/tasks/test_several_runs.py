"""Which runs `evaluate runs/*` means."""

from pathlib import Path

import pytest

from bitcodes.errors import ConfigError
from bitcodes.runs import CONFIG_FILE, MODEL_FILE, set_latest
from bitcodes.tasks.several_runs import several_runs


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path("runs", name).mkdir(parents=True)
        for file in (CONFIG_FILE, MODEL_FILE):
            Path("runs", name, file).touch()
    Path("runs/begun").mkdir()
    Path("runs/begun", CONFIG_FILE).touch()
    Path("runs/built-in-64").mkdir()
    set_latest(Path("runs/b"))


def chosen(*names: str) -> tuple[list[str], list[str]]:
    told: list[str] = []
    return several_runs(names, told.append), told


def test_each_run_counts_once_and_others_are_left_out_aloud() -> None:
    names = sorted(path.as_posix() for path in Path("runs").iterdir())
    assert "runs/latest" in names
    runs, told = chosen(*names)
    assert runs == ["runs/a", "runs/b"]
    assert told == [
        f"runs/begun left out: it has no {MODEL_FILE}",
        "runs/built-in-64 left out: it is not a run of finetune",
    ]
    assert chosen("runs/latest", "runs/a", "./runs/a", "runs/b") == (["runs/a", "runs/b"], [])
    assert chosen("runs/latest", "runs/a") == (["runs/latest", "runs/a"], [])


def test_names_that_are_no_folders_stay_for_the_error_that_names_them() -> None:
    assert chosen() == ([], [])
    assert chosen("runs/begun") == (["runs/begun"], [])
    assert chosen("runs/a", "runs/none") == (["runs/a", "runs/none"], [])
    assert chosen("built-in", "built-in-128", "built-in-64")[0] == ["built-in", "built-in-64"]


def test_no_run_at_all_is_an_error() -> None:
    with pytest.raises(ConfigError, match="none of these folders holds a run"):
        several_runs(["runs/begun", "runs/built-in-64"], lambda line: None)
