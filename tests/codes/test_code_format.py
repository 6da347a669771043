"""docs/code-format.md holds true: its bytes, its NumPy reader, its way to FAISS."""

import re
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import CodeSetWriter, save_code_set

DOCUMENT = Path(__file__).parents[2] / "docs" / "code-format.md"
BLOCKS = dict(re.findall(r"^```(.+?)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S))


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The document's example, from the bytes that it prints."""
    for label, body in BLOCKS.items():
        kind, _, name = label.partition(" ")
        if kind == "hex":
            dump = "".join(line.partition("|")[0] for line in body.splitlines())
            (tmp_path / name).write_bytes(bytes.fromhex(dump))
        elif name.startswith("codes."):
            (tmp_path / name).write_bytes(body.encode())
    return tmp_path


def test_its_bytes_are_a_code_set(example: Path) -> None:
    found = CodeSet.open(example / "codes.npy", verify=True)
    rows = re.findall(
        r"^\| \d \| `(.+?)`.*? \| (\w+) \| ([01 ]+) \| (.+?) \|$", DOCUMENT.read_text(), re.M
    )
    assert len(rows) == found.count == 3
    for row, (path, label, bits, content) in enumerate(rows):
        assert found.paths[row] == path.replace("é", "\udce9")
        assert found.labels is not None
        assert found.class_names[found.labels[row]] == label
        assert found.codes[row].tobytes() == bytes.fromhex(content)
        assert pack_bits([[int(bit) for bit in bits.replace(" ", "")]]).tobytes() == bytes.fromhex(
            content
        )


def test_its_bytes_are_what_bitcodes_writes(
    example: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = CodeSet.open(example / "codes.npy")
    monkeypatch.chdir(tmp_path_factory.mktemp("written"))
    header = shown.header.model_dump(exclude={"format", "count", "bit_order", "files"})
    with CodeSetWriter("codes.npy", columns=("labels",), **header) as writer:
        writer.append(shown.codes, shown.paths, labels=shown.labels)
        writer.skip(*shown.skipped[0])
        writer.commit()
    written = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert written == {path.name: path.read_bytes() for path in example.iterdir()}


def test_its_reader_needs_numpy_alone(example: Path) -> None:
    allowed = "import sys; sys.modules.update(bitcodes=None, torch=None, faiss=None)\n"
    done = subprocess.run(
        [sys.executable, "-c", allowed + BLOCKS["python"]],
        cwd=example,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == BLOCKS["text output"]


@pytest.mark.parametrize("name", ["codes.npy", "codes.json", "codes.paths.txt", "codes.labels.npy"])
def test_its_reader_notices_an_altered_file(example: Path, name: str) -> None:
    data = (example / name).read_bytes()
    (example / name).write_bytes(data.replace(data[-20:], data[-20:].swapcase()[::-1]))
    run = [sys.executable, "-c", BLOCKS["python"]]
    assert subprocess.run(run, cwd=example, check=False, capture_output=True).returncode


def test_its_way_to_faiss(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example)
    names: dict[str, np.ndarray] = {}
    exec(BLOCKS["python faiss"], names)
    assert names["distances"].tolist() == [[0, 1]]
    assert names["rows"].tolist() == [[0, 1]]
    assert names["ball_rows"].tolist() == [0, 1]
    assert names["ball_distances"].tolist() == [0, 1]


@pytest.mark.parametrize("bits", [5, 12, 48, 64, 100, 256])
def test_faiss_finds_the_same_neighbours_in_the_same_bytes(tmp_path: Path, bits: int) -> None:
    rng = np.random.default_rng(bits)
    ones = rng.integers(0, 2, (400, bits), dtype=np.uint8)
    save_code_set(CodeSet.from_arrays(pack_bits(ones), bits), tmp_path / "codes.npy")
    codes = np.load(tmp_path / "codes.npy")
    queries = CodeSet.open(tmp_path / "codes.npy").codes[:20]
    expected = (ones[:20, None] != ones[None]).sum(axis=2)  # (20, 400), bit by bit

    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    distances, rows = index.search(queries, 30)
    assert np.array_equal(distances, np.sort(expected, axis=1)[:, :30])
    assert np.array_equal(np.take_along_axis(expected, rows, axis=1), distances)

    radius = int(np.median(expected)) - 1
    limits, _, inside = index.range_search(queries, radius + 1)  # strict there, inclusive here
    for query in range(20):
        found = np.sort(inside[int(limits[query]) : int(limits[query + 1])])
        assert np.array_equal(found, np.flatnonzero(expected[query] <= radius))


def test_the_other_bit_order_is_turned_round_as_it_says() -> None:
    ones = np.random.default_rng(0).integers(0, 2, (50, 44), dtype=np.uint8)
    lsb = np.zeros((50, 6), np.uint8)
    values = np.ascontiguousarray(ones.astype(np.float32) - 0.5)
    faiss.fvecs2bitvecs(faiss.swig_ptr(values), faiss.swig_ptr(lsb), 44, 50)
    codes = pack_bits(ones)
    assert not np.array_equal(lsb, codes)
    idiom = re.search(r"`(np\.packbits\(np\.unpackbits\(.*?axis=1\))`", DOCUMENT.read_text())
    assert idiom is not None
    assert np.array_equal(eval(idiom[1], {"np": np, "codes": lsb}), codes)
