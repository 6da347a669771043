"""Instance bits: what they are fitted to, what a class bit weighs, and what becomes of a run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import make_settings

from bitcodes import training
from bitcodes.codes.pack import split_codes
from bitcodes.datasets.any_folder import fit_to_data
from bitcodes.errors import ConfigError
from bitcodes.losses.label_free import fit_contrast, fit_neighbours
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import load_model
from bitcodes.models.hashing import HashModel
from bitcodes.models.onnx import OnnxModel
from bitcodes.runs import load_settings
from bitcodes.settings import Settings
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.evaluate import evaluate
from bitcodes.tasks.searching.search import search
from bitcodes.training import finetuning, instance
from bitcodes.training.instance import choose_weight, fit_both, imitate
from bitcodes.training.validation import precisions


@pytest.fixture(scope="module")
def data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of other tests with coarse spots: images of a class look different."""
    pictures = tmp_path_factory.mktemp("data") / "colours"
    shutil.copytree(data, pictures)
    rng = np.random.default_rng(0)
    for path in sorted(pictures.glob("*.png")):
        spots = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        with Image.open(path) as image:
            Image.blend(image, spots.resize(image.size), 0.5).save(path)
    return pictures


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 class bits and 8 instance bits, with its exported model."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return finetune(data, folder / "parts")


def finetune(data: Path, run: Path, **values: Any) -> Path:
    settings = make_settings(data, **{"instance_bits": 8, **values})
    return training.finetune(settings, run, workers=0).run


def test_what_is_linear_in_the_features_is_imitated() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, np.linspace(0.01, 100, 6), (4000, 6)).astype(np.float32)
    unlike = rng.normal(size=(4000, 2))  # says nothing about the features
    wanted = np.stack([features[:, 5] / 100, 100 * features[:, 0] + 7], axis=1)
    outputs = np.concatenate([wanted, unlike], axis=1).astype(np.float32)
    planes = imitate(outputs, features)
    imitated = features @ planes.weight.T + planes.bias
    np.testing.assert_allclose(imitated.mean(axis=0), outputs.mean(axis=0), atol=1e-3)
    # A tenth more variance in the ridge leaves ten elevenths of what is wholly linear.
    spread = wanted - wanted.mean(axis=0)
    np.testing.assert_allclose(imitated[:, :2] - wanted.mean(axis=0), spread / 1.1, atol=0.1)
    assert np.abs(imitated[:, 2:] - unlike.mean(axis=0)).max() < 0.3


def test_few_images_and_outputs_that_never_vary_are_imitated_too() -> None:
    features = np.zeros((3, 5), np.float32)
    features[1:, 0] = 1, 2
    planes = imitate(np.array([[-1], [0], [1]], np.float32), features)
    outputs = features @ planes.weight.T + planes.bias
    np.testing.assert_allclose(outputs[:, 0], [-1 / 1.1, 0, 1 / 1.1], atol=1e-5)


