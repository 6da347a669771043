"""Two processes learn what one does, and begin, stop and fail together."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small import make_settings
from together import train_together

from bitcodes import training
from bitcodes.errors import ConfigError
from bitcodes.files import lock
from bitcodes.runs import load_settings
from bitcodes.settings import Settings


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings_for(data: Path, **values: Any) -> Settings:
    """What does not depend on how a batch is shared: no dropout, norms that stay as they are."""
    quiet = {"backbone": "small, no dropout", "freeze_norms": True, "epochs": 2}
    return make_settings(data, **{**quiet, **values})


def message(rank: int) -> list[str]:
    return Path(f"{rank}.txt").read_text().splitlines()


def assert_alike(one: Path, two: Path) -> None:
    first, second = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (one, two))
    for part in ("model", "loss", "average"):
        torch.testing.assert_close(first[part], second[part], atol=1e-5, rtol=1e-4)
    for one_line, two_line in zip(first["history"], second["history"], strict=True):
        for key in ("epoch", "step", "loss", "val_map", "image_size"):
            assert one_line[key] == pytest.approx(two_line[key], rel=1e-4), key
    models = (load_file(run / "model.safetensors") for run in (one, two))
    torch.testing.assert_close(*models, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "ce", "ema": 0.5},  # a loss with weights of its own
        {"loss": "ortho"},  # with a batch norm that sees the whole batch
        {"loss": "hashnet", "rand_augment": 5, "image_size": "32,48"},  # that compares its images
    ],
    ids=["ce", "ortho", "hashnet"],
)
def test_two_processes_learn_what_one_does(data: Path, values: dict[str, Any]) -> None:
    settings = settings_for(data, **{"ema": 0.9, **values})
    training.finetune(settings, Path("one"), workers=0)
    assert train_together(settings, Path("two")) == [0, 0]
    assert_alike(Path("one"), Path("two"))
    assert message(0)[0].endswith(" on cpu and 1 more")
    assert message(1) == ["done: 2 epochs"]
    assert load_settings(Path("two")) == load_settings(Path("one"))
    lines = Path("two/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert len(list(Path("two").glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_ctrl_c_in_one_stops_both_at_the_same_step(data: Path, rank: int) -> None:
    settings = settings_for(data, ema=0.9)
    assert train_together(settings, Path("two"), "interrupt", rank, step=6) == [130, 130]
    assert [message(each)[-1] for each in (0, 1)] == ["interrupted"] * 2
    assert torch.load("two/checkpoint.pt", weights_only=True)["step"] == 7
    assert train_together(settings, Path("two")) == [0, 0]
    training.finetune(settings, Path("one"), workers=0)
    assert_alike(Path("one"), Path("two"))


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_ends_both(data: Path, rank: int) -> None:
    assert train_together(settings_for(data), Path("two"), "error", rank, step=3) == [1, 1]
    assert message(rank)[-1] == "BitcodesError: this process has had enough"
    assert message(1 - rank)[-1].startswith("StoppedElsewhere: another process stopped")


def test_what_the_first_cannot_begin_none_does(data: Path) -> None:
    Path("two").mkdir()
    with lock(Path("two/.lock"), "run"):
        assert train_together(settings_for(data), Path("two")) == [1, 1]
    assert "another process" in message(0)[-1]
    assert message(1) == ["StoppedElsewhere: the first process stopped"]


def test_a_batch_that_cannot_be_shared_is_refused(data: Path) -> None:
    assert train_together(settings_for(data, batch_size=7), Path("two")) == [1, 1]
    assert "a batch of 7 images cannot be shared evenly among 2 processes" in message(0)[-1]
    assert not Path("two/config.yaml").exists()


def test_a_build_of_torch_without_distributed_training_says_so(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="this build of torch cannot train on several GPUs"):
        training.finetune(settings_for(data), workers=0)
    assert not Path("runs").exists()
