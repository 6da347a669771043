"""Settings: what is refused and how it is said, files that repeat a run, and where runs are."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from bitcodes.errors import ConfigError
from bitcodes.losses import LABEL_FREE, LOSSES, LossName
from bitcodes.runs import load_settings
from bitcodes.settings import Optimizer, ResolvedSettings, Settings, backbone_name
from bitcodes.settings_file import read_settings_file


def problem(where: str = "params.yaml", **values: Any) -> str:
    """What is said of these settings."""
    with pytest.raises(ConfigError) as error:
        Settings.build({"data": "d", **values}, where)
    return str(error.value)


def test_unknown_keys_are_named_with_the_known() -> None:
    first, second, third = problem(bit=32, learning_rte=1, colour=3).splitlines()
    assert first == "params.yaml: unknown setting 'bit'; did you mean 'bits'?"
    assert second == "params.yaml: unknown setting 'learning_rte'; did you mean 'learning_rate'?"
    known = "data, backbone, weights, hidden, loss, loss_args, bits,"
    assert third.startswith(f"params.yaml: unknown setting 'colour'; known are {known}")


BITS, AUTO = "a whole number from 1 to 1,024", "auto or a number"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bits", "many", f"expected {BITS}; found 'many'"),
        ("bits", 12.5, f"expected {BITS}; found 12.5"),
        ("bits", True, f"expected {BITS}; found true"),
        ("bits", None, f"expected {BITS}; found nothing"),
        ("bits", [48], f"expected {BITS}; found [48]"),
        ("bits", {"a": 1}, f"expected {BITS}; found `name: value` pairs"),
        ("bits", 0, f"expected {BITS}; found 0"),
        ("bits", 1025, f"expected {BITS}; found 1025"),
        ("epochs", 0, "expected auto or a whole number of at least 1; found 0"),
        ("batch_size", 1, "expected a whole number of at least 2; found 1"),
        ("learning_rate", 0, f"expected {AUTO} above 0; found 0"),
        ("learning_rate", "fast", f"expected {AUTO} above 0; found 'fast'"),
        ("head_learning_rate", float("nan"), f"expected {AUTO} above 0; found nan"),
        ("weight_decay", float("inf"), f"expected {AUTO} of at least 0; found inf"),
        ("weight_decay", -1, f"expected {AUTO} of at least 0; found -1"),
        ("val", 1, "expected a number from 0 to below 1; found 1"),
        ("val", -0.1, "expected a number from 0 to below 1; found -0.1"),
        ("shift", 0.6, "expected a number from 0 to 0.5; found 0.6"),
        ("seed", -1, "expected a whole number of at least 0; found -1"),
        ("loss", "hinge", "expected ce, csq, "),
        ("amp", "on", "expected auto, off or bfloat16; found 'on'"),
        ("amp", True, "expected auto, off or bfloat16; found true"),
        ("augment", "perhaps", "expected true or false; found 'perhaps'"),
        ("device", "gpu", "expected auto, cpu, cuda, cuda:N or mps; found 'gpu'"),
        ("device", "cuda:x", "expected auto, cpu, cuda, cuda:N or mps; found 'cuda:x'"),
        ("optimizer", "adam", "expected auto, sgd or adamw; found 'adam'"),
        ("schedule", "linear", "expected cosine or constant; found 'linear'"),
        ("retrain", "a b", "expected none or names of layers with commas, such as fc6,fc7; found"),
        ("data", 3, "expected a path; found 3"),
        ("backbone", 3, "expected text; found 3"),
    ],
)
def test_wrong_values_are_named_with_what_was_expected(key: str, value: Any, message: str) -> None:
    (line,) = problem(**{key: value}).splitlines()
    assert line.startswith(f"params.yaml: {key}: {message}")
    (line,) = problem("", **{key: value}).splitlines()
    assert line.startswith(f"--{key.replace('_', '-')}: {message}")


RESOLVED = {
    **{"data": "/d", "hidden": 0, "image_size": [64, 128], "epochs": 4, "optimizer": "sgd"},
    **{"learning_rate": 0.1, "head_learning_rate": 0.2, "weight_decay": 0, "zoom": 0.2},
    **{"rand_augment": 4, "freeze_stages": 1, "device": "cpu", "amp": "off", "crop": 1},
}


def test_resolved_settings_are_the_same_settings_without_auto() -> None:
    resolved = ResolvedSettings.build(RESOLVED)
    assert isinstance(resolved, Settings)
    assert resolved == Settings.build(RESOLVED)
    assert resolved.to_dict() == Settings.build(RESOLVED).to_dict()
    assert [resolved.size_in(epoch) for epoch in (0, 1, 2, 3, -1)] == [64, 64, 128, 128, 128]
    assert pickle.loads(pickle.dumps(resolved)) == resolved
    for name in RESOLVED.keys() - {"data", "device"}:
        with pytest.raises(ConfigError, match=f"^settings: {name}: expected .*found 'auto'$"):
            ResolvedSettings.build({**RESOLVED, name: "auto"})


def test_settings_are_stored_as_plain_values() -> None:
    settings = Settings.build({"data": "/d", "optimizer": Optimizer.ADAMW, "loss": LossName.DPN})
    values = settings.to_dict()
    assert (settings.optimizer, values["optimizer"], values["loss"]) == (
        Optimizer.ADAMW,
        "adamw",
        "dpn",
    )
    assert {type(value) for value in values.values()} == {str, int, float, bool}


def test_a_wrong_image_size_is_one_line() -> None:
    message = problem(image_size=20)
    assert message == (
        "params.yaml: image_size: expected auto, a whole number from 32 to 1,024 or several of "
        "them with commas; found 20"
    )


@pytest.mark.parametrize("given", ["64,128", [64, 128], "64, 128"])
def test_several_image_sizes(given: object) -> None:
    settings = Settings.build({"data": "d", "image_size": given})
    assert settings.image_size == [64, 128]
    assert Settings.build(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": "128,64"}, "image_size: expected sizes in ascending order, such as 64,128"),
        ({"image_size": "64,"}, "image_size: expected auto, a whole number from 32 to 1,024 or"),
        (
            {"image_size": "64,128", "epochs": 1},
            "image_size: expected at most one size per epoch; found 2 sizes for 1 epoch",
        ),
        (
            {"image_size": "64,128", "freeze": True},
            "image_size: expected one size with freeze; found several",
        ),
    ],
)
def test_several_image_sizes_that_cannot_be(values: dict[str, Any], message: str) -> None:
    assert message in problem(**values)


def test_settings_of_the_command_line_are_called_by_their_options() -> None:
    assert problem("", freeze_stages=2, retrain="fc6") == (
        "--freeze-stages (train all but the first 2) and --retrain (train only fc6) contradict "
        "each other; choose one"
    )
    with pytest.raises(ConfigError, match=r"^--data is missing; name a folder"):
        Settings.build({}, "")


def test_all_problems_are_told_at_once() -> None:
    assert len(problem(bits=0, epochs="x", colour="red").splitlines()) == 3


def test_missing_data_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match=r"^settings: data is missing; name a folder with --data"):
        Settings.build({})


def test_numbers_in_words_of_a_command_line_are_understood() -> None:
    settings = Settings.build({"data": "d", "image_size": "64", "learning_rate": "1e-3"})
    assert (settings.image_size, settings.learning_rate) == (64, 1e-3)


@pytest.mark.posix
def test_data_is_kept_absolute_and_links_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert Settings(data=Path("link")).data == tmp_path / "link"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


YAML = "data: d\nbits: 32\nlearning_rate: 1e-3\naugment: no\namp: off\nval: 0.1 # held out\n"


@pytest.mark.parametrize("content", [YAML, YAML.replace("\n", "\r\n"), "\N{BOM}" + YAML])
def test_yaml(tmp_path: Path, content: str) -> None:
    settings = Settings.build(read_settings_file(write(tmp_path / "p.yaml", content)))
    assert (settings.bits, settings.learning_rate, settings.val) == (32, 1e-3, 0.1)
    assert not settings.augment
    assert settings.amp == "off"  # which YAML itself reads as false


@pytest.mark.parametrize("bom", ["", "\N{BOM}"])
def test_json(tmp_path: Path, bom: str) -> None:
    file = write(tmp_path / "p.JSON", bom + json.dumps({"data": "d", "image_size": 64}))
    assert Settings.build(read_settings_file(file)).image_size == 64


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert read_settings_file(write(tmp_path / "p.yaml", "# nothing\n")) == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.yaml", "bits: [1", "is not valid YAML: .*line"),
        ("p.json", '{"bits": 48', "is not valid JSON: .*line 1"),
        ("p.yaml", "- bits\n", "expected settings as `name: value` pairs; found \\[bits\\]"),
        ("p.json", "48", "expected settings as `name: value` pairs; found 48"),
        ("p.yaml", b"bits: \xff", "cannot be read as text"),
        ("p.yaml", "a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_broken_files_are_named(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {message}") as error:
        read_settings_file(write(tmp_path / name, content))
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"p\.yaml: no such settings file"):
        read_settings_file(tmp_path / "p.yaml")
    with pytest.raises(ConfigError, match="it is a folder, not a file"):
        read_settings_file(tmp_path)


def test_saved_settings_read_back_the_same(tmp_path: Path) -> None:
    settings = Settings.build(
        {"data": "/a b/ä: #1", "image_size": "auto", "amp": "off", "learning_rate": 1e-5, "val": 0}
    )
    settings.save(tmp_path / "config.yaml")
    assert load_settings(tmp_path) == settings
    assert list(tmp_path.iterdir()) == [tmp_path / "config.yaml"]


def test_differences_are_listed_both_ways() -> None:
    one = Settings.build({"data": "d", "bits": 32, "loss": "ce"})
    other = Settings.build({"data": "d", "bits": 48, "loss": "ce", "seed": 1})
    assert one.differences(other) == {"bits": (32, 48), "seed": (0, 1)}
    assert one.differences(one) == {}


def test_the_backbone_follows_from_what_its_features_are_for() -> None:
    def chosen(**values: Any) -> str:
        return backbone_name(Settings.build({"data": "d", **values}))

    assert chosen() == chosen(freeze=True) == "tf_efficientnet_lite0_stages"
    for loss in LABEL_FREE:
        for freeze in (False, True):
            assert chosen(loss=loss, freeze=freeze) == "tf_efficientnet_lite0_trunk"
    assert chosen(loss="itq", freeze=True, backbone="alexnet") == "alexnet"


def test_the_losses_without_labels_are_those_that_there_are() -> None:
    labels = {name: Settings.build({"data": "d", "loss": name}).loss.label_free for name in LOSSES}
    assert not any(labels.values())
    assert all(Settings.build({"data": "d", "loss": name}).loss.label_free for name in LABEL_FREE)
    assert set(LossName) == {*LOSSES, *LABEL_FREE}
