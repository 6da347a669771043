"""Commands in a locale whose encoding is not UTF-8: names are found, stored and shown right."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.posix

NAMES = ("caf\u00e9.png", "plain.png", "\u043c\u043e\u0440\u0435.png", "\U0001f30a.png")
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def latin_1(folder: Path) -> dict[str, str]:
    """A locale of ISO-8859-1, made in `folder`; skips the test where none can be made."""
    if not (tool := shutil.which("localedef")):
        pytest.skip("needs localedef")
    command = [tool, "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the source of a locale")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}


@pytest.fixture(params=["C", "ISO-8859-1"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command in a locale; it must end well, and print no traceback."""
    is_c = request.param == "C"
    locale = {"LC_ALL": "C"} if is_c else latin_1(tmp_path_factory.mktemp("locales"))
    environment = os.environ | locale | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment.pop("PYTHONIOENCODING", None)

    def call(*words: str | Path, status: int = 0) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "bitcodes", *words]
        result = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert result.returncode == status, result.stderr
        assert b"Traceback" not in result.stderr
        return result

    return call


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with pictures in a folder, an archive and a list."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("\u0444\u043e\u0442\u043e").mkdir()
    for name in (*NAMES, os.fsdecode(b"latin\xe9.png")):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        with suppress(OSError):  # macOS takes only UTF-8
            Image.fromarray(pixels).save(Path("\u0444\u043e\u0442\u043e", name))
    with zipfile.ZipFile("a.zip", "w") as archive:
        for name in NAMES:
            archive.write(Path("\u0444\u043e\u0442\u043e", name), f"d/{name}")
    Path("list.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")
    yield tmp_path


def test_names_of_all_alphabets(run: Run, place: Path) -> None:
    folder = "\u0444\u043e\u0442\u043e"
    run("encode", folder, "-o", "photos.npy", "--workers", "0")
    found = Path("photos.paths.txt").read_text(encoding="utf-8").split("\n")
    assert set(NAMES) <= set(found) <= {*NAMES, r"latin\xe9.png", ""}
    run("encode", "a.zip", "-o", "zip.npy", "--workers", "0")
    assert Path("zip.paths.txt").read_text(encoding="utf-8").split("\n") == [
        *(f"d/{name}" for name in NAMES),
        "",
    ]
    run("encode", "list.txt", "--root", folder, "-o", "list.npy", "--workers", "1")
    assert Path("list.paths.txt").read_text(encoding="utf-8").split("\n") == [*NAMES, ""]

    query = f"{folder}/{NAMES[2]}"
    words = ("search", query, "-k", "1", "--workers", "0", "--codes")
    document = json.loads(run(*words, "photos.npy", "--json").stdout.decode("ascii"))
    assert document["queries"][0]["path"] == query
    assert document["queries"][0]["results"][0]["path"] == NAMES[2]
    escaped = NAMES[2].encode("ascii", "backslashreplace")
    line = run(*words, "zip.npy", "--html", "page.html").stdout
    assert line.split(b"\t")[4] == b"a.zip/d/" + escaped
    assert NAMES[2] in Path("page.html").read_text(encoding="utf-8")

    groups = json.loads(run("duplicates", "zip.npy", "--radius", "128", "--json").stdout)["groups"]
    assert {image["path"] for image in groups[0]} == {f"d/{name}" for name in NAMES}
    assert b"checksums    good" in run("info", "zip.npy").stdout
    gone = run("search", "\u043d\u0435\u0442.png", "--codes", "zip.npy", status=1).stderr
    assert b"no such file or folder: '\\u043d\\u0435\\u0442.png'" in gone
