"""Run folders: runs/latest, and runs found by name."""

from pathlib import Path

import pytest

from bitcodes.errors import ConfigError
from bitcodes.models.modelfile import find_model
from bitcodes.runs import MODEL_FILE, choose_model, load_settings, resolve_run, run_name, set_latest
from bitcodes.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(run: str) -> Path:
    path = Path(run)
    path.mkdir(parents=True)
    return path


def test_latest_is_the_newest_run_and_moves_with_its_folder(folder: Path) -> None:
    for name in ("runs/a", "runs/b"):
        set_latest(make(name))
        assert resolve_run(None) == folder / name
    assert [path.name for path in sorted(Path("runs").iterdir())] == ["a", "b", "latest"]
    Path("runs").rename("elsewhere")
    assert resolve_run(Path("elsewhere/latest")) == Path("elsewhere/b")


@pytest.mark.posix
def test_a_link_of_an_older_version_becomes_a_file(folder: Path) -> None:
    make("runs/a")
    Path("runs/latest").symlink_to("a", target_is_directory=True)
    assert resolve_run(None) == folder / "runs/a"
    set_latest(make("runs/b"))
    assert Path("runs/latest").is_file() and not Path("runs/latest").is_symlink()
    assert resolve_run(None) == folder / "runs/b" and Path("runs/a").is_dir()


def test_latest_may_lie_elsewhere(folder: Path) -> None:
    set_latest(make("experiments/a"))
    assert resolve_run(None) == folder / "experiments/a"
    assert sorted(path.name for path in folder.iterdir()) == ["experiments", "runs"]


def test_somebodys_own_folder_called_latest_stays(folder: Path) -> None:
    make("runs/latest")
    set_latest(make("runs/a"))
    assert not Path("runs/latest").is_symlink()


def test_no_run_yet(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no runs/latest: .*bitcodes finetune"):
        resolve_run(None)
    set_latest(make("runs/a"))
    Path("runs/a").rmdir()
    with pytest.raises(ConfigError, match="there is no runs/latest"):
        resolve_run(None)


def test_a_named_run_must_be_there(folder: Path) -> None:
    assert resolve_run(make("runs/a")) == Path("runs/a")
    with pytest.raises(ConfigError, match=r"runs/b: no such run; expected a folder"):
        resolve_run(Path("runs/b"))


def test_a_folder_of_evaluations_is_no_run(folder: Path) -> None:
    Path("runs/built-in-128/evaluation-cats").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"runs/built-in-128 is no run: .*, write built-in-128$"):
        resolve_run(Path("runs/built-in-128"))
    Path("runs/built-in-128/config.yaml").touch()  # somebody's run of this name
    assert resolve_run(Path("runs/built-in-128")) == Path("runs/built-in-128")


def test_settings_of_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml: missing; expected a run folder"):
        load_settings(tmp_path)


def test_run_names_come_from_the_settings() -> None:
    settings = Settings.build({"data": "sets/pets", "bits": 16, "loss": "ce"})
    assert run_name(settings) == "pets-tf_efficientnet_lite0_stages-ce-16+128"
    frozen = settings.model_copy(update={"freeze": True, "backbone": "hub/net", "instance_bits": 0})
    assert run_name(frozen) == "pets-hub-net-ce-16-frozen"


def test_latest_is_a_text_file_wherever_the_run_is(folder: Path) -> None:
    for name in ("runs/a", "runs/b", "elsewhere/\N{LATIN SMALL LETTER A WITH DIAERESIS} c"):
        set_latest(make(name))
        assert Path("runs/latest").is_file()
        assert resolve_run(None) == folder / name
        assert resolve_run(Path("runs/latest")).resolve() == folder / name
        (folder / name / MODEL_FILE).touch()
        assert find_model(Path("runs/latest")).resolve() == folder / name / MODEL_FILE
        assert find_model() == folder / name / MODEL_FILE
    names = {path.name for path in Path("runs").iterdir()}
    assert names == {"a", "b", "latest"}


def test_a_text_file_whose_run_is_gone(folder: Path) -> None:
    set_latest(make("runs/a"))
    Path("runs/a").rmdir()
    with pytest.raises(ConfigError, match="there is no runs/latest"):
        resolve_run(None)


def test_without_a_run_the_model_is_the_built_in_one(folder: Path) -> None:
    assert choose_model(None) == choose_model("built-in") == "built-in-128"
    assert choose_model(None, 64) == choose_model("built-in", 64) == "built-in-64"
    assert choose_model("built-in-64", 32) == "built-in-64"  # who loads it notices
    assert choose_model("runs/a") == "runs/a"
    set_latest(make("runs/a"))
    assert choose_model(None) == choose_model(None, 64) == folder / "runs/a"
    assert choose_model("built-in") == "built-in-128"
    Path("runs/a").rmdir()
    assert choose_model(None) == "built-in-128"
