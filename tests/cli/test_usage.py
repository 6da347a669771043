"""Wrong usage: one line that says what was expected and found, and what was perhaps meant."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run

from bitcodes.cli.app import SUMMARIES


def told(capsys: pytest.CaptureFixture[str], *words: object, status: int = 2) -> str:
    """The error of a command, without "error: "; nothing else may be printed but where help is."""
    assert run(*words) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    error, *help_ = shown.err.splitlines()
    if status == 2:
        assert len(help_) == 1 and re.fullmatch(r"help: bitcodes( [a-z0-9]+)* --help", help_[0])
    assert error.startswith("error: ")
    return error.removeprefix("error: ")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(("serach", "search"), ("encod", "encode"), ("Encode", "encode"), ("duplicate", "dupl")),
        *(("fine-tune", "finetune"), ("eval", "evaluate"), ("indx", "index"), ("mrege", "merge")),
        *(("exprot", "export"), ("inf", "info"), ("prepar", "prepare")),
    ],
)
def test_a_mistyped_command_is_recognised(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = told(capsys, word, "x")
    assert error.startswith(f"no such command: {word}; did you mean {meant}")


def test_an_unknown_command_is_told_with_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "zzz").startswith("no such command: zzz; expected prepare, finetune, ")
    assert told(capsys, "prepare", "demos") == "no such command: demos; did you mean demo?"
    assert told(capsys, "prepare", "zzz").endswith("expected cifar10, folder, lists or demo")
    assert told(capsys, "zzz" * 99).startswith("no such command: zzz")


def test_a_path_in_place_of_a_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.make_archive("ph", "zip", "photos")
    Path("list.txt").write_text("photos/00.png\n")
    Path("notes.md").write_text("text")
    assert run("encode", "photos", "-o", "codes.npy") == 0
    capsys.readouterr()
    for words, expected in (
        (("photos/",), "a folder; to encode it: bitcodes encode photos/"),
        (("photos", "-o", "x.npy"), "a folder; to encode it: bitcodes encode photos -o x.npy"),
        (("ph.zip",), "an archive; to encode it: bitcodes encode ph.zip"),
        (("list.txt",), "a list file; to encode it: bitcodes encode list.txt"),
        (("photos/00.png",), "an image; to search for it: bitcodes search photos/00.png"),
        (("codes.npy",), "a code set; to search in it: bitcodes search PHOTO --codes codes.npy"),
        (("runs/one",), "a run; to describe it: bitcodes info runs/one"),
        (
            ("runs/one/model.safetensors",),
            "a model file; to describe it: bitcodes info runs/one/model.safetensors",
        ),
        (("https://x/a.zip",), "a URL; to encode it: bitcodes encode https://x/a.zip"),
    ):
        assert told(capsys, *words) == f"expected a command; found {expected}"
    assert told(capsys, "notes.md").startswith("no such command: notes.md; expected prepare")
    error = told(capsys, "prepare", "photos/")
    assert error.endswith(
        "it, if it holds class folders: bitcodes prepare folder photos/ data/photos"
    )


def test_info_says_what_else_is_and_which_command_takes_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.make_archive("ph", "tar", "photos")
    Path("list.txt").write_text("photos/00.png\n")
    expected = "expected a code set (.npy), a run or a model file; found"
    for path, found in (
        ("photos", "a folder; to encode it: bitcodes encode photos"),
        ("photos/00.png", "an image; to search for it: bitcodes search photos/00.png"),
        ("ph.tar", "an archive; to encode it: bitcodes encode ph.tar"),
        ("list.txt", "a list file; to encode it: bitcodes encode list.txt"),
    ):
        assert told(capsys, "info", path, status=1) == f"{path}: {expected} {found}"
    none = "there is no such code set, run or model file"
    assert told(capsys, "info", "none", status=1) == f"none: {none}"
    assert told(capsys, "info", "n.onnx", status=1) == f"n.onnx: {none}"
    Path("notes.md").write_text("text")
    assert told(capsys, "info", "notes.md", status=1).startswith("notes.md: ")


NUMBERS = {
    "search": ("-k", "--radius", "--shortlist", "--workers", "--threads"),
    "encode": ("--batch-size", "--workers", "--bits"),
    "duplicates": ("--radius", "--max-group", "--workers", "--threads"),
    "serve": ("--port", "--threads"),
    "evaluate": ("--copies", "--batch-size", "--workers"),
    "finetune": (
        *(
            "--bits",
            "--instance-bits",
            "--epochs",
            "--image-size",
            "--max-steps",
            "--batch-size",
            "--val",
            "--seed",
        ),
        *(
            "--summary-steps",
            "--hidden",
            "--crop",
            "--workers",
            "--shift",
            "--zoom",
            "--rand-augment",
        ),
        *("--freeze-stages", "--learning-rate", "--head-learning-rate", "--weight-decay"),
        *("--warm-up", "--momentum", "--dropout", "--label-smoothing", "--dither", "--ema"),
        "--minutes",
    ),
    "prepare cifar10": ("--split", "--seed"),
    "prepare folder": ("--queries", "--train", "--seed"),
    "prepare demo": ("--seed",),
    "select": ("-n",),
}


@pytest.mark.parametrize("command", NUMBERS)
def test_a_value_that_is_no_such_number_is_wrong_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.split()
    for option in NUMBERS[command]:
        for value in ("ten", "-1", "1e400", "nan", "9" * 5000):
            error = told(capsys, *words, option, value)
            assert error.startswith(f"{option}: expected ") and "; found '" in error
            assert len(error) < 250
            assert not re.search(r"Value error|Input should|[<>{}]|=|\bint\b|[a-z]_[a-z]", error)


def test_every_number_of_the_help_is_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    for command in {*SUMMARIES, *NUMBERS} - {"prepare"}:
        assert run(*command.split(), "--help") == 0
        shown = capsys.readouterr().out
        numbers = set(
            re.findall(r"(?m)^│ +(?:\* +)?(-[-a-z]+) +(?:N|X|N,\.\.\.|M|32\S*)(?: |$)", shown)
        )
        assert numbers == set(NUMBERS.get(command, ()))
        assert not re.search(r"<[a-z]|range>|x[<>]=|\[default", shown)


def test_options_and_arguments_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for words, error in (
        (("search", "x", "--radus", "3"), "no such option: --radus; did you mean --radius?"),
        (("search", "x", "--zzzzz"), "no such option: --zzzzz"),
        (("search", "-k"), "-k: expected a value after it"),
        (("encode", "x", "--strict=3"), "--strict: expected no value"),
        (("info", "a", "b", "c"), "expected no more arguments; found b c"),
        (("export",), "FILE is missing; expected file to write"),
        (
            ("duplicates", "--keep", "best"),
            "--keep: expected first, largest, oldest, shortest-path or folder:DIR, "
            "or several with commas; found 'best'",
        ),
        (("encode", "--append"), "--append: it needs IMAGES"),
        (
            ("encode", "x", "--device", "gpu"),
            "--device: expected auto, cpu, cuda, cuda:N or mps; found 'gpu'",
        ),
        (("search", "x", "--rerank", "--asymmetric"), "--asymmetric: use it or --rerank, not both"),
    ):
        assert told(capsys, *words) == error
    assert told(capsys, "search").startswith("QUERIES is missing; expected images to search for: ")


OUTPUTS = (
    ("encode", "photos", "-o", "none/x.npy"),
    ("merge", "codes.npy", "-o", "none/x.npy"),
    ("search", "photos/00.png", "--html", "none/x.html"),
    ("search", "photos/00.png", "--copy-to", "none/x"),
    ("duplicates", "--html", "none/x.html"),
    ("duplicates", "--move-to", "none/x"),
    ("duplicates", "--list", "none/x.txt"),
    ("select", "--html", "none/x.html"),
    ("evaluate", "--queries", "codes.npy", "--database", "codes.npy", "--report", "none/x.html"),
    ("evaluate", "--queries", "codes.npy", "--database", "codes.npy", "--plots", "none/x"),
    ("export", "none/x.onnx"),
    ("export", "codes.npy", "none/x.csv"),
    ("prepare", "folder", "classes", "none/x"),
    ("prepare", "demo", "none/x"),
    ("prepare", "cifar10", "none/x", "--source", "photos"),
    ("finetune", "--data", "photos", "--run", "none/x"),
)


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_outputs_make_no_folders_around_them(
    place: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        shutil.copytree("photos", Path("classes", name))
    np.save("codes.npy", np.zeros((3, 3), np.uint8))
    assert run(*words) == 1
    name = next(word for word in words if word.startswith("none"))
    error = capsys.readouterr().err.splitlines()[-1]
    path = Path(name)
    assert error == (
        f"error: cannot write {path}: there is no folder none; create it, or name another place"
    )
    assert not Path("none").exists()
    Path("none").touch()
    assert run(*words) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: cannot write {path}: none is not a folder; name another place"


def test_runs_and_data_are_made_when_needed(place: Path) -> None:
    Path("photos").rename("images")
    for name in ("cat", "dog"):
        shutil.copytree("images", Path("classes", name))
    assert run("prepare", "folder", "classes", "data/lists") == 0
    assert Path("data/lists/train.txt").is_file()
