"""Losses and backbones of users: trained, encoded, searched, evaluated, resumed; and refused."""

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch
from commands import run
from small import make_dataset

from bitcodes import extensions
from bitcodes.errors import BitcodesError, ConfigError, ModelError
from bitcodes.losses import LOSSES
from bitcodes.losses.base import loss_class
from bitcodes.models.backbones import find_backbone
from bitcodes.models.own import own_backbone
from bitcodes.runs import load_settings
from bitcodes.settings import Settings
from bitcodes.training.beginning import check

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts.py"
LOSS, BACKBONE = "own_parts:ScaledCosine", "own_parts:small_network"
QUICK = ("--data", "data", "--image-size", 32, "--batch-size", 8, "--bits", 12, "--device", "cpu")
QUICK += ("--amp", "off", "--workers", 0, "--run", "runs/own")
OWN = ("--loss", LOSS, "--loss-args", "scale=12", "--backbone", BACKBONE)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    monkeypatch.setattr(extensions, "_trusted", set())
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    own_backbone.cache_clear()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as another process: nothing is trusted, and no module of the user's loaded."""
    monkeypatch.setattr(extensions, "_trusted", set())
    own_backbone.cache_clear()
    sys.modules.pop("own_parts", None)


@pytest.mark.exports
def test_the_example_from_training_to_search(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_dataset(place / "data")
    shutil.copy(EXAMPLE, place)
    assert run("finetune", *QUICK, *OWN, "--epochs", 1) == 0, capsys.readouterr().err
    settings = load_settings(Path("runs/own"))
    assert (settings.loss, settings.loss_args, settings.backbone) == (LOSS, "scale=12", BACKBONE)
    checkpoint = torch.load("runs/own/checkpoint.pt", weights_only=True)
    assert checkpoint["loss"]["codes.weight"].shape == (4, 12)

    # It is resumed by the same command, with more epochs.
    forget(monkeypatch)
    assert run("finetune", *QUICK, *OWN, "--epochs", 2, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["history"]) == 2

    # The exported model needs no code of the user's, and none is imported.
    forget(monkeypatch)
    Path("own_parts.py").rename("elsewhere.txt")
    model = ("--run", "runs/own", "--workers", 0)
    assert run("encode", "data/database.txt", "-o", "codes.npy", *model) == 0
    capsys.readouterr()
    assert run("search", "data/000.png", "--codes", "codes.npy", "--json") == 0
    (query,) = json.loads(capsys.readouterr().out)["queries"]
    assert query["results"][0]["distance"] == 0
    assert run("evaluate", "runs/own", "--workers", 0, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["loss"], shown["bits"]) == (LOSS, 12 + 128)
    assert "own_parts" not in sys.modules

    # torch does need it: it is refused unless the user names it, and missed where it is not.
    encode = ("encode", "data/database.txt", "-o", "torch.npy", *model, "--engine", "torch")
    assert run(*encode) == 1
    assert "set BITCODES_IMPORT=own_parts in the environment" in capsys.readouterr().err
    monkeypatch.setenv(extensions.VARIABLE, "other, own_parts")
    assert run(*encode) == 1
    error = capsys.readouterr().err
    assert f"the backbone {BACKBONE} cannot be imported: ModuleNotFoundError" in error
    assert "expected the module own_parts in the working folder or installed" in error
    Path("elsewhere.txt").rename("own_parts.py")
    assert run(*encode) == 0
    # A file of settings alone makes nothing run.
    forget(monkeypatch)
    monkeypatch.delenv(extensions.VARIABLE)
    again = ("finetune", "--config", "runs/own/config.yaml", "--run", "runs/again")
    capsys.readouterr()
    assert run(*again) == 1
    error = capsys.readouterr().err
    assert "no file may choose what runs here" in error and f"add --loss {LOSS}" in error
    assert run(*again, "--loss", LOSS) == 1
    assert f"add --backbone {BACKBONE}" in capsys.readouterr().err
    assert "own_parts" not in sys.modules and not Path("runs/again").exists()


def test_a_model_file_imports_nothing_by_itself(place: Path) -> None:
    Path("trap.py").write_text("raise SystemExit('it ran')\n")
    for name in ("trap:network", "os:system", "builtins:exec"):
        with pytest.raises(ConfigError, match="no file may choose what runs here"):
            find_backbone(name)
        with pytest.raises(ConfigError, match="no file may choose what runs here"):
            loss_class(name)


def test_installed_entry_points_are_known_by_their_names(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(EXAMPLE, place)
    entries = {
        "bitcodes.losses": [EntryPoint("cosine", LOSS, "bitcodes.losses")],
        "bitcodes.backbones": [EntryPoint("small", BACKBONE, "bitcodes.backbones")],
    }
    monkeypatch.setattr(
        extensions, "entry_points", lambda group: EntryPoints(entries.get(group, []))
    )
    make_dataset(place / "data", 8, 4)
    settings, _ = check(Settings(data=Path("data"), loss="cosine", backbone="small"))
    assert (settings.loss, settings.backbone) == (LOSS, BACKBONE)
    forget(monkeypatch)  # the places in a run's files are those of an installed package
    assert loss_class(LOSS).scale == 8
    assert find_backbone(BACKBONE).feature_dim == 64


def test_arguments_of_losses_are_attributes_of_their_classes() -> None:
    loss = loss_class(LOSSES[LOSSES.index("ortho")], "margin=0.4,scale=10")  # type: ignore[arg-type]
    assert (loss.margin, loss.scale, loss.__name__) == (0.4, 10.0, "OrthoHash")
    assert loss_class(loss_name := LOSSES[0]) is loss_class(loss_name, "none")
    for arguments, message in (
        (
            "margn=1",
            "expected arguments of the loss ortho, which are scale or margin; found 'margn'",
        ),
        ("margin=wide", "margin: expected a number; found 'wide'"),
        ("bits=3", "found 'bits'"),
        ("head_learning_rate=3", "found 'head_learning_rate'"),
    ):
        with pytest.raises(ConfigError, match=message):
            loss_class(LOSSES[LOSSES.index("ortho")], arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="which are none"):
        loss_class(LOSSES[LOSSES.index("ce")], "margin=1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(", r"cannot be imported: SyntaxError: .* \(bad.py, line 1\)|never closed"),
        (
            "import torch\nx = nothing",
            r"NameError: name 'nothing' is not defined \(bad.py, line 2\)",
        ),
        ("", "AttributeError: module 'bad' has no attribute 'make'"),
        ("def make(size):\n    return 3", "returns a torch.nn.Module, found int"),
        ("def make(size):\n    return size / 0", r"ZeroDivisionError: .* \(bad.py, line 2\)"),
        ("def make():\n    pass", "TypeError: make"),
        (
            "from torch import nn\ndef make(size):\n    return nn.Conv2d(3, 2, 3)",
            r"expected features \(B, D\) .*found \(2, 2, 222, 222\) for two images",
        ),
        (
            "from torch import nn\ndef make(size):\n    return nn.Conv2d(4, 2, 3)",
            "fails at images of 224 pixels: RuntimeError",
        ),
    ],
    ids=["syntax", "name", "none", "int", "division", "arguments", "maps", "channels"],
)
def test_a_backbone_that_is_none_is_one_error(place: Path, text: str, message: str) -> None:
    Path("bad.py").write_text(text)
    extensions.trust("bad:make")
    with pytest.raises((ConfigError, ModelError), match=message):
        find_backbone("bad:make")


def test_other_classes_are_no_losses(place: Path) -> None:
    Path("bad.py").write_text("class Loss:\n    pass\n")
    extensions.trust("bad:Loss")
    with pytest.raises(BitcodesError, match=r"expected a class derived from bitcodes\.HashLoss"):
        loss_class("bad:Loss")


def test_settings_name_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert Settings(data=Path("d"), loss=LOSS).label_free is False
    for loss in ("cqs", "a:b:c", "a.:b"):
        assert run("finetune", "--data", "d", "--loss", loss) == 2
        error = capsys.readouterr().err
        assert f"lsh or package.module:Class; found '{loss}'" in error
    assert run("finetune", "--data", "d", "--loss-args", "margin") == 2
    assert "expected none or name=value with commas" in capsys.readouterr().err
    assert run("finetune", "--data", "d", "--loss", "itq", "--loss-args", "a=1") == 2
    assert "--loss-args: expected none with the loss itq; found a=1" in capsys.readouterr().err
