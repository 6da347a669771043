"""Training: what it learns, what it leaves, and that no stop of any kind changes the outcome."""

import errno
import itertools
import json
import os
import re
import shutil
import signal
import threading
from collections import Counter
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from killing import count_lines, start
from PIL import Image
from safetensors.torch import load_file
from small import CLASSES, make_dataset, make_settings, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import nn

from bitcodes import files, runs, training
from bitcodes.errors import BitcodesError, ConfigError, DataError, ModelError
from bitcodes.files import lock
from bitcodes.images.decode import open_image
from bitcodes.losses import LOSSES, LossName
from bitcodes.losses.base import loss_class
from bitcodes.metrics.ranking import average_precision
from bitcodes.models import checkpoint
from bitcodes.models.backbones import BACKBONES
from bitcodes.models.checkpoint import load_model
from bitcodes.runs import load_settings
from bitcodes.settings import ResolvedSettings, Settings
from bitcodes.settings_file import read_settings_file
from bitcodes.sources import reading
from bitcodes.sources.lists import read_list, write_list
from bitcodes.tasks.evaluate import evaluate
from bitcodes.training import (
    Finetuned,
    Progress,
    curves,
    inputs,
    learner,
    resolving,
    state,
    stopping,
    trainer,
)
from bitcodes.training.optimizing import schedule
from bitcodes.training.resolving import image_size_for
from bitcodes.training.validation import split


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return training.finetune(make_settings(data), folder / "undisturbed", workers=0).run


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finetune(settings: Settings, run: Path = Path("run"), **options: Any) -> Finetuned:
    return training.finetune(settings, run, **{"workers": 0, **options})


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def logged(run: Path) -> Counter[tuple[str, int]]:
    """How often each tag and step is in TensorBoard's files, as they lie there."""
    result: Counter[tuple[str, int]] = Counter()
    for path in run.glob("events.out.tfevents.*"):
        for event in EventFileLoader(str(path)).Load():
            result.update((value.tag, event.step) for value in event.summary.value)
    return result


def assert_equal_outcome(run: Path, undisturbed: Path) -> None:
    assert weights(run) == weights(undisturbed)
    assert [line["epoch"] for line in metrics(run)] == [1, 2, 3]
    assert logged(run) == logged(undisturbed)
    assert set(logged(run).values()) == {1}
    hidden = [path.name for path in run.iterdir() if path.name.startswith(".")]
    assert hidden == []


def interrupt_at(step: int, epoch_done: bool = False) -> Any:
    """A report that presses Ctrl-C after this step, or after the validation that follows it."""

    def report(now: Progress) -> None:
        if now.step == step and now.epoch_done == epoch_done:
            signal.raise_signal(signal.SIGINT)

    return report


# -- what it learns and leaves ----------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_training_learns(data: Path, loss: str) -> None:
    done = finetune(make_settings(data, loss=loss, epochs=8, learning_rate=0.05))
    losses = [line["loss"] for line in done.history]
    assert losses[-1] < (0.95 if loss == "dch" else 0.7) * losses[0]  # which never comes to zero
    assert done.history[-1]["val_map"] > 0.9


def test_a_run_holds_what_it_promises(data: Path, undisturbed: Path) -> None:
    names = {path.name.split(".tfevents")[0] for path in undisturbed.iterdir()}
    assert names == {
        *("config.yaml", "model.safetensors", "checkpoint.pt", "metrics.jsonl", "events.out"),
        "model.onnx",
    }
    assert load_settings(undisturbed) == make_settings(
        data, optimizer="sgd", weight_decay=5e-4, hidden=0, crop=1
    )
    lines = metrics(undisturbed)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["step"] for line in lines] == [5, 10, 15]
    for line in lines:
        assert line["loss"] > 0
        assert 0 <= line["val_map"] <= 1
        assert line["images_per_second"] > 0
    model = load_model(undisturbed)
    assert (model.bits, model.class_names) == (12, CLASSES)


def test_the_newest_run_is_the_latest(data: Path) -> None:
    settings = make_settings(data, epochs=1)
    done = training.finetune(settings, workers=0)
    assert done.run == Path("runs/colours-small-csq-12")
    assert runs.resolve_run(None) == done.run.resolve()
    finetune(settings, Path("elsewhere"))
    assert runs.resolve_run(None) == Path("elsewhere").resolve()


def test_the_same_settings_give_the_same_weights_and_another_seed_does_not(
    data: Path, undisturbed: Path
) -> None:
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)
    finetune(make_settings(data, seed=1), Path("other"))
    assert weights(Path("other"))["losses"] != weights(undisturbed)["losses"]


def test_config_yaml_of_a_run_repeats_it(data: Path, undisturbed: Path) -> None:
    settings = Settings.build(read_settings_file(undisturbed / "config.yaml"))
    finetune(settings)
    assert weights(Path("run")) == weights(undisturbed)


