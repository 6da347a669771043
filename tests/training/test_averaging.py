"""The averaged weights, against the recursion written out, and through a whole training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small import make_settings, weights

from bitcodes import training
from bitcodes.images.transforms import Preprocessing
from bitcodes.losses import LossName
from bitcodes.losses.base import loss_class
from bitcodes.models.hashing import HashModel
from bitcodes.settings import Settings
from bitcodes.training import Progress, trainer
from bitcodes.training.learner import AveragedWeights


def test_it_is_the_average_that_the_formula_says() -> None:
    half = (0.5, 0.5, 0.5)
    model = HashModel("small", 4, Preprocessing(image_size=32, mean=half, std=half))
    loss = loss_class(LossName.CE)(4, 3, False, 0)
    average = AveragedWeights(model, loss, decay=0.2)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    expected_classifier = loss.state_dict()["classifier.weight"].clone()
    for step in range(5):
        with torch.no_grad():
            for value in [*model.state_dict().values(), *loss.state_dict().values()]:
                value.add_(1 + step)
        keep = min(0.2, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = keep * expected[name] + (1 - keep) * value
            else:
                expected[name] = value.clone()  # a count
        classifier = loss.state_dict()["classifier.weight"]
        expected_classifier = keep * expected_classifier + (1 - keep) * classifier
        average.update(model, loss)
    assert "backbone.1.running_mean" in expected
    torch.testing.assert_close(average.model.state_dict(), expected)
    torch.testing.assert_close(average.loss.state_dict()["classifier.weight"], expected_classifier)


def finetune(settings: Settings, run: str, **options: Any) -> training.Finetuned:
    return training.finetune(settings, Path(run), **{"workers": 0, **options})


def test_averaged_weights_are_saved_and_outlive_a_stop(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = make_settings(data, ema=0.9, loss="ortho")
    finetune(settings, "undisturbed")

    def press(now: Progress) -> None:
        if now.step == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        finetune(settings, "stopped", report=press)
    finetune(settings, "stopped")
    assert weights(Path("stopped")) == weights(Path("undisturbed"))

    saved = torch.load("stopped/checkpoint.pt", weights_only=True)
    average = saved["average"]["model"]
    name = next(
        file for file in ("last.safetensors", "model.safetensors") if Path("stopped", file).exists()
    )
    model = load_file(Path("stopped", name))
    assert torch.equal(model["backbone.0.weight"], average["backbone.0.weight"])
    assert not torch.equal(model["backbone.0.weight"], saved["model"]["backbone.0.weight"])
    # What the loss adds to the hash layer is averaged too.
    deviation = (saved["average"]["loss"]["norm.running_var"] + 1e-5).sqrt()
    expected = average["hash_layer.weight"] / deviation[:, None]
    torch.testing.assert_close(model["hash_layer.weight"], expected)
