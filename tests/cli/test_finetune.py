"""`bitcodes finetune` as a user runs it."""

import errno
import io
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import commands
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from small import CLASSES, make_dataset, weights
from typer.testing import CliRunner

from bitcodes import files
from bitcodes.cli import console
from bitcodes.cli.app import app
from bitcodes.cli.finetune import _summary
from bitcodes.codes.codeset import CodeSet
from bitcodes.models.checkpoint import load_model
from bitcodes.runs import load_settings, resolve_run
from bitcodes.settings import Settings
from bitcodes.sources.lists import read_list
from bitcodes.training import trainer
from bitcodes.training.finetuning import Finetuned


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


QUICK = ["--backbone", "small", "--image-size", "32", "--batch-size", "8", "--device", "cpu"]
QUICK += ["--amp", "off", "--workers", "0", "--instance-bits", "0"]


run = partial(commands.run, "finetune")

LOSS = r"loss 0\.\d{4}, \d+ images/s"
TIME = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"


def test_trains_and_tells_of_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", data, *QUICK, "--epochs", 2, "--val", 0.15, "--bits", 16) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    expected = "41 images to train on, 7 to validate, 2 epochs, 32 pixels, 16 bits, on cpu"
    assert lines[0].startswith(expected)
    assert re.fullmatch(
        rf"{TIME} epoch 1/2, {LOSS}, validation mAP [01]\.\d{{4}}, \d+ s left",
        lines[-5],
    )
    assert re.fullmatch(rf"{TIME} epoch 2/2, {LOSS}, validation mAP [01]\.\d{{4}}", lines[-4])
    assert lines[-3].startswith("48 images, 7 of them held out, are too few to tell how good")
    assert re.fullmatch(
        r"finished runs/colours-small-csq-16 in \d+ s of training; validation mAP [01]\.\d{4} "
        r"after the last epoch"
        r"(, whose weights are the model|; the model is that of epoch 1, with [01]\.\d{4})",
        lines[-2],
    )
    assert lines[-1] == f"next: bitcodes encode {data / 'database.txt'}"
    assert resolve_run(None) == Path("runs/colours-small-csq-16").resolve()


def test_a_finished_run_says_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run("--data", data, *QUICK, "--epochs", 1) == 0
    assert capsys.readouterr().err.splitlines()[-2] == (
        "runs/colours-small-csq-48 is finished (1 epoch): nothing to do. "
        "Train on with a larger --epochs, or start over with --fresh."
    )


def test_minutes_after_minutes(data: Path) -> None:
    done = Finetuned(Path("runs/one"), Settings(data=data), [], already=True)
    assert _summary(done, 3) == (
        "runs/one is finished, and --minutes plans a training from its beginning: to train anew "
        "for 3 minutes, add --fresh"
    )


def test_a_folder_without_labels(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in data.glob("*.png"):
        Path("photos").mkdir(exist_ok=True)
        shutil.copy(path, "photos")
    flags = ["--data", "photos", "--loss", "itq", *QUICK]
    assert run(*flags) == 0
    *_, end, next_line = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"finished runs/photos-small-itq-128 in \d+ s of training", end)
    assert next_line == "next: bitcodes encode photos"
    assert run(*flags) == 0
    *_, end, next_line = capsys.readouterr().err.splitlines()
    assert end == "runs/photos-small-itq-128 is finished: nothing to do. Start over with --fresh."
    assert next_line == "next: bitcodes encode photos"


def test_class_folders_are_trained_on_at_once(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = read_list(data / "train.txt")
    assert images.labels is not None
    for path, label in zip(images.paths, images.labels.argmax(1), strict=True):
        folder = Path("My Pets", CLASSES[label])
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / path, folder)
    flags = ["--data", "My Pets", *QUICK, "--bits", "16"]
    assert run(*flags, "--epochs", 1) == 0
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("classes: blue, green, grey, red (the folders in ")
    assert first.endswith("My Pets); to fit without them: --loss itq")
    assert second.endswith("; the lists are in runs/My Pets-small-csq-16/lists")
    made = Path("runs/My Pets-small-csq-16")
    assert load_settings(made).data == Path("My Pets").absolute()
    lists = (made / "lists/train.txt").read_bytes()
    assert len(lists.splitlines()) == 44

    # More images change neither what a training goes on with nor what it is evaluated on.
    shutil.copy(data / images.paths[0], Path("My Pets/red/new.png"))
    assert run(*flags, "--epochs", 2) == 0
    assert "classes:" not in capsys.readouterr().err
    assert (made / "lists/train.txt").read_bytes() == lists
    assert commands.run("evaluate", "--workers", 0) == 0
    assert "4 queries against 44 images" in capsys.readouterr().out
    assert run(*flags, "--epochs", 1, "--fresh") == 0
    assert b"new.png" in b"".join(path.read_bytes() for path in (made / "lists").iterdir())


