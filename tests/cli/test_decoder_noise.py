"""Damaged pictures through commands: nothing on standard error but our own lines."""

import os
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hostile import picture, saved
from PIL import features
from raw_files import dng

ROOT = Path(__file__).parents[2]


def contents() -> dict[str, bytes]:
    """A picture of every kind that can be written here, by its name."""
    image = picture().resize((320, 240))
    found = {
        "a.png": saved(image, "PNG"),
        "a.jpg": saved(image, "JPEG"),
        "progressive.jpg": saved(image, "JPEG", progressive=True),
        "deflated.tif": saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "lzw.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": saved(image, "TIFF", compression="jpeg"),
        "fax.tif": saved(image.convert("1"), "TIFF", compression="group4"),
        "a.gif": saved(image, "GIF"),
        "a.webp": saved(image, "WEBP"),
    }
    if features.check("avif"):
        found["a.avif"] = saved(image, "AVIF")
    if features.check("jpg_2000"):
        found["a.jp2"] = saved(image, "JPEG2000")
    for name, module, kind in (("a.heic", "pillow_heif", "HEIF"), ("a.jxl", "pillow_jxl", "JXL")):
        try:
            plugin = import_module(module)
        except ImportError:
            continue
        if kind == "HEIF":
            plugin.register_heif_opener()
        found[name] = saved(image, kind)
    return found


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of these pictures, cut off and with bytes changed, and of one that is whole."""
    folder = tmp_path_factory.mktemp("damaged")
    whole = contents() | {"a.dng": dng(saved(picture(), "JPEG"), (40, 30))}
    rng = random.Random(0)
    for name, content in whole.items():
        stem, suffix = name.split(".")
        for number, share in enumerate((0.2, 0.6, 0.95)):
            path = folder / f"{stem}-{suffix}-cut-{number}.{suffix}"
            path.write_bytes(content[: int(len(content) * share)])
        for number, count in enumerate((2, 10, 50)):
            changed = bytearray(content)
            for _ in range(count):
                changed[rng.randrange(8, len(changed))] = rng.randrange(256)
            (folder / f"{stem}-{suffix}-{number}.{suffix}").write_bytes(changed)
    (folder / "good.png").write_bytes(whole["a.png"])
    return folder


def errors_of(*words: str | Path) -> list[str]:
    """The lines on standard error of a command that ends well."""
    result = subprocess.run(
        [sys.executable, "-m", "bitcodes", *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stderr.splitlines()


@pytest.mark.parametrize("workers", ["0", "1", "2"])
def test_nothing_but_our_lines(damaged: Path, tmp_path: Path, workers: str) -> None:
    codes = tmp_path / "codes.npy"
    lines = errors_of("encode", damaged, "-o", codes, "--workers", workers)
    others = [line for line in lines if not line.startswith(("model: ", "next: ", "skipped "))]
    assert others == []
    skipped = codes.with_name("codes.skipped.txt").read_text(encoding="utf-8").splitlines()
    assert len(skipped) > 20
    if workers == "1":
        return
    lines = errors_of("search", damaged, "--codes", codes, "-k", "1", "--workers", workers)
    assert sum(line.startswith("query ") for line in lines) > 3
    assert [line for line in lines if not line.startswith(("query ", "note: ", "skipped "))] == []


DEVELOPED_TWICE = """
import sys
sys.path.insert(0, sys.argv[1])
from hostile import picture, saved
from raw_files import dng
from bitcodes.images.decode import open_image
from bitcodes.sources.workers import in_order

def size(content):
    return open_image(content).size

if __name__ == "__main__":
    content = dng(saved(picture(), "JPEG"), (40, 30))
    print(size(content), [result for _, result in in_order(size, [(0, content)] * 3, 2)])
"""


def test_raw_files_are_developed_in_workers_after_in_their_parent(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    script = tmp_path / "script.py"
    script.write_text(DEVELOPED_TWICE, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script, ROOT / "tests"],
        capture_output=True,
        text=True,
        timeout=120,  # threads of OpenMP in the parent would make the workers wait for ever
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "4"},
    )
    assert (result.stdout, result.stderr) == ("(32, 24) [(32, 24), (32, 24), (32, 24)]\n", "")