def test_bits_come_from_the_pretrained_backbone_unless_there_is_none(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imitated is the backbone before training; a frozen one needs no imitation."""
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []
    monkeypatch.setattr(instance, "imitate", lambda *args: calls.append(1) or imitate(*args))
    finetune(data, tmp_path / "random", weights="random")
    finetune(data, tmp_path / "frozen", weights=run / "model.safetensors", freeze=True)
    assert not calls
    finetune(data, tmp_path / "trained", weights=run / "model.safetensors")
    assert calls


def test_fitting_says_that_it_begins_and_how_far_it_is(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(instance, "_BATCH", 8)
    for name, values in (("trained", {}), ("frozen", {"freeze": True})):
        said: list[Any] = []
        settings = make_settings(
            data, instance_bits=8, weights=run / "model.safetensors", val=0.3, **values
        )
        training.finetune(
            *(settings, tmp_path / name),
            workers=0,
            loading=lambda *counts, said=said: said.append(counts),
            log=said.append,
        )
        begun = said.index("fitting 8 instance bits")
        counts = [each for each in said[begun:] if isinstance(each, tuple)]
        assert counts == sorted(counts) and counts[0] < counts[-1]
        assert counts[-1][0] == counts[-1][1]  # all are reported, of a total that does not change
        assert len({total for _, total in counts}) == 1


def ranked_by_weight(queries: int, misled: int, instance_bits: int = 6) -> int:
    """The weight chosen where low weights mislead some of the queries.

    Codes have one class bit. The queries are of the first class. An image of it differs from the
    misled queries in all instance bits, one of the other class in the class bit alone. So a lower
    weight than the number of instance bits puts that one first, and the average precision falls
    from 1 to 1/2. The other queries differ from both images in half of the instance bits.
    """
    ones = np.ones(instance_bits)
    ranked = np.array([[1, *-ones], [-1, *ones]], np.float32)
    usual = np.array([1, *np.tile([1, -1], instance_bits // 2)], np.float32)
    outputs = np.tile(usual, (queries, 1))
    outputs[:misled, 1:] = 1
    labels = np.eye(2, dtype=np.uint8)
    return choose_weight(outputs, labels[np.zeros(queries, int)], ranked, labels, instance_bits)


def test_the_least_weight_that_ranks_nearly_as_well() -> None:
    assert ranked_by_weight(1000, misled=0) == 1
    for bits, weight in ((6, 8), (14, 16), (70, 64)):  # of 70, no weight is enough
        assert ranked_by_weight(1000, misled=1000, instance_bits=bits) == weight
    # A fall of 0.001, and 0.0007 of standard error; then of 0.0025, and 0.0011.
    assert ranked_by_weight(1000, misled=2) == 1
    assert ranked_by_weight(1000, misled=5) == 8
    # The fall is 0.002, but its error as large: an accident may have shown it.
    assert ranked_by_weight(250, misled=1) == 8


def test_few_images_do_not_lower_the_weight() -> None:
    """That none of them does worse may be an accident."""
    assert ranked_by_weight(199, misled=0) == 8
    assert ranked_by_weight(200, misled=0) == 1
    assert ranked_by_weight(10, misled=10, instance_bits=14) == 16


def test_a_quarter_of_the_bits_gathers_kinds_of_images() -> None:
    """The others tell images apart. Both parts have outputs of the same size."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 40)).astype(np.float32)
    features[:, :4] += 2 * rng.normal(size=(12, 4))[np.arange(600) % 12]  # twelve kinds
    changes = rng.normal(0, np.linspace(2, 0.1, 40), (300, 40)).astype(np.float32)
    planes = fit_both(features, changes, 32, seed=3)
    outputs = features @ planes.weight.T + planes.bias
    for part, fitted in (
        (outputs[:, :24], fit_contrast(features, changes, 24, 3)),
        (outputs[:, 24:], fit_neighbours(features, 8, 3)),
    ):
        alone = features @ fitted.weight.T + fitted.bias
        np.testing.assert_array_equal(part > 0, alone > 0)
        assert np.abs(part).mean() == pytest.approx(1, abs=1e-4)

    kinds = np.eye(12, dtype=np.uint8)[np.arange(600) % 12]
    contrast = fit_contrast(features, changes, 32, 3)
    others = features @ contrast.weight.T + contrast.bias
    ours, theirs = (
        precisions(each[:100], kinds[:100], each[100:], kinds[100:]).mean()
        for each in (outputs, others)
    )
    assert ours > theirs + 0.1


def test_neighbours_are_found_by_the_deepest_features() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 20)).astype(np.float32)
    changes = rng.normal(size=(100, 20)).astype(np.float32)
    planes = fit_both(features, changes, 16, seed=1, deepest=(5, 15))
    assert not planes.weight[12:, :5].any() and not planes.weight[12:, 15:].any()
    alone = fit_neighbours(features[:, 5:15], 4, seed=1)
    outputs = features @ planes.weight.T + planes.bias
    expected = features[:, 5:15] @ alone.weight.T + alone.bias
    np.testing.assert_array_equal(outputs[:, 12:] > 0, expected > 0)
    contrast = fit_contrast(features, changes, 12, seed=1)
    expected = features @ contrast.weight.T + contrast.bias
    np.testing.assert_array_equal(outputs[:, :12] > 0, expected > 0)


def test_neighbours_with_nothing_in_common_leave_all_bits_to_the_others() -> None:
    """The two neighbours of an image are opposite: their mean is zero."""
    features = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    planes = fit_both(features, features / 10, 8, seed=0)
    codes = features @ planes.weight.T + planes.bias > 0
    assert len(np.unique(codes, axis=0)) == 4 and codes.any(axis=0).all()


@pytest.mark.parametrize("bits", [1, 3, 4, 40])
@pytest.mark.parametrize("images", [2, 5])
def test_few_images_have_instance_bits_too(images: int, bits: int) -> None:
    features = np.random.default_rng(0).normal(size=(images, 30)).astype(np.float32)
    planes = fit_both(features, features[::-1] / 10, bits, seed=0)
    assert planes.weight.shape == (bits, 30) and planes.bias.shape == (bits,)
    codes = features @ planes.weight.T + planes.bias > 0
    assert len(np.unique(codes, axis=0)) > 1