def test_a_label_free_run_says_what_evaluation_needs(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("My Photos").mkdir()
    for path in data.glob("*.png"):
        shutil.copy(path, "My Photos")
    assert run("--data", "My Photos", *QUICK) == 0
    assert "has no class folders, so its images are fitted" in capsys.readouterr().err
    assert commands.run("evaluate") == 1
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert "My Photos has no class folders, and figures of quality need labels" in first
    assert second == "  bitcodes evaluate --data CLASS-FOLDERS"


def test_codes_of_other_models_stay_and_the_next_command_works(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever code sets are there, the last line is a command that works, also a second time."""
    photos = Path("photos")
    photos.mkdir()
    for path in sorted(data.glob("*.png"))[:8]:
        shutil.copy(path, photos)
    assert commands.run("encode", photos, "--run", "built-in", "--workers", 0) == 0
    flags = ["--data", data, *QUICK, "--max-steps", 1, "--bits", 16]
    names = []
    for seed in (0, 1, 2, 3):
        assert run(*flags, "--seed", seed, "--fresh") == 0
        for _ in range(2):
            next_line = capsys.readouterr().err.splitlines()[-1]
            words = shlex.split(next_line.removeprefix("next: bitcodes "))
            assert commands.run(*words, "--workers", 0) == 0
            assert run(*flags, "--seed", seed) == 0
        names.append(words[words.index("-o") + 1])
    made = "colours-small-csq-16"
    assert names == ["trained.npy", f"{made}.npy", f"{made}-2.npy", f"{made}-3.npy"]
    assert CodeSet.open("codes.npy").header.run == "built-in-128"


def test_codes_of_other_images_stay_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", data, *QUICK, "--max-steps", 1]
    assert run(*flags) == 0
    assert commands.run("encode", data / "test.txt", "--workers", 0) == 0
    assert run(*flags) == 0
    words = shlex.split(capsys.readouterr().err.splitlines()[-1].removeprefix("next: bitcodes "))
    assert words[-2:] == ["-o", "trained.npy"]
    assert commands.run(*words, "--workers", 0) == 0


@pytest.mark.parametrize("share", [0.03, 0.0])
def test_validation_that_measures_nothing_says_so(
    data: Path, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", data, *QUICK, "--epochs", 1, "--val", share) == 0
    shown = capsys.readouterr().err
    assert "mAP 0" not in shown
    lines = shown.splitlines()
    if share:
        assert "48 images to train on, none to validate (too few images), 1 epoch" in lines[0]
        assert "validation mAP not measured (too few images); the model is that of" in lines[-2]
    else:
        assert "48 images to train on, 0 to validate, 1 epoch" in lines[0]
        assert lines[-2].endswith("of training; the model is that of the last epoch")
    metrics = Path("runs/colours-small-csq-48/metrics.jsonl").read_text()
    assert not json.loads(metrics).keys() & {"val_map", "val_error"}


@pytest.mark.posix
def test_names_that_are_not_utf_8(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = Path(os.fsdecode(b"caf\xe9"))
    for path in sorted(data.glob("*.png"))[:24]:
        place = odd / (str(odd) if int(path.stem) % 2 else "tea")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    assert run("--data", odd, *QUICK, "--max-steps", 1) == 0
    made = Path("runs/caf_e9-small-csq-48")
    assert load_settings(made).data == odd.absolute()
    assert load_model(made).class_names == (r"caf\xe9", "tea")
    assert commands.run("evaluate", "--workers", 0) == 0
    assert commands.run("encode", odd, "--workers", 0) == 0
    Path("my", odd).mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    for folder in (data, odd):
        assert run("--data", folder, *QUICK, "--max-steps", 1, "--run", Path("my", odd, "run")) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.endswith(
            r"my/caf\xe9/run: the path of a run must be UTF-8, because TensorBoard and safetensors "
            "take no other; choose another folder with --run"
        )
    assert sorted(Path().rglob("*")) == before


def test_the_folder_may_be_named_without_an_option(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, *QUICK, "--max-steps", 1) == 0
    assert Path("runs/colours-small-csq-48").is_dir()
    assert run(data, "--data", data, *QUICK, "--max-steps", 1) == 0
    assert run(data, "--data", "other", *QUICK) == 2
    assert "give one folder" in capsys.readouterr().err


def test_minutes_are_not_needed_without_labels(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos").mkdir()
    for path in data.glob("*.png"):
        shutil.copy(path, "photos")
    for more in ([], ["--loss", "lsh"]):
        assert run("--data", "photos", *QUICK, "--minutes", 1, *more) == 0
        lines = capsys.readouterr().err.splitlines()
        told = [line for line in lines if "--minutes" in line]
        assert told == ["--minutes is not needed: without labels, each image is read once"]


def test_with_minutes_no_number_of_epochs_is_promised(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", data, *QUICK[:-2], "--workers", 0, "--minutes", 0.1) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "a few training steps were timed: epochs and image sizes are chosen to fit" in lines[0]
    assert re.search(r", about [\d,]+ epochs?, ", lines[1])
    epochs = [line for line in lines if re.match(rf"{TIME} epoch ", line)]
    assert epochs
    assert all(re.match(rf"{TIME} epoch \d+, (\d+% done, )?loss ", line) for line in epochs)


def test_failed_starts_leave_nothing_and_load_no_torch(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (["nowhere"], ["empty", "--loss", "csq"], ["empty", "--weights", "no.pth"]):
        script = (
            "import sys\n"
            "from bitcodes.cli.app import main\n"
            "try: main(sys.argv[1:])\n"
            "except SystemExit as end: assert end.code == 1\n"
            "assert 'torch' not in sys.modules\n"
        )
        command = [sys.executable, "-c", script, "finetune", "--data", *arguments]
        subprocess.run(command, check=True)
        assert not Path("runs").exists()


def test_a_start_that_fails_later_leaves_nothing_either(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("w.pth").write_bytes(b"text")
    assert run("--data", data, *QUICK, "--weights", "w.pth") == 1
    assert "w.pth: cannot be read" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_json_is_one_document(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for already in (False, True):
        assert run("--data", data, *QUICK, "--epochs", 2, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["run"] == "runs/colours-small-csq-48"
        assert document["already_finished"] == already
        assert document["kept_epoch"] in (1, 2)
        assert [line["epoch"] for line in document["history"]] == [1, 2]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.25, 0.5], "validation mAP 0.5000 after the last epoch, whose weights are the model"),
        ([0.5, 0.45], "validation mAP 0.4500 after the last epoch, whose weights are the model"),
        (
            [0.5, 0.25],
            "validation mAP 0.2500 after the last epoch; the model is that of epoch 1, with 0.5000",
        ),
    ],
)
def test_the_end_tells_of_the_last_epoch_and_the_kept_one(
    data: Path,
    scores: list[float],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = iter(scores)
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda trainer: (next(left), 0.1))
    assert run("--data", data, *QUICK, "--epochs", 2, "--val", 0.15) == 0
    assert capsys.readouterr().err.splitlines()[-2].endswith(f"of training; {message}")


def test_missing_data_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    told = capsys.readouterr().err
    assert (
        "--data is missing; name a folder with --data: one with a folder of images per class, one "
        "that `bitcodes prepare` made, or one of images without classes" in told
    )
    assert run("--data", "nowhere", "--bits", 0) == 2
    assert "--bits: expected a whole number from 1 to 1,024; found '0'" in capsys.readouterr().err
    Path("wrong.yaml").write_text("data: nowhere\nbits: 0\n")
    assert run("--config", "wrong.yaml") == 1
    assert "error: wrong.yaml and options: bits: expected a whole" in capsys.readouterr().err
    assert run("--data", "nowhere") == 1
    assert "bitcodes prepare" in capsys.readouterr().err


def test_flags_win_over_the_file(data: Path) -> None:
    Path("p.yaml").write_text(
        f"data: {data}\nbackbone: small\nbits: 16\nimage_size: 32\nepochs: 1\naugment: false\n"
        "device: cpu\namp: off\n"
    )
    assert run("--config", "p.yaml", "--run", "one", "--workers", 0) == 0
    settings = load_settings(Path("one"))
    assert (settings.bits, settings.augment, settings.amp) == (16, False, "off")
    assert run("--config", "p.yaml", "--run", "two", "--bits", 24, "--augment", *QUICK) == 0
    settings = load_settings(Path("two"))
    assert (settings.bits, settings.augment, settings.epochs) == (24, True, 1)


def test_config_yaml_of_a_run_repeats_it(data: Path) -> None:
    assert run("--data", data, *QUICK, "--epochs", 1, "--val", 0.15) == 0
    first = Path("runs/colours-small-csq-48")
    assert run("--config", first / "config.yaml", "--run", "again", "--workers", 0) == 0
    names = ("model.safetensors", "config.yaml")
    for name in names:
        assert Path("again", name).read_bytes() == (first / name).read_bytes()


def test_wrong_settings_name_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.yaml").write_text("data: d\nbit: 16\nepochs: 0\n")
    assert run("--config", "p.yaml") == 1
    first, second = sorted(capsys.readouterr().err.splitlines())
    expected = "epochs: expected auto or a whole number of at least 1; found 0"
    assert first == f"error: p.yaml and options: {expected}"
    assert second == "p.yaml and options: unknown setting 'bit'; did you mean 'bits'?"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--epochs", "ten", "expected auto or a whole number of at least 1; found 'ten'"),
        ("--epochs", "0", "expected auto or a whole number of at least 1; found '0'"),
        ("--image-size", "128,64", "expected sizes in ascending order, such as 64,128; found"),
        ("--bits", "2000", "expected a whole number from 1 to 1,024; found '2000'"),
        ("--device", "gpu", "expected auto, cpu, cuda, cuda:N or mps; found 'gpu'"),
        ("--learning-rate", "-1", "expected auto or a number above 0; found '-1'"),
        ("--momentum", "much", "expected a number from 0 to below 1; found 'much'"),
        ("--minutes", "0", "expected a number of at least 0.1; found '0'"),
        ("--minutes", "1", "it chooses the epochs; leave out --epochs"),
        ("--optimizer", "adam", "expected auto, sgd or adamw; found 'adam'"),
        ("--loss", "hinge", "expected ce, csq,"),
        ("--schedule", "linear", "expected cosine or constant; found 'linear'"),
        ("--amp", "on", "expected auto, off or bfloat16; found 'on'"),
    ],
)
def test_a_mistyped_value_is_wrong_usage(
    option: str, value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--epochs", "3"] if value == "1" else []
    assert run("--data", "d", option, value, *more) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {option}: {reason}")
    assert shown.err.splitlines()[1:] == ["help: bitcodes finetune --help"]


def test_help_begins_with_what_most_people_need() -> None:
    lines = (
        CliRunner().invoke(app, ["finetune", "--help"], env={"COLUMNS": "80"}).output.split("\n")
    )
    panels = [line.split()[1] for line in lines if line.startswith("╭─")]
    assert panels[0] == "Options"
    end = next(i for i, line in enumerate(lines) if line.startswith("╰"))
    first = [m[1] for line in lines[:end] if (m := re.match(r"│ --(?:\[no-\])?([a-z-]+)", line))]
    assert first == [
        *("data", "minutes", "bits", "loss", "backbone", "epochs", "image-size", "freeze"),
        *("run", "fresh", "help"),
    ]
    assert max(map(len, lines)) <= 80


def test_other_settings_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", data, *QUICK, "--epochs", 1) == 0
    assert run("--data", data, *QUICK, "--epochs", 1, "--seed", 1) == 1
    assert "  seed: 0 in the run, 1 now\n" in capsys.readouterr().err
    assert run("--data", data, *QUICK, "--epochs", 1, "--seed", 1, "--fresh") == 0


def test_help_tells_the_true_defaults() -> None:
    shown = CliRunner().invoke(app, ["finetune", "--help"], env={"COLUMNS": "400"}).output
    reports = {
        flag.replace("-", "_"): default
        for flag, default in re.findall(r"--(?:\[no-\])?([a-z-]+) .* Default: (\S+?)\.? ", shown)
    }
    fields = Settings.model_fields
    assert reports.keys() >= fields.keys() - {"data"}
    for name in fields.keys() - {"data"}:
        real, default = fields[name].default, reports[name]
        if isinstance(real, bool):
            assert default == ("on" if real else "off")
        else:
            assert type(real)(default) == real, name


def test_a_terminal_shows_one_line_that_moves(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, height=20)
    monkeypatch.setattr(console, "err", terminal)
    assert run("--data", data, *QUICK, "--epochs", 2) == 0
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"^ *epoch 1/2, loss", plain.replace("\r", "\n"), re.M)
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # one live display


def test_interrupting_the_real_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the default backbone, through `python -m bitcodes`, stopped by Ctrl-C."""
    data = make_dataset(tmp_path / "colours", count=32)
    flags = ["--data", str(data), "--image-size", "32", "--batch-size", "8", "--epochs", "2"]
    flags += ["--device", "cpu", "--amp", "off", "--workers", "0", "--val", "0"]
    command = [sys.executable, "-m", "bitcodes", "finetune", *flags]
    begun = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    for line in begun.stderr:
        if " epoch 1/2, loss" in line:  # the epoch has ended
            break
    begun.send_signal(signal.SIGINT)
    rest = begun.stderr.read()
    assert begun.wait(20) == 130
    assert rest == (
        "interrupted; the same command continues where it stopped, and evaluate and encode work "
        "with what it has learned so far\n"
    )

    assert run(*flags) == 0
    assert "resuming at epoch 2 of 2, step " in capsys.readouterr().err
    assert run(*flags, "--run", "undisturbed") == 0
    stopped = Path("runs/colours-tf_efficientnet_lite0_stages-csq-48+128")
    assert weights(stopped) == weights(Path("undisturbed"))


def test_weights_come_from_a_file_are_random_or_are_the_published_ones(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--data", data, *QUICK, "--epochs", 1, "--learning-rate", 1e-9]
    assert run(*quick, "--run", "published") == 0
    assert run(*quick, "--run", "random", "--no-pretrained") == 0
    # A model that bitcodes saved gives its backbone.
    file = Path("published/model.safetensors")
    assert run(*quick, "--run", "file", "--weights", file) == 0
    settings = [load_settings(Path(name)).weights for name in ("published", "random", "file")]
    assert settings == ["pretrained", "random", file.absolute()]
    first, other, same = (
        load_file(f"{name}/model.safetensors")["backbone.3.weight"]
        for name in ("published", "random", "file")
    )
    assert torch.allclose(first, same, atol=1e-6)
    assert not torch.allclose(first, other, atol=1e-2)

    assert run(*quick, "--weights", "nowhere.pth") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {Path('nowhere.pth').absolute()}: no such file of weights"
    )
    assert run(*quick, "--weights", file, "--no-pretrained") == 2
    assert "not both" in capsys.readouterr().err


@pytest.mark.posix
def test_a_drive_without_posix_habits(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(files, "_told", set())
    monkeypatch.setattr(files, "_listeners", [])
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(Path, "chmod", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    assert run("--data", data, *QUICK, "--epochs", 1) == 0
    shown = capsys.readouterr().err
    assert shown.count("note: new files may be lost if the power fails now") == 1
    assert shown.count("note: nothing keeps another process from writing run runs/") == 1
    assert commands.run("encode", data / "database.txt", "--workers", 0) == 0
    assert commands.run("index", "codes.npy") == 0
    assert commands.run("prepare", "demo", "demo") == 0
    assert commands.run("evaluate", "--workers", 0) == 0
    assert "Traceback" not in capsys.readouterr().err
