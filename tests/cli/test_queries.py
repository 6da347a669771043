"""`bitcodes search` with what is no query: one plain error that says what was found, what to do."""

import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import commands
import numpy as np
import pytest
from tiny import make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.models.checkpoint import load_model
from bitcodes.runs import set_latest
from bitcodes.sources.lists import ImageList
from bitcodes.tasks.encoding.encode import encode

run = partial(commands.run, "search", "--workers", "0")
BITS = 24  # of the tiny run


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a run and codes.npy, in which no test writes."""
    folder = tmp_path_factory.mktemp("encoded")
    names = make_pictures(folder / "photos", 2)
    model = make_run(folder / "runs" / "one")
    encode(load_model(model), ImageList(names, None, folder / "photos"), folder / "codes.npy")
    return folder


@pytest.fixture
def place(encoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    shutil.copytree(encoded, folder)
    monkeypatch.chdir(folder)
    set_latest(folder / "runs" / "one")
    return folder


def write(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


def archive() -> str:
    with zipfile.ZipFile("ph.zip", "w") as file:
        file.write("photos/00.png")
    return "ph.zip"


def empty_folder() -> str:
    Path("empty").mkdir()
    return "empty"


def code_set(name: str, bits: int, fingerprint: str | None) -> str:
    codes = np.zeros((2, bits // 8), np.uint8)
    save_code_set(CodeSet.from_arrays(codes, bits, fingerprint=fingerprint), name)
    return name


def floats() -> str:
    np.save("floats.npy", np.zeros((2, 3)))
    return "floats.npy"


QUERIES: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "archive": (
        archive,
        (
            "ph.zip: expected images, folders, list files or a code set",
            "found an archive",
            "bitcodes encode ph.zip -o queries.npy\n  bitcodes search queries.npy",
        ),
    ),
    "damaged archive": (lambda: write("b.tar.gz", b"\x1f\x8bno"), ("found an archive",)),
    "url": (
        lambda: "https://example.org/a.jpg",
        ("found a URL", "bitcodes encode https://example.org/a.jpg -o queries.npy"),
    ),
    "text": (
        lambda: write("notes.txt", b"Dear diary,\n"),
        ("notes.txt: expected a list file", "found other text (line 1: 'Dear diary,')"),
    ),
    "list of what is gone": (
        lambda: write("list.txt", b"gone.png\n"),
        ("list.txt: not there: 1 of 1 image", "line 1: 'gone.png'"),
    ),
    "empty list": (lambda: write("list.txt", b""), ("list.txt",)),
    "text named as an image": (
        lambda: write("a.png", b"hello\n"),
        ("the query 'a.png' cannot be read: not an image but a text file",),
    ),
    "empty image": (lambda: write("a.jpg", b""), ("'a.jpg' cannot be read: the file is empty",)),
    "film": (lambda: write("a.mp4", b"\0\0\0\x20ftypisom" + bytes(99)), ("a film",)),
    "empty folder": (empty_folder, ("no images in the folder 'empty'",)),
    "run": (
        lambda: "runs/one",
        ("runs/one: expected images", "found a run", "bitcodes search PHOTO --run runs/one"),
    ),
    "model file": (
        lambda: "runs/one/model.safetensors",
        ("found a model file", "bitcodes search PHOTO --run runs/one/model.safetensors"),
    ),
    "other bits": (
        lambda: code_set("other.npy", BITS * 2, None),
        (
            f"other.npy has codes of {BITS * 2} bits and the database codes.npy of {BITS}",
            "(--run)",
        ),
    ),
    "another model": (
        lambda: code_set("other.npy", BITS, "sha256:" + "0" * 64),
        ("other.npy is another model", "--run", "--force"),
    ),
    "floats": (floats, ("floats.npy: expected codes, uint8", "found float64 (2, 3)")),
    "missing image": (lambda: "gone.jpg", ("no such file or folder: 'gone.jpg' in ", "place")),
    "missing set": (lambda: "gone.npy", ("gone.npy: there is no such code set",)),
    "missing list": (lambda: "gone.txt", ("no such file or folder: 'gone.txt'",)),
    "header": (lambda: "codes.json", ("'codes.json' cannot be read: not an image but a text",)),
    "labels": (lambda: write("a.labels.npy", b"x"), ("name the set by its codes, a.npy",)),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_one_plain_error(kind: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, expected = QUERIES[kind]
    assert run(make()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("error:") == 1
    assert "Traceback" not in err
    for words in expected:
        assert words in err


def test_a_folder_with_a_config_and_images_is_one_of_queries(place: Path) -> None:
    write("photos/config.yaml", b"bits: 12\n")
    assert run("photos") == 0


def test_one_wrong_query_among_images_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photos/00.png", archive()) == 1
    assert "ph.zip: expected images" in capsys.readouterr().err
    assert run("photos/00.png", "gone.jpg") == 1
    assert "no such file or folder: 'gone.jpg'" in capsys.readouterr().err