def test_class_bits_are_those_of_a_run_without_instance_bits(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = load_model(finetune(data, tmp_path / "plain", instance_bits=0))
    model = load_model(run)
    assert plain.parts is None and plain.bits == 12
    assert model.bits == 20 and model.parts is not None
    assert (model.parts.class_bits, model.parts.instance_bits) == (12, 8)
    for ours, theirs in zip(
        model.hash_layer.parameters(), plain.hash_layer.parameters(), strict=True
    ):
        torch.testing.assert_close(ours[:12], theirs, rtol=0, atol=0)
    assert model.fingerprint() != plain.fingerprint()
    assert load_settings(run).instance_bits == 8


def test_both_engines_encode_and_search_finds_an_image_itself(
    run: Path, data: Path, tmp_path: Path
) -> None:
    model, export = load_model(run), OnnxModel(run / "model.onnx")
    assert export.parts == model.parts
    assert export.fingerprint() == model.fingerprint()
    sets = [
        encode(engine, data / "database.txt", tmp_path / f"{name}.npy")
        for name, engine in (("torch", model), ("onnx", export))
    ]
    assert sets[0].parts == sets[1].parts == model.parts
    np.testing.assert_array_equal(sets[0].codes, sets[1].codes)
    class_codes, _ = split_codes(sets[0].codes, 20, 12)
    assert len(np.unique(sets[0].codes, axis=0)) > 2 * len(np.unique(class_codes, axis=0))
    for query in search(sets[0], sets[0], k=3).queries:
        assert query.hits[0].distance == 0


def test_images_of_a_class_that_look_different_get_different_codes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = load_model(finetune(data, tmp_path / "run", instance_bits=32))
    codes = encode(model, data / "database.txt", tmp_path / "codes.npy").codes
    class_codes, _ = split_codes(codes, 44, 12)
    assert len(codes) == 48 and len(np.unique(class_codes, axis=0)) < 12
    assert len(np.unique(codes, axis=0)) > 24


def test_evaluate_ranks_by_both_parts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    figures = evaluate(run).figures
    assert 0 < figures["map"] <= 1 and 0 < figures["map_class_bits"] <= 1


def test_a_training_that_stopped_before_the_instance_bits_gets_them(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(finetuning, "add_instance_bits", stop)
        finetune(data, tmp_path / "stopped")
    assert load_model(tmp_path / "stopped").parts is None
    settings = make_settings(data, instance_bits=8)
    lines: list[str] = []
    again = training.finetune(settings, tmp_path / "stopped", workers=0, log=lines.append).run
    assert "resuming after the last epoch" in lines
    assert load_model(again).fingerprint() == load_model(run).fingerprint()
    assert training.finetune(settings, again, workers=0).already


def test_with_a_hidden_layer_instance_bits_are_linear_in_what_it_gets() -> None:
    torch.manual_seed(0)
    preprocessing = find_backbone("small").preprocessing(32)
    model = HashModel("small", 6, preprocessing, hidden=10).eval()
    norm = model.hidden[1]
    norm.running_mean += torch.randn(10)
    norm.running_var *= 3
    instances, pooled = torch.nn.Linear(model.backbone_dim, 4), torch.randn(7, model.backbone_dim)
    both = model.with_instance_bits(instances, 4)
    assert (both.feature_dim, both.bits, model.feature_dim, model.bits) == (18, 10, 10, 6)
    with torch.inference_mode():
        outputs = both.head(pooled)
        torch.testing.assert_close(outputs[:, :6], model.head(pooled))
        torch.testing.assert_close(outputs[:, 6:], instances(pooled))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (48, 128)),
        ({"bits": 1000}, (1000, 24)),
        ({"bits": 1024}, (1024, 0)),
        ({"loss": "itq"}, (128, 0)),
        ({"instance_bits": 8}, (48, 8)),
    ],
)
def test_bits_by_default(data: Path, values: dict[str, Any], expected: tuple[int, int]) -> None:
    settings, _ = fit_to_data(Settings.build({"data": data, **values}))
    assert (settings.bits, settings.instance_bits) == expected


def test_with_a_frozen_backbone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = finetune(data, tmp_path / "frozen", freeze=True, hidden=10, val=0)
    parts = load_model(run).parts
    assert parts is not None and parts.class_weight == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "itq"}, "instance_bits: expected 0 with the loss itq; found 8"),
        ({"bits": 1020}, "expected 1,024 with bits at most; found 1,028"),
    ],
)
def test_settings_that_do_not_go_together(data: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_settings(data, instance_bits=8, **values)
