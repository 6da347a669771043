"""finetune and prepare on fixed small inputs: runs and data folders stay what they were."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safety_net import inputs
from safety_net.stored import Stored

Run = Callable[..., Any]

TRAINING = ("--image-size", 32, "--batch-size", 8, "--device", "cpu", "--amp", "off")
TRAINING += ("--workers", 0)
MARGIN = 5e-4  # of hash outputs, as a share of their mean size: rounding moves them by 2e-5


# finetune


def files_of(run: Path) -> list[str]:
    names = (path.name for path in run.iterdir() if not path.name.startswith("."))
    return sorted(name if "tfevents" not in name else "events.out.tfevents" for name in names)


def check_run(bitcodes: Run, stored: Stored, run: Path, images: Path) -> None:
    """Compare what a run is, and the codes it gives of a folder of images."""
    stored.document("files", files_of(run))
    stored.text("config.yaml", (run / "config.yaml").read_bytes())
    stored.document("info", bitcodes("info", run, "--json").json, ("fingerprint", "bytes"))
    # Without --run: the newest run.
    bitcodes("encode", images, "--engine", "torch", "--workers", 0, "--features")
    stored.code_set("codes.npy", varying=("fingerprint",), trained=True)
    if stored.storing:
        check_margin(run, images, Path("codes.paths.txt").read_text("utf-8").splitlines())


def check_margin(run: Path, images: Path, paths: list[str]) -> None:
    """Fail where a bit hangs by a thread: trained codes must be the same on other processors."""
    from safety_net.inside import hash_outputs

    outputs = hash_outputs(run, [images / path for path in paths])
    bits = outputs > 0
    assert len(np.unique(bits, axis=0)) > 2, "the run has not learned to tell images apart"
    assert np.abs(outputs).min() > MARGIN * np.abs(outputs).mean(), np.sort(np.abs(outputs), None)


@pytest.mark.exports
def test_finetune_frozen(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 24, 6, 32)
    arguments = ("finetune", "--data", "data", "--backbone", "tiny", *TRAINING, "--freeze")
    arguments += ("--bits", 16, "--instance-bits", 64, "--epochs", 3, "--hidden", 0, "--val", 0)
    document = bitcodes(*arguments, "--json").json
    stored.document("history", document, tolerance=1e-3)
    check_run(bitcodes, stored, Path("runs/data-tiny-csq-16+64-frozen"), Path("data"))
    again = bitcodes(*arguments, "--json").json
    assert again == {**document, "already_finished": True}


@pytest.mark.exports
def test_finetune_without_labels(place: Path, bitcodes: Run, stored: Stored) -> None:
    arguments = ("finetune", "--data", "photos", "--loss", "itq", "--backbone", "tiny", *TRAINING)
    document = bitcodes(*arguments, "--bits", 8, "--json").json
    stored.document("history", document)
    check_run(bitcodes, stored, Path("runs/photos-tiny-itq-8"), Path("photos"))


@pytest.mark.exports
def test_finetune(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 24, 6, 32, plain=4)
    arguments = (
        "finetune",
        "--data",
        "data",
        "--backbone",
        "small",
        *TRAINING,
        "--run",
        "runs/short",
    )
    arguments += ("--bits", 12, "--instance-bits", 64, "--epochs", 5, "--batch-size", 4)
    arguments += ("--val", 0.25, "--seed", 1)
    arguments += ("--learning-rate", 0.05, "--head-learning-rate", 0.5, "--rand-augment", 2)
    document = bitcodes(*arguments, "--json").json
    stored.document("history", document, tolerance=1e-3)
    lines = Path("runs/short/metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == document["history"]
    check_run(bitcodes, stored, Path("runs/short"), Path("data"))
    bitcodes(*arguments, "--bits", 16, expect=1)
    document = bitcodes("evaluate", "--workers", 0, "--device", "cpu", "--json").json
    stored.document("evaluation", document, ("fingerprint",))


# prepare


def lists_of(folder: Path) -> str:
    return "".join((folder / f"{name}.txt").read_text() for name in ("train", "test", "database"))


def test_prepare_cifar10_with_lists(place: Path, bitcodes: Run, stored: Stored) -> None:
    lists: dict[str, str] = {"train": "", "test": "", "database": ""}
    for number in range(40):
        half = "test" if number < 10 else "train"
        name = f"{half}/{number:05}.png"
        inputs.write(place / "source" / name, inputs.png(inputs.picture(name, 32, 32)))
        key = "test" if number < 10 else "train" if number < 20 else "database"
        columns = " ".join("1" if column == number % 10 else "0" for column in range(10))
        lists[key] += f"/home/somebody/cifar10/{name} {columns}\n"
    for key, lines in lists.items():
        inputs.write(place / f"source/{key}.txt", lines.encode())
    bitcodes("prepare", "cifar10", "--source", "source")
    out = place / "data/cifar10"
    stored.document("dataset", json.loads((out / "dataset.json").read_bytes()))
    stored.text("lists.txt", lists_of(out))
    for number in range(40):
        name = f"{'test' if number < 10 else 'train'}/{number:05}.png"
        assert (out / name).read_bytes() == (place / "source" / name).read_bytes()
    bitcodes("prepare", "cifar10", "--source", "source")
    bitcodes("prepare", "cifar10", "--source", "source", "--seed", 4, expect=1)


def test_prepare_folder(place: Path, bitcodes: Run, stored: Stored) -> None:
    for path in (place / "photos").iterdir():
        if path.name not in inputs.CLASSES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    bitcodes("prepare", "folder", "photos", "data", "--queries", 0.25)
    stored.document("dataset", json.loads(Path("data/dataset.json").read_bytes()))
    stored.text("lists.txt", lists_of(Path("data")))
    inputs.write(place / "photos/hen/9.png", inputs.png(inputs.picture("new")))
    bitcodes("prepare", "folder", "photos", "data")
    stored.text("with a new one.txt", lists_of(Path("data")))
    bitcodes("prepare", "folder", "photos", "few", "--train", 2, "--queries", 1, "--seed", 3)
    stored.document("few", json.loads(Path("few/dataset.json").read_bytes()))
    stored.text("few.txt", lists_of(Path("few")))


def test_prepare_demo(place: Path, bitcodes: Run, stored: Stored) -> None:
    bitcodes("prepare", "demo")
    stored.document("dataset", json.loads(Path("data/demo/dataset.json").read_bytes()))
    counts: dict[str, dict[str, int]] = {}
    for key in ("train", "test", "database"):
        lines = Path(f"data/demo/{key}.txt").read_text().splitlines()
        of_key = counts.setdefault(key, {})
        for line in lines:
            path, labels = line.split(" ", 1)
            assert Path("data/demo", path).is_file()
            label = f"{Path(path).parent.name}: {labels}"
            of_key[label] = of_key.get(label, 0) + 1
    stored.document("counts", counts)