def test_what_is_automatic_is_resolved_and_stays(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic = make_settings(data, epochs=1, device="auto", amp="auto", image_size="auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)  # every step takes as long
    monkeypatch.setattr(resolving, "time", clock)
    done = finetune(automatic)
    assert (done.settings.device, done.settings.amp, done.settings.image_size) == ("cpu", "off", 64)
    assert load_settings(Path("run")) == done.settings
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a card has been built in
    assert finetune(automatic).already


def test_the_best_weights_are_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(0.5, 0.1), (0.9, 0.01), (0.7, 0.3), (0.89, 0.2), (0.1, 0.0)])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda trainer: next(scores))
    kept = []

    def report(now: Progress) -> None:
        if now.epoch_done:
            kept.append(Path("run/model.safetensors").read_bytes())

    done = finetune(make_settings(data, epochs=5), report=report)
    assert kept[0] != kept[1] == kept[2] != kept[3] == kept[4]  # within 0.01 of the best
    assert [line["val_map"] for line in done.history] == [0.5, 0.9, 0.7, 0.89, 0.1]
    assert [line["val_error"] for line in done.history] == [0.1, 0.01, 0.3, 0.2, 0.0]
    assert done.kept["epoch"] == 4


def test_without_validation_all_is_trained_on_and_the_last_weights_are_kept(data: Path) -> None:
    done = finetune(make_settings(data, val=0))
    assert [set(line) & {"val_map"} for line in done.history] == [set()] * 3
    assert done.history[-1]["step"] == 3 * (48 // 8)
    last = torch.load("run/checkpoint.pt", weights_only=True)["model"]
    for name, tensor in load_file("run/model.safetensors").items():
        assert torch.equal(tensor, last[name])


def test_the_last_weights_are_kept_beside_better_ones(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([(0.5, 0.0), (0.9, 0.0), (0.7, 0.0)])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda trainer: next(scores))
    done = finetune(make_settings(data))
    assert (done.kept["epoch"], done.history[-1]["epoch"]) == (2, 3)
    last = torch.load("run/checkpoint.pt", weights_only=True)["model"]
    model = load_model(Path("run/last.safetensors"))
    torch.testing.assert_close(model.state_dict(), last, rtol=0, atol=0)
    scores = iter([(1.0, 0.0)])
    finetune(make_settings(data, epochs=4))
    assert not Path("run/last.safetensors").exists()


def test_a_hidden_layer_learns_beside_frozen_norms(data: Path) -> None:
    finetune(make_settings(data, hidden=24, freeze_norms=True))
    model = load_model(Path("run"))
    assert model.feature_dim == 24
    norm, before = model.hidden[1], nn.BatchNorm1d(24)  # type: ignore[index]
    for name, tensor in before.state_dict().items():
        assert not torch.equal(norm.state_dict()[name], tensor)


def test_a_run_with_a_hidden_layer_lends_its_backbone(data: Path) -> None:
    finetune(make_settings(data, freeze=True))
    first = load_model(Path("run"))
    assert first.feature_dim == 1024
    settings = make_settings(data, weights="run/model.safetensors", freeze=True, hidden=0)
    finetune(settings, Path("second"))
    second = load_model(Path("second"))
    assert second.feature_dim == second.backbone_dim
    torch.testing.assert_close(second.backbone.state_dict(), first.backbone.state_dict())


def test_the_model_has_the_thresholds_in_its_bias(data: Path) -> None:
    finetune(make_settings(data, dither=0.5))
    last = torch.load("run/checkpoint.pt", weights_only=True)["model"]
    loss = loss_class(LossName.CSQ)(12, 4, False, 0)
    thresholds = torch.atanh(0.5 * loss.get_buffer("levels"))
    for name, tensor in load_file("run/model.safetensors").items():
        goal = last[name] - thresholds if name == "hash_layer.bias" else last[name]
        torch.testing.assert_close(tensor, goal, rtol=0, atol=1e-6)


def test_frozen_norms_keep_their_statistics_and_learn_the_rest(data: Path) -> None:
    finetune(make_settings(data, freeze_norms=True))
    model = load_file("run/model.safetensors")
    assert torch.equal(model["backbone.1.running_mean"], torch.zeros(8))
    assert torch.equal(model["backbone.1.running_var"], torch.ones(8))
    assert not torch.equal(model["backbone.1.weight"], torch.ones(8))


def test_labels_are_smoothed_where_there_is_a_cross_entropy(data: Path) -> None:
    def losses(loss: str, smoothing: float) -> list[float]:
        settings = make_settings(data, loss=loss, epochs=1, label_smoothing=smoothing)
        return [line["loss"] for line in finetune(settings, fresh=True).history]

    assert losses("csq", 0.5) == losses("csq", 0.0)
    assert losses("ce", 0.5) != losses("ce", 0.0)


def test_another_optimizer(data: Path) -> None:
    values = {"optimizer": "adamw", "learning_rate": 1e-3, "head_learning_rate": 1e-2}
    settings = make_settings(data, **values)
    finetune(settings, Path("undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        finetune(settings, report=interrupt_at(7))
    finetune(settings)
    models = [Path(run, "model.safetensors").read_bytes() for run in ("run", "undisturbed")]
    assert models[0] == models[1]


def test_freezing_trains_the_hash_layer_only(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(data, freeze=True, epochs=1)
    finetune(settings, Path("short"))
    finetune(settings.model_copy(update={"epochs": 4}))
    before, after = (load_file(f"{run}/model.safetensors") for run in ("short", "run"))
    for name in before:
        assert torch.equal(before[name], after[name]) == name.startswith("backbone."), name
    with pytest.raises(KeyboardInterrupt):
        finetune(settings.model_copy(update={"epochs": 4}), Path("stopped"), report=interrupt_at(7))
    finetune(settings.model_copy(update={"epochs": 4}), Path("stopped"))
    assert weights(Path("stopped")) == weights(Path("run"))


@pytest.mark.parametrize("loss", LOSSES)
def test_images_of_several_labels_and_of_none(tmp_path: Path, loss: str) -> None:
    data = make_dataset(tmp_path / "blends", multi_label=True)
    done = finetune(make_settings(data, loss=loss, epochs=6, learning_rate=0.05))
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    assert done.history[-1]["val_map"] > 0.5


def test_training_on_classes_of_its_own(data: Path, tmp_path: Path) -> None:
    """Trained on gray against colours, scored by all four colours."""
    shutil.copytree(data, tmp_path / "coarse")
    images = read_list(data / "train.txt")
    assert images.labels is not None
    is_gray = images.labels[:, 3:]
    write_list(tmp_path / "coarse/train.txt", images.paths, np.hstack([1 - is_gray, is_gray]))
    file = tmp_path / "coarse/dataset.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "train_class_names": ["colour", "gray"]}))
    done = finetune(make_settings(tmp_path / "coarse"))
    assert load_model(done.run).class_names == ("colour", "gray")
    evaluation = evaluate("run", workers=0)
    assert [entry.name for entry in evaluation.classes] == about["class_names"]
    assert evaluation.figures["map"] > 0.25


def test_a_batch_larger_than_the_dataset(data: Path) -> None:
    done = finetune(make_settings(data, batch_size=500))
    assert [line["step"] for line in done.history] == [1, 2, 3]
    assert np.isfinite(done.history[-1]["loss"])


def test_two_images_are_enough_and_one_is_not(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "two", count=2, queries=1)
    assert finetune(make_settings(data, epochs=1, val=0.5)).history[0]["step"] == 1
    data = make_dataset(tmp_path / "one", count=1, queries=1)
    with pytest.raises(DataError, match="expected at least 2 images to train on, found 1"):
        finetune(make_settings(data), Path("other"))


def test_mixed_precision(data: Path) -> None:
    done = finetune(make_settings(data, amp="bfloat16", epochs=1))
    assert np.isfinite(done.history[0]["loss"])
    assert {tensor.dtype for tensor in load_file("run/model.safetensors").values()} == {
        *(torch.float32, torch.int64)
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_give_the_same_weights(
    data: Path, undisturbed: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_MEMORY_SHARE", 0)
    finetune(make_settings(data), workers=workers)
    assert_equal_outcome(Path("run"), undisturbed)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_however_many_batches_are_augmented_together_the_weights_are_the_same(
    data: Path, undisturbed: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = iter([3, 1, 2, 5, 1])  # of 5 an epoch; without this all 5
    monkeypatch.setattr(inputs, "batches_at_once", lambda *what: next(at_once))
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(stop))
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


@pytest.mark.parametrize(
    ("device", "processes", "side", "in_memory", "expected"),
    [
        ("cpu", 1, 64, True, 8),
        ("cpu", 1, 128, True, 2),
        ("cpu", 1, 224, True, 1),
        ("cuda", 1, 128, True, 8),
        ("cuda", 1, 128, False, 1),  # the next are being read while this one is trained on
        ("cuda", 1, 512, True, 2),  # 32 images have 8.4 million pixels, of 16.8 allowed
        ("cuda", 4, 512, True, 8),
        ("cuda", 1, 2048, True, 1),
    ],
)
def test_how_many_batches_are_augmented_together(
    device: str, processes: int, side: int, in_memory: bool, expected: int
) -> None:
    images = 32 // processes
    assert inputs.batches_at_once(images, side, torch.device(device), in_memory) == expected


def test_mixed_precision_sees_the_same_images(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = trainer.Trainer._train_step
    batches_seen: dict[str, list[bytes]] = {"off": [], "bfloat16": []}

    def train_step(this: trainer.Trainer, batch: Any, inputs: torch.Tensor) -> float:
        batches_seen[this.settings.amp].append(inputs.numpy().tobytes())
        return inner(this, batch, inputs)

    monkeypatch.setattr(trainer.Trainer, "_train_step", train_step)
    for amp in batches_seen:
        finetune(make_settings(data, amp=amp, zoom=0.2, rand_augment=5, epochs=1), Path(amp))
    assert len(batches_seen["off"]) == 5
    assert batches_seen["off"] == batches_seen["bfloat16"]


def test_progress_is_told(data: Path) -> None:
    reports: list[Progress] = []
    loaded: list[tuple[int, int | None]] = []
    message: list[str] = []
    done = finetune(
        make_settings(data, bits=16),
        report=reports.append,
        loading=lambda *now: loaded.append(now),
        log=message.append,
    )
    steps = [now for now in reports if not now.epoch_done]
    assert [now.step for now in steps] == list(range(1, 16))
    assert [now.epoch for now in steps] == [1] * 5 + [2] * 5 + [3] * 5
    ends = [now for now in reports if now.epoch_done]
    assert [now.epoch for now in ends] == [1, 2, 3]
    assert [now.val_map for now in ends] == [line["val_map"] for line in done.history]
    assert [now.loss for now in ends] == [line["loss"] for line in done.history]
    assert (ends[-1].step, ends[-1].steps, ends[-1].seconds_left) == (15, 15, 0)
    assert all(now.images_per_second > 0 for now in reports)
    assert loaded[-1] == (48, 48)
    assert (
        message[0] == "41 images to train on, 7 to validate, 3 epochs, 32 pixels, 16 bits, on cpu"
    )


def test_training_in_another_thread(data: Path) -> None:
    thread = threading.Thread(target=finetune, args=(make_settings(data, epochs=1),))
    thread.start()
    thread.join()
    assert len(metrics(Path("run"))) == 1


# -- validation -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 10, 60, 2000, 20000])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.99])
def test_what_is_held_out_is_not_trained_on(count: int, share: float) -> None:
    train, held, ranked = split(count, share, 0)
    assert sorted([*train, *held]) == list(range(count))
    assert set(ranked) <= set(train.tolist())
    assert len(train) >= 2
    assert len(held) == min(2000, int(share * count), count - 2)
    if len(held):
        assert min(len(held), len(train)) <= len(ranked) <= 5000
    for rows in (train, held, ranked):
        assert (np.diff(rows) > 0).all()


def test_the_split_depends_on_the_seed_alone() -> None:
    for one, again in zip(split(500, 0.1, 3), split(500, 0.1, 3), strict=True):
        np.testing.assert_array_equal(one, again)
    assert set(split(500, 0.1, 3)[1]) != set(split(500, 0.1, 4)[1])


def test_validation_takes_a_twentieth_of_the_time_at_most_by_default() -> None:
    for count in (1000, 5000, 50000):
        train, held, ranked = split(count, Settings.model_fields["val"].default, 0)
        # Coding an image takes a fifth of the time of training on it.
        assert (len(held) + len(ranked)) / 5 <= 0.06 * len(train)


def test_the_queries_are_never_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: set[Path] = set()

    def watch(file: Path | BufferedReader) -> Image.Image:
        opened.add(file if isinstance(file, Path) else Path(file.name))
        return open_image(file)

    monkeypatch.setattr(reading, "open_image", watch)
    monkeypatch.setattr(resolving, "open_image", watch)
    finetune(make_settings(data, epochs=1, image_size="auto"))
    train = read_list(data / "train.txt")
    assert opened == {train.absolute_path(row) for row in range(len(train))}


@pytest.mark.parametrize("loss", ["csq", "ortho"])
def test_the_validation_score_is_that_of_the_saved_weights(data: Path, loss: str) -> None:
    done = finetune(make_settings(data, epochs=1, val=0.3, loss=loss))
    _, held, ranked = split(48, 0.3, 0)
    model, train = load_model(Path("run")), read_list(data / "train.txt")
    pictures = np.stack(
        [model.preprocessing.to_array(open_image(train.absolute_path(row))) for row in range(48)]
    )
    bits = model.encode_batch(pictures).outputs > 0
    assert train.labels is not None
    classes = train.labels.argmax(axis=1)
    scores = []
    for query in held:
        distances = (bits[ranked] != bits[query]).sum(axis=1)
        same = classes[ranked] == classes[query]
        total = np.bincount(distances, minlength=13)[None]
        relevant = np.bincount(distances[same], minlength=13)[None]
        scores.append(average_precision(total, relevant)[0])
    assert done.history[0]["val_map"] == pytest.approx(np.mean(scores))
    error = np.std(scores) / len(scores) ** 0.5
    assert done.history[0]["val_error"] == pytest.approx(error)


# -- settings, data and what is refused -------------------------------------------------------


def test_a_finished_run_is_left_as_it_is(data: Path) -> None:
    finetune(make_settings(data))
    before = {path.name: path.stat().st_mtime_ns for path in Path("run").iterdir()}
    done = finetune(make_settings(data))
    assert done.already
    assert len(done.history) == 3
    assert {path.name: path.stat().st_mtime_ns for path in Path("run").iterdir()} == before


def test_other_settings_are_refused_with_a_list(data: Path) -> None:
    finetune(make_settings(data, epochs=1))
    with pytest.raises(ConfigError) as failure:
        finetune(make_settings(data, epochs=1, bits=16, augment=False))
    assert str(failure.value).splitlines() == [
        "run holds a run made with other settings:",
        "  bits: 12 in the run, 16 now",
        "  augment: True in the run, False now",
        "repeat its settings, choose another folder with --run, or start over with --fresh",
    ]
    with pytest.raises(ConfigError, match=r"learning_rate: .* in the run"):
        finetune(make_settings(data, epochs=2, learning_rate=0.001))


@pytest.mark.parametrize("name", ["epochs", "image_size"])
def test_a_run_whose_settings_were_changed_is_one_error(data: Path, name: str) -> None:
    finetune(make_settings(data, epochs=1))
    config = Path("run/config.yaml")
    config.write_text(re.sub(rf"(?m)^{name}: .*(\n- .*)*", f"{name}: auto", config.read_text()))
    with pytest.raises(ConfigError, match=f"{name}: expected a number, found 'auto'.*--fresh"):
        finetune(make_settings(data, epochs=2))


def test_more_epochs_train_on_and_fewer_are_refused(data: Path) -> None:
    first = finetune(make_settings(data, epochs=2))
    done = finetune(make_settings(data, epochs=4))
    assert not done.already
    assert [line["epoch"] for line in metrics(Path("run"))] == [1, 2, 3, 4]
    assert done.history[:2] == first.history
    assert done.history[-1]["step"] == 20
    assert set(logged(Path("run")).values()) == {1}
    assert load_settings(Path("run")).epochs == 4
    with pytest.raises(ConfigError, match="epochs: 4 in the run, 3 now"):
        finetune(make_settings(data, epochs=3))


def test_fresh_starts_over(data: Path, undisturbed: Path) -> None:
    finetune(make_settings(data, bits=16, epochs=2))
    Path("run/notes.txt").write_text("mine")
    finetune(make_settings(data), fresh=True)
    assert_equal_outcome(Path("run"), undisturbed)
    assert Path("run/notes.txt").read_text() == "mine"


def test_fresh_takes_nothing_away_before_it_can_begin(data: Path) -> None:
    finetune(make_settings(data, epochs=1))
    before = weights(Path("run"))
    wrong = [
        (ConfigError, {"device": "cuda:99"}),
        (ConfigError, {"backbone": "typo"}),
        (ConfigError, {"bits": 1}),
    ]
    for error, values in wrong:
        with pytest.raises(error):
            finetune(make_settings(data, **values), fresh=True)
    assert weights(Path("run")) == before
    assert finetune(make_settings(data, epochs=1)).already


def test_a_changed_training_list_is_refused(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "colours")
    finetune(make_settings(data, epochs=1))
    train = read_list(data / "train.txt")
    assert train.labels is not None
    write_list(data / "train.txt", train.paths[::-1], train.labels[::-1])
    with pytest.raises(DataError, match=r"train\.txt has changed since run was begun; .*--fresh"):
        finetune(make_settings(data, epochs=2))
    write_list(data / "train.txt", train.paths, train.labels[::-1])
    with pytest.raises(DataError, match="has changed"):
        finetune(make_settings(data, epochs=2))
    write_list(data / "train.txt", train.paths, train.labels)
    assert len(finetune(make_settings(data, epochs=2)).history) == 2


def test_a_dataset_without_labels_is_refused(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "colours")
    for name in ("train.txt", "test.txt", "database.txt"):
        write_list(data / name, read_list(data / name).paths, None)
    (data / "dataset.json").unlink()
    with pytest.raises(DataError, match="label"):
        finetune(make_settings(data))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "colours")
    (data / "000.png").write_bytes(b"x")
    for size in (32, "auto"):
        with pytest.raises(DataError, match=r"000\.png: .* take its line out of the list"):
            finetune(make_settings(data, image_size=size))
    assert not Path("run/config.yaml").exists()


def test_a_loss_that_is_not_a_number_stops_training(data: Path) -> None:
    settings = make_settings(data, learning_rate=1e20, head_learning_rate=1e20)
    with pytest.raises(BitcodesError) as failure:
        finetune(settings)
    message = str(failure.value)
    assert "the loss is nan at step " in message
    assert "(epoch 1, learning rates " in message
    assert "e+19" in message or "e+20" in message
    assert "try a smaller --learning-rate" in message


def test_two_finetunes_cannot_share_a_run(data: Path) -> None:
    Path("run").mkdir()
    with lock(Path("run/.lock"), "run"), pytest.raises(BitcodesError, match="another process"):
        finetune(make_settings(data))
    assert finetune(make_settings(data, epochs=1)).history


def test_a_run_that_cannot_be_a_folder(data: Path) -> None:
    Path("run").write_text("a file")
    with pytest.raises(ConfigError, match="cannot make the run folder run: File exists"):
        finetune(make_settings(data))


def test_a_damaged_checkpoint_is_named(data: Path) -> None:
    finetune(make_settings(data, epochs=1))
    path = Path("run/checkpoint.pt")
    for size in (1000, 10, 0):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ModelError, match=r"checkpoint\.pt: cannot be read \(.+\); start over"):
            finetune(make_settings(data, epochs=2))
    assert finetune(make_settings(data, epochs=1), fresh=True).history


def test_a_foreign_checkpoint_is_named(data: Path) -> None:
    finetune(make_settings(data, epochs=1))
    for content in ({"model": 1}, [1, 2], torch.zeros(3)):
        torch.save(content, "run/checkpoint.pt")
        with pytest.raises(ModelError, match=r"checkpoint\.pt: is not a checkpoint that finetune"):
            finetune(make_settings(data, epochs=2))


@pytest.mark.parametrize(
    ("sides", "size"),
    [
        *[((8, 8), 160), ((32, 32), 160), ((250, 90), 160), ((190, 190), 160)],
        *[((192, 210), 192), ((500, 375), 224), ((3000, 2000), 224)],
    ],
)
def test_the_image_size_follows_the_images(
    tmp_path: Path, sides: tuple[int, int], size: int
) -> None:
    Image.new("RGB", sides).save(tmp_path / "image.png")
    write_list(tmp_path / "list.txt", ["image.png"], None)
    assert image_size_for(read_list(tmp_path / "list.txt"), 224) == size


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    for steps in (1, 2, 5, 10, 100, 1000):
        rates = [schedule(step, steps, 0.1) for step in range(steps)]
        peak = rates.index(max(rates))
        assert max(rates) == 1
        assert rates[: peak + 1] == sorted(rates[: peak + 1])
        assert rates[peak:] == sorted(rates[peak:], reverse=True)
        assert min(rates) > 0
    assert rates[-1] < 1e-4


# -- TensorBoard ------------------------------------------------------------------------------


def test_tensorboard_can_read_it(undisturbed: Path) -> None:
    board = EventAccumulator(str(undisturbed), {"scalars": 0, "histograms": 0, "tensors": 0})
    board.Reload()
    scalars = set(board.Tags()["scalars"])
    assert scalars == {curves.LOSS, curves.RATE, curves.SCORE, curves.BALANCE} | {
        curves.EPOCH_LOSS,
        curves.SPEED,
    }
    assert min(scalars).split("/")[0] == "curves"  # which TensorBoard shows first
    lines = metrics(undisturbed)
    scores = [(event.step, event.value) for event in board.Scalars(curves.SCORE)]
    assert scores == [(line["step"], pytest.approx(line["val_map"])) for line in lines]
    losses = [(event.step, event.value) for event in board.Scalars(curves.EPOCH_LOSS)]
    assert losses == [(line["step"], pytest.approx(line["loss"])) for line in lines]
    assert all(0 <= event.value <= 1 for event in board.Scalars(curves.BALANCE))

    histograms = set(board.Tags()["histograms"])
    assert histograms >= {curves.LOGITS, curves.OUTPUTS}
    assert {"weights/hash_layer.weight", "gradients/hash_layer.weight"} <= histograms
    assert {"weights/backbone.0.weight", "gradients/backbone.0.weight"} <= histograms
    assert [event.step for event in board.Histograms(curves.OUTPUTS)] == [5, 10, 15]

    # Hyperparameters are in the run itself: a folder of their own would be a second run.
    assert [path.name for path in undisturbed.iterdir() if path.is_dir()] == []
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["loss"].string_value == "csq"
    assert start.hparams["bits"].number_value == 12


def test_the_balance_of_bits_since_the_last_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ResolvedSettings.build(
        {**make_settings(tmp_path).to_dict(), "summary_steps": 2, "hidden": 0, "optimizer": "sgd"}
        | {"weight_decay": 0.0, "crop": 1.0}
    )
    board = curves.Curves(tmp_path, settings)
    points: list[tuple[str, float, int]] = []
    monkeypatch.setattr(board.board, "add_scalar", lambda *point: points.append(point))
    ones = torch.tensor([[1.0, -1.0], [1.0, -1.0]])  # (B, K)
    # Of four images, the first bit is set for all, the second for one: entropies 0 and 0.8113.
    for step, outputs in ((1, ones), (2, torch.tensor([[1.0, 1.0], [1.0, -1.0]])), (3, ones)):
        board.step(step, 1.0, 0.1, outputs)
    board.step(4, 1.0, 0.1, -ones)
    balances = [(value, step) for tag, value, step in points if tag == curves.BALANCE]
    assert balances == [(pytest.approx(0.8112781 / 2), 2), (pytest.approx(1), 4)]


def test_histograms_are_a_setting(data: Path) -> None:
    finetune(make_settings(data, epochs=1, histograms=False))
    assert {tag.split("/")[0] for tag, _ in logged(Path("run"))} == {
        *("curves", "details", "_hparams_"),
    }


def test_frozen_layers_have_no_histograms(data: Path) -> None:
    finetune(make_settings(data, freeze=True, loss="ce", epochs=1))
    tags = {tag for tag, _ in logged(Path("run"))}
    assert {"weights/hash_layer.weight", "gradients/loss.classifier.weight"} <= tags
    assert not any("backbone" in tag for tag in tags)


# -- stopping and going on --------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["ortho", "hashnet", "greedy"])
def test_what_a_loss_keeps_outlives_a_stop(data: Path, loss: str) -> None:
    settings = make_settings(data, loss=loss)
    whole = finetune(settings, Path("whole")).run
    for step in (4, 11):
        with pytest.raises(KeyboardInterrupt):
            finetune(settings, report=interrupt_at(step))
    finetune(settings)
    assert_equal_outcome(Path("run"), whole)


@pytest.mark.parametrize("step", [1, 5, 14])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    data: Path, undisturbed: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(step))
    assert torch.load("run/checkpoint.pt", weights_only=True)["step"] == step
    message: list[str] = []
    finetune(make_settings(data), log=message.append)
    assert f"resuming at epoch {step // 5 + 1 if step % 5 else step // 5} of 3, step" in message[0]
    assert_equal_outcome(Path("run"), undisturbed)


def test_interrupted_again_and_again(data: Path, undisturbed: Path) -> None:
    for step in range(1, 15):
        with pytest.raises(KeyboardInterrupt):
            finetune(make_settings(data), report=interrupt_at(step))
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


def test_interrupted_in_validation(
    data: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = trainer.Trainer._validate

    def press(this: trainer.Trainer) -> tuple[float, float]:
        signal.raise_signal(signal.SIGINT)
        return validate(this)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_validate", press)
        with pytest.raises(KeyboardInterrupt):
            finetune(make_settings(data))
    assert torch.load("run/checkpoint.pt", weights_only=True)["step"] == 5
    assert not Path("run/metrics.jsonl").exists()
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


@pytest.mark.parametrize("presses", [1, 2])
def test_a_step_is_never_saved_half_done(
    data: Path, undisturbed: Path, presses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sgd_step = torch.optim.SGD.step

    def press(optimizer: torch.optim.SGD) -> None:
        sgd_step(optimizer)
        if optimizer.param_groups[0]["lr"] < optimizer.param_groups[0]["peak"] / 2:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)

    finetune(make_settings(data), Path("kept"))  # the patch below must find the optimizer's hooks
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", press)
        with pytest.raises(KeyboardInterrupt):
            finetune(make_settings(data))
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


def test_interrupted_while_images_are_read(data: Path, undisturbed: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), loading=lambda *now: signal.raise_signal(signal.SIGINT))
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


def test_what_ctrl_c_leaves_is_said_and_can_be_used(data: Path) -> None:
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(2), log=lines.append)
    assert lines[-1] == (
        "interrupted; the same command continues where it stopped, and evaluate and encode work "
        "with what it has learned so far"
    )
    assert 0 <= evaluate("run", workers=0).figures["map"] <= 1
    finetune(make_settings(data))
    assert not Path("run/last.safetensors").exists()

    with pytest.raises(KeyboardInterrupt):
        finetune(
            make_settings(data),
            Path("never"),
            loading=lambda *now: signal.raise_signal(signal.SIGINT),
            log=lines.append,
        )
    assert lines[-1] == "interrupted before the first step: nothing was saved"
    assert not Path("never").exists()


def _full(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _full_in_torch(*arguments: object, **options: object) -> None:
    try:
        _full()
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:595] unexpected pos 64 vs 0")


@pytest.mark.parametrize(
    ("place", "write"),
    [
        (files.os, "fsync"),
        (trainer, "write_metrics"),
        (trainer, "save_model"),
        (curves.SummaryWriter, "add_scalar"),
        (state.Checkpoint, "write"),
    ],
)
@pytest.mark.parametrize("fail", [_full, _full_in_torch])
def test_a_full_disk_is_one_line(
    data: Path, place: Any, write: str, fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(data, summary_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(place, write, fail)
        with pytest.raises(BitcodesError, match=r"^the disk with run is full: free some space"):
            finetune(settings)
    finetune(settings)


def test_a_disk_with_too_little_room_is_noticed_before_images_are_read(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=10**9, used=10**9 - 1000, free=1000)
    monkeypatch.setattr(stopping.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(inputs, "TrainingImages", None)
    with pytest.raises(BitcodesError, match=r"the disk with run is nearly full: .* 0 MB are free"):
        finetune(make_settings(data))
    assert not Path("run").exists()


@pytest.mark.posix
@pytest.mark.parametrize("deaths", [2, 10**6])
def test_a_worker_that_dies_is_replaced_or_an_error(
    data: Path, undisturbed: Path, deaths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, parent = reading.open_image, os.getpid()
    Path("deaths").mkdir()

    def deadly(*arguments: Any) -> Image.Image:
        if os.getpid() != parent and len(list(Path("deaths").iterdir())) < deaths:
            Path("deaths", str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    monkeypatch.setattr(reading, "open_image", deadly)
    # Two batches, or the images would be read in this process.
    monkeypatch.setattr(inputs.np, "array_split", lambda rows, parts: np.split(rows, 4))
    if deaths == 2:
        finetune(make_settings(data), workers=2)
        assert len(list(Path("deaths").iterdir())) == 2
        assert_equal_outcome(Path("run"), undisturbed)
        return
    with pytest.raises(BitcodesError, match="kill"):
        finetune(make_settings(data), workers=2)
    assert not Path("run").exists()


def test_the_handler_of_interrupts_is_given_back(data: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(2))
    assert signal.getsignal(signal.SIGINT) is before


def test_stopped_by_an_error_it_goes_on_from_the_last_epoch(data: Path, undisturbed: Path) -> None:
    def fail(now: Progress) -> None:
        if now.step == 8:
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        finetune(make_settings(data), report=fail)
    assert torch.load("run/checkpoint.pt", weights_only=True)["step"] == 5
    finetune(make_settings(data))
    assert_equal_outcome(Path("run"), undisturbed)


def test_the_best_weights_before_a_stop_stay_the_best(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([(0.9, 0.0), (0.5, 0.0), (0.6, 0.0)])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda trainer: next(scores))
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(7))
    best = Path("run/model.safetensors").read_bytes()
    reports: list[Progress] = []
    finetune(make_settings(data), report=reports.append)
    assert Path("run/model.safetensors").read_bytes() == best


def test_an_epoch_that_is_done_again_is_not_in_the_metrics_meanwhile(data: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(8))
    with Path("run/metrics.jsonl").open("a") as file:  # killed before the checkpoint was written
        file.write('{"epoch": 2, "step": 10}\n')
    with pytest.raises(KeyboardInterrupt):
        finetune(make_settings(data), report=interrupt_at(9))
    assert [line["epoch"] for line in metrics(Path("run"))] == [1]


KILLED_IN = {
    "starting": [training.finetune, state.clear, runs.set_latest, Settings.save],
    "going on": [state.read_checkpoint, trainer.Trainer.go_on, state.write_metrics],
    "a step": [trainer.Trainer._train_epoch, trainer.Trainer._train_step, learner.Learner.learn],
    "the end of an epoch": [trainer.Trainer._finish_epoch, checkpoint.save_model],
    "saving": [trainer.Trainer.save, state.Checkpoint.write, files.atomic_write.__wrapped__],
}


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
@pytest.mark.parametrize("part", KILLED_IN)
@pytest.mark.posix
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    data: Path, undisturbed: Path, part: str, begun: bool
) -> None:
    if part == ("starting" if begun else "going on"):
        pytest.skip("this part of the program is not run")
    settings, before, run = make_settings(data), Path("before"), Path("run")
    before.mkdir()
    if begun:
        with pytest.raises(KeyboardInterrupt):
            finetune(settings, before, report=interrupt_at(7))
    shutil.copytree(before, "counted")
    times = count_lines(
        [function.__code__ for function in KILLED_IN[part]],
        lambda: finetune(settings, Path("counted")),
    )
    moments = sorted(times, key=lambda moment: (moment.file, moment.line))
    assert len(moments) > 10
    rng = np.random.default_rng(0)
    kills = 0
    count = 6 if part == "starting" else 4  # a start that goes on runs fewer of the lines
    for chosen in rng.choice(len(moments), count, replace=False):
        if not run.exists():
            shutil.copytree(before, run)
        moment = moments[chosen]
        die = replace(moment, nth=1 + int(rng.integers(times[moment] // 2 + 1)))
        process = start(settings, run, die, save_always=begun)
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0), die
        kills += process.exitcode != 0
        check_whole(run)
        if process.exitcode == 0:  # so far on, it did not come to that line so often any more
            assert_equal_outcome(run, undisturbed)
            shutil.rmtree(run)
    finetune(settings, run)
    assert_equal_outcome(run, undisturbed)
    assert kills >= 2


def check_whole(run: Path) -> None:
    """Whatever is there of a run that was killed can be used."""
    if (run / "model.safetensors").exists():
        load_model(run)
    if (run / "checkpoint.pt").exists():
        torch.load(run / "checkpoint.pt", weights_only=True)
    if (run / "metrics.jsonl").exists():
        assert [line["epoch"] for line in metrics(run)] == [1, 2, 3][: len(metrics(run))]
    if (run / "config.yaml").exists():
        load_settings(run)


def test_a_backbone_of_one_size_is_given_that(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = replace(BACKBONES["small"], default_image_size=96, any_size=False)
    monkeypatch.setitem(BACKBONES, "small", fixed)
    done = finetune(make_settings(data, epochs=1, image_size="auto"))
    assert done.settings.image_size == 96
