"""Growing image sizes: which epoch has which, what is compared, and stops at any moment."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from small import make_settings, weights

from bitcodes import training
from bitcodes.models.checkpoint import load_model
from bitcodes.runs import load_settings
from bitcodes.settings import Settings
from bitcodes.training import Progress, trainer


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finetune(settings: Settings, run: str = "run", **options: Any) -> training.Finetuned:
    return training.finetune(settings, Path(run), **{"workers": 0, **options})


@pytest.mark.parametrize(
    ("sizes", "epochs", "planned"),
    [
        (64, 3, [64, 64, 64]),
        ("64,128", 5, [64, 64, 128, 128, 128]),
        ("64,64,128", 6, [64, 64, 64, 64, 128, 128]),
        ([32, 48, 64], 3, [32, 48, 64]),
    ],
)
def test_sizes_share_the_epochs(sizes: Any, epochs: int, planned: list[int]) -> None:
    settings = Settings.build({"data": "d", "image_size": sizes, "epochs": epochs})
    assert [settings.size_in(epoch) for epoch in range(epochs)] == planned
    assert settings.size_in(-1) == planned[-1]


def test_the_model_has_the_last_size(data: Path) -> None:
    reports: list[Progress] = []
    done = finetune(make_settings(data, image_size="32,64"), report=reports.append)
    assert [line["image_size"] for line in done.history] == [32, 64, 64]
    assert load_model(Path("run")).preprocessing.image_size == 64
    assert load_settings(Path("run")).image_size == [32, 64]
    first = [now for now in reports if now.epoch == 1]
    # Of 5 steps an epoch, each of those at twice the size counts for four.
    left = [now.seconds_left * now.images_per_second for now in first]
    assert left == pytest.approx([(5 - step + 2 * 5 * 4) * 8 for step in range(1, 6)] + [320])


def test_scores_at_smaller_sizes_do_not_count(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(0.9, 0.0), (0.5, 0.0), (0.4, 0.0)])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda trainer: next(scores))
    reports: list[Progress] = []
    done = finetune(make_settings(data, image_size="32,64"), report=reports.append)
    assert done.kept["epoch"] == 2
    assert load_model(Path("run")).preprocessing.image_size == 64
    assert Path("run/last.safetensors").exists()


def test_stopped_anywhere_it_ends_as_if_it_had_not_been(data: Path) -> None:
    settings = make_settings(data, image_size="32,64", zoom=0.2, rand_augment=5)
    finetune(settings, "undisturbed")
    for stop in (1, 4, 5, 6, 14):  # size changes after 5

        def press(now: Progress, stop: int = stop) -> None:
            if now.step == stop and not now.epoch_done:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            finetune(settings, report=press)
    finetune(settings)
    assert weights(Path("run")) == weights(Path("undisturbed"))


def test_sizes_never_shrink_when_trained_on(data: Path) -> None:
    finetune(make_settings(data, image_size="32,64", epochs=2))
    finetune(make_settings(data, image_size="32,64", epochs=6))
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["image_size"] for line in lines] == [32, 64, 64, 64, 64, 64]
