"""Model files: whole, portable, and damage to any part of them told."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from safetensors.torch import load_file, save_file
from tiny import make_model, make_run

from bitcodes.errors import BitcodesError, ConfigError, ModelError
from bitcodes.models.checkpoint import choose_device, load_model, save_model
from bitcodes.models.hashing import HashModel

HELPERS = Path(__file__).parents[1]


def make_small(bits: int = 6, seed: int = 0, **values: object) -> HashModel:
    torch.manual_seed(seed)
    preprocessing = small._preprocessing(32).model_copy(update=values)
    return HashModel("small", bits, preprocessing, ("cat", "Käse")).eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(make_small(), path)
    return path


def test_round_trip(file: Path) -> None:
    model, loaded = make_small(), load_model(file)
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.class_names == ("cat", "Käse")
    assert loaded.preprocessing == model.preprocessing
    assert (loaded.bits, loaded.backbone_name, loaded.path) == (6, "small", file)
    assert not loaded.training
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected, result = model.encode_batch(pictures), loaded.encode_batch(pictures)
    np.testing.assert_array_equal(result.outputs, expected.outputs)
    np.testing.assert_array_equal(result.features, expected.features)


def test_a_hidden_layer_is_part_of_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = HashModel("small", 6, small._preprocessing(32), hidden=20)
    model.train()(torch.randn(16, 3, 32, 32))  # which its norm remembers
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    expected = model.encode_batch(pictures)
    assert expected.features.shape == (5, model.feature_dim) == (5, 20)
    assert expected.features.min() == 0
    layer = model.hash_layer
    outputs = expected.features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(expected.outputs, outputs, atol=1e-5)
    pooled = model.pooled(torch.from_numpy(pictures)).numpy()
    assert pooled.shape == (5, model.backbone_dim) == (5, small.FEATURES)
    linear, norm = model.hidden[0], model.hidden[1]  # type: ignore[index]
    sums = pooled @ linear.weight.detach().numpy().T
    spread = np.sqrt(norm.running_var.numpy() + norm.eps)
    np.testing.assert_allclose(
        expected.features, ((sums - norm.running_mean.numpy()) / spread).clip(0), atol=1e-5
    )
    save_model(model, tmp_path / "model.safetensors")
    result = load_model(tmp_path / "model.safetensors").encode_batch(pictures)
    np.testing.assert_array_equal(result.outputs, expected.outputs)
    np.testing.assert_array_equal(result.features, expected.features)


def test_the_same_model_is_the_same_file(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save_model(load_model(file), again)
    assert again.read_bytes() == file.read_bytes()


def test_any_tool_reads_it(file: Path) -> None:
    tensors = load_file(file)
    assert tensors["hash_layer.weight"].shape == (6, small.FEATURES)
    length = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + length])
    about = json.loads(header["__metadata__"]["bitcodes"])
    assert about["backbone"] == "small"
    assert about["class_names"] == ["cat", "Käse"]
    assert about["preprocessing"]["image_size"] == 32
    assert about["fingerprint"] == make_small().fingerprint()


def test_fingerprint_changes_with_every_weight() -> None:
    model = make_small()
    before = model.fingerprint()
    seen = {before}
    for tensor in model.state_dict().values():
        flat = tensor.view(-1) if tensor.is_contiguous() else tensor.permute(0, 2, 3, 1).view(-1)
        original = flat[-1].clone()
        flat[-1] = original * 1.0001 + 1
        seen.add(model.fingerprint())
        flat[-1] = original
    assert len(seen) == 1 + len(model.state_dict())
    assert model.fingerprint() == before


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 64},
        {"crop": 0.9},
        {"interpolation": "bilinear"},
        {"mean": (0.5, 0.5, 0.51)},
        {"std": (0.5, 0.5, 0.51)},
        {"channel_order": "bgr"},
        {"fit": "pad"},
    ],
)
def test_fingerprint_changes_with_preprocessing(change: dict[str, object]) -> None:
    assert make_small(**change).fingerprint() != make_small().fingerprint()


def test_fingerprint_does_not_depend_on_memory_format_or_class_names() -> None:
    model = make_small()
    before = model.fingerprint()
    model.to(memory_format=torch.contiguous_format)
    model.class_names = ()
    model.train()
    assert model.fingerprint() == before


def test_fingerprint_is_the_same_in_another_process(file: Path) -> None:
    code = (
        "import small\nfrom bitcodes.models.checkpoint import load_model\n"
        f"print(load_model({str(file)!r}).fingerprint())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HELPERS, check=True
    )
    assert done.stdout.strip() == make_small().fingerprint()


def test_a_file_cut_off_anywhere_is_an_error(file: Path) -> None:
    content = file.read_bytes()
    for size in {0, 1, 7, 8, 100, len(content) // 2, len(content) - 1}:
        file.write_bytes(content[:size])
        with pytest.raises(ModelError, match="is not a readable safetensors file"):
            load_model(file)


def test_every_changed_byte_is_an_error_or_does_no_harm(file: Path) -> None:
    content, whole = file.read_bytes(), make_small().fingerprint()
    length = int.from_bytes(content[:8], "little")
    header = range(8 + length)
    rng = np.random.default_rng(0)
    harmless = 0
    for place in [*header[::7], *rng.integers(8 + length, len(content), 100).tolist()]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        try:
            loaded = load_model(file)
        except BitcodesError:
            continue
        # Names of classes and of the device are not part of what makes the codes.
        assert place in header
        assert loaded.fingerprint() == whole
        harmless += 1
    assert harmless < 10


def test_damaged_weights_are_named(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors: is damaged: .* have changed"):
        load_model(file)


def test_files_of_others_are_errors(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(ModelError, match="is not a bitcodes model: its metadata has no 'bitcodes'"):
        load_model(other)
    save_file({"weight": torch.zeros(2)}, other, {"bitcodes": "{}"})
    with pytest.raises(ModelError, match="its description is damaged"):
        load_model(other)
    other.write_text("not a model")
    with pytest.raises(ModelError, match="is not a readable safetensors file"):
        load_model(other)


def rewrite(file: Path, tensors: dict[str, torch.Tensor] | None = None, **values: object) -> None:
    """Change tensors, or the values of the description, and leave the rest."""
    length = int.from_bytes(file.read_bytes()[:8], "little")
    about = json.loads(json.loads(file.read_bytes()[8 : 8 + length])["__metadata__"]["bitcodes"])
    merged = {k: v for k, v in {**load_file(file), **(tensors or {})}.items() if v.numel()}
    save_file(merged, file, {"bitcodes": json.dumps({**about, **values})})


def test_what_does_not_fit_is_named_with_both_sides(file: Path) -> None:
    rewrite(file, format="bitcodes-model/2")
    with pytest.raises(ModelError, match=r"expected format bitcodes-model/1, found .*/2"):
        load_model(file)
    rewrite(file, format="bitcodes-model/1", backbone="unheard_of")
    with pytest.raises(ModelError, match="unknown backbone 'unheard_of'"):
        load_model(file)
    rewrite(file, backbone="small", bits=7)
    message = (
        r"tensor hash_layer\.bias: expected torch\.float32 \(7,\), found torch\.float32 \(6,\)"
    )
    with pytest.raises(ModelError, match=message):
        load_model(file)
    rewrite(file, {"extra": torch.zeros(2)}, bits=6)
    with pytest.raises(ModelError, match=r"tensor extra: expected nothing, found .*\(2,\)"):
        load_model(file)
    rewrite(file, {"extra": torch.zeros(0), "hash_layer.bias": torch.zeros(6).half()})
    with pytest.raises(ModelError, match=r"expected torch\.float32 \(6,\), found torch\.float16"):
        load_model(file)
    rewrite(file, {"hash_layer.bias": torch.zeros(0)})
    with pytest.raises(ModelError, match=r"hash_layer\.bias: expected .*\(6,\), found nothing"):
        load_model(file)


@pytest.mark.posix
def test_a_run_its_file_and_the_newest_run_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(Path("runs/one"))
    (tmp_path / "runs/latest").symlink_to("one")
    models = [load_model(), load_model("runs/one"), load_model(run / "model.safetensors")]
    assert len({model.fingerprint() for model in models}) == 1
    assert models[0].fingerprint() == make_model().fingerprint()


def test_missing_runs_and_weights_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_model().bits == 128  # the built-in model
    with pytest.raises(ConfigError, match=r"nowhere: no such run"):
        load_model("nowhere")
    (tmp_path / "run").mkdir()
    with pytest.raises(ModelError, match=r"model\.safetensors: missing; the run has no weights"):
        load_model("run")


@pytest.mark.parametrize(
    ("field", "value"), [("bits", 0), ("bits", 10**12), ("hidden", 10**12), ("hidden", -1)]
)
def test_sizes_beyond_all_models_are_refused(file: Path, field: str, value: int) -> None:
    """Before a network of that size is made."""
    rewrite(file, **{field: value})
    with pytest.raises(ModelError, match=f"its description is damaged: .*{field}"):
        load_model(file)


def test_the_device_is_the_one_it_was_trained_on_or_the_cpu(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(file, device="cuda:7")
    assert load_model(file).device == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"--device cuda:7: not usable here \("):
        load_model(file, device="cuda:7")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "xla", ""])
def test_devices_that_are_not_there_are_errors(name: str) -> None:
    with pytest.raises(ConfigError, match=r"not usable here \(.*\); use auto, cpu, cuda"):
        choose_device(name)
    assert choose_device(name, strict=False) == torch.device("cpu")


def test_automatic_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert choose_device().type == expected


def test_nothing_is_left_of_a_write_that_fails(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    monkeypatch.setattr("bitcodes.models.checkpoint.save", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_model(make_small(seed=1), file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
