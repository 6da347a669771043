"""Which model encodes: the one named, that of an existing set, or the newest run."""

from functools import partial
from pathlib import Path

import pytest
from commands import run
from tiny import make_pictures, make_run

from bitcodes.builtin import BUILT_IN_BITS
from bitcodes.codes.codeset import CodeSet
from bitcodes.models.builtin import FINGERPRINTS
from bitcodes.runs import set_latest
from bitcodes.tasks.encoding.encode import encode as encode_images

encode = partial(run, "encode", "--workers", 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos and no run."""
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 3)
    return tmp_path


def train(name: str, seed: int = 0) -> None:
    set_latest(make_run(Path("runs", name), seed=seed))


def model_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("model: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_new_set_takes_the_newest_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("one")
    assert encode("photos") == 0
    assert model_line(capsys) == "model: runs/one, 24 bits"


@pytest.mark.parametrize("bits", BUILT_IN_BITS)
def test_a_set_of_the_built_in_model_goes_on_with_it_after_a_training(
    bits: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos", "--bits", bits) == 0
    assert model_line(capsys).startswith(f"model: built-in, {bits} bits; with labels")
    train("one")
    make_pictures(place / "photos", 4, seed=1)
    for images in (["photos"], []):
        assert encode(*images) == 0
        line = model_line(capsys)
        assert line.startswith(f"model: built-in, {bits} bits")
        if images:
            assert line.endswith(
                ", because it made codes.npy; the newest run makes another set: "
                f"--run {Path('runs/latest')} -o OTHER.npy"
            )
        assert CodeSet.open("codes.npy").fingerprint == FINGERPRINTS[bits]


def test_a_set_of_an_older_run_goes_on_with_that_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("one")
    assert encode("photos") == 0
    before = CodeSet.open("codes.npy").fingerprint
    train("two", seed=1)
    make_pictures(place / "more", 2, seed=1)
    capsys.readouterr()
    assert encode("photos") == 0
    assert model_line(capsys).startswith("model: runs/one, 24 bits, because it made codes.npy; ")
    assert encode("more", "--append") == 0
    assert model_line(capsys).startswith("model: runs/one, 24 bits, because it made codes.npy; ")
    assert CodeSet.open("codes.npy").fingerprint == before
    # What is named, or replaces the set, is another matter.
    assert encode("photos", "--force") == 0
    assert model_line(capsys) == "model: runs/two, 24 bits"
    assert CodeSet.open("codes.npy").fingerprint != before


def test_a_set_whose_run_is_gone_takes_the_newest(place: Path) -> None:
    train("one")
    assert encode("photos") == 0
    Path("runs/one").rename("runs/renamed")
    set_latest(Path("runs/renamed"))
    assert encode("photos") == 0


@pytest.mark.parametrize("append", [(), ("--append",)])
def test_another_model_names_both_ways_out(
    append: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos") == 0
    train("my run")
    make_pictures(place / "more", 2)
    for images in ("photos", "more"):
        capsys.readouterr()
        assert encode(images, "--run", "runs/my run", *append) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert "it was made with built-in-128, and this model is runs/my run" in error
        assert error.endswith(
            ". Write to another file with -o OTHER.npy, or go on with the model that made it: "
            "--run built-in-128. --force replaces it"
        )
        assert "--append" not in error
    assert encode("photos", "--run", "runs/my run", "-o", "other.npy") == 0
    assert encode("photos", "--run", "built-in-128") == 0
    assert encode("photos", "--run", "built-in", "-o", "other.npy") == 1
    assert "--run 'runs/my run'. --force replaces it" in capsys.readouterr().err


def test_other_images_of_the_same_model_may_be_appended(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("one")
    make_pictures(place / "more", 2)
    assert encode("photos") == 0
    assert encode("more") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "(--append adds them to it). Write to another file with -o OTHER.npy, or rep" in error


def test_a_model_that_was_trained_again_cannot_be_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("one")
    assert encode("photos") == 0
    Path("runs/one").rename("runs/before")
    train("one", seed=1)
    assert encode("photos") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(
        "which has been trained again since. Write to another file with -o OTHER.npy, or replace "
        "it with --force"
    )


def test_a_model_may_be_named_in_python(place: Path) -> None:
    train("one")
    for model, out in (("built-in", "a.npy"), ("runs/one", "b.npy"), (Path("runs/one"), "c.npy")):
        encode_images(model, "photos", out)
    names = [CodeSet.open(out).header.run for out in ("a.npy", "b.npy", "c.npy")]
    assert names == ["built-in-128", "runs/one", "runs/one"]
