"""Code sets as rows: what other programs read is what the set holds, and finds what we find."""

import csv
import io
import json
import re
from pathlib import Path

import commands
import numpy as np
import pyarrow.parquet
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import parse_header
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.paths import unescape
from bitcodes.errors import BitcodesError, CodeSetError, ConfigError
from bitcodes.hamming.index import HammingIndex
from bitcodes.tasks import export_rows as module
from bitcodes.tasks.export_rows import export_rows, write_rows

NAMES = ["a,b\\c.jpg", 'é"\n.jpg', "\x1b\t\udcff.jpg"]
DOCS = Path(__file__).parents[2] / "docs"


def make_set(bits: int, count: int, seed: int = 0) -> CodeSet:
    rng = np.random.default_rng(seed)
    centers = rng.random((20, bits)) < 0.5
    values = centers[rng.integers(0, 20, count)] ^ (rng.random((count, bits)) < 0.02)
    return CodeSet.from_arrays(pack_bits(values), bits, [f"{row}.jpg" for row in range(count)])


@pytest.fixture(params=["none", "one", "several"])
def example(request: pytest.FixtureRequest) -> CodeSet:
    """The codes of docs/code-format.md, with hostile paths."""
    labels = {"none": None, "one": [0, 0, 1], "several": [[1, 0], [1, 1], [0, 0]]}[request.param]
    codes = np.array([[0xA0, 0xF0], [0xA0, 0xD0], [0x5F, 0]], np.uint8)
    names = () if labels is None else ("cat", "d\u202eg")
    return CodeSet.from_arrays(codes, 12, NAMES, labels, None, names, "one", root="photos")


def expected_labels(example: CodeSet) -> dict[str, list[object]]:
    if example.labels is None:
        return {}
    if example.labels.ndim == 1:
        return {"label": ["cat", "cat", "d\u202eg"]}
    return {"labels": [["cat"], ["cat", "d\u202eg"], []]}


def written(code_set: CodeSet, row_format: str) -> bytes:
    file = io.BytesIO()
    write_rows(code_set, file, row_format)
    return file.getvalue()


def test_ndjson(example: CodeSet) -> None:
    text = written(example, "ndjson").decode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["id"] for row in rows] == [0, 1, 2]
    assert [unescape(row["path"].encode()) for row in rows] == NAMES
    assert [row["code"] for row in rows] == ["a0f0", "a0d0", "5f00"]
    labels = {n: [row[n] for row in rows] for n in ("label", "labels") if n in rows[0]}
    assert labels == expected_labels(example)


def test_csv(example: CodeSet) -> None:
    text = written(example, "csv").decode()
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert [unescape(row["path"].encode()) for row in rows] == NAMES
    assert [row["code"] for row in rows] == ["a0f0", "a0d0", "5f00"]
    for name, labels in expected_labels(example).items():
        shown = [label if isinstance(label, str) else ",".join(label) for label in labels]
        # The mark that turns the direction of text is written byte by byte.
        assert [unescape(row[name].encode()) for row in rows] == shown


def test_parquet(example: CodeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 2)  # so that there are two blocks
    file = pyarrow.parquet.ParquetFile(io.BytesIO(written(example, "parquet")))
    assert file.num_row_groups == 2
    columns = file.read().to_pydict()
    assert columns.pop("id") == [0, 1, 2]
    assert [unescape(path.encode()) for path in columns.pop("path")] == NAMES
    assert columns.pop("w0") == [0xA0F << 52, 0xA0D << 52, 0x5F << 56]
    assert columns == expected_labels(example)
    assert str(file.schema_arrow.field("w0").type) == "uint64"
    header = parse_header(file.schema_arrow.metadata[b"bitcodes"], "metadata")
    assert (header.bits, header.count, header.class_names) == (12, 3, example.class_names)
    assert header.root == str(Path("photos").absolute().as_posix())


@pytest.mark.parametrize("bits", [1, 64, 65, 128, 130])
def test_words_are_the_bits_in_order(bits: int) -> None:
    code_set = make_set(bits, 7)
    table = pyarrow.parquet.read_table(io.BytesIO(written(code_set, "parquet"))).to_pydict()
    unpacked = np.unpackbits(code_set.codes, axis=1, count=bits)
    for row in range(7):
        word = [f"{table[f'w{number}'][row]:064b}" for number in range(-(-bits // 64))]
        assert "".join(word) == "".join(map(str, unpacked[row])).ljust(64 * len(word), "0")


def statements(database: str) -> list[str]:
    text = (DOCS / "databases.md").read_text(encoding="utf-8")
    return re.findall(rf"(?ms)^```sql {database}\n(.*?)^```", text)


def run_duckdb(statement: str) -> list[tuple[object, ...]]:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: pip install duckdb")
    with duckdb.connect() as connection:
        return connection.execute(statement).fetchall()


def run_clickhouse(statement: str) -> list[tuple[object, ...]]:
    chdb = pytest.importorskip("chdb", reason="chdb is not installed: pip install chdb")
    rows = csv.reader(
        io.StringIO(chdb.query(statement.rstrip().rstrip(";"), "CSV").bytes().decode())
    )
    return [(path, int(distance)) for path, distance in rows]


@pytest.mark.parametrize("bits", [48, 128])
@pytest.mark.parametrize("run", [run_duckdb, run_clickhouse])
def test_documented_sql_finds_what_a_search_finds(
    run: object, bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code_set = make_set(bits, 2000)
    query = CodeSet.from_arrays(code_set.codes[5:6], bits)
    export_rows(code_set, Path("codes.parquet"))
    export_rows(query, Path("query.parquet"))
    distances, rows = HammingIndex(code_set).search(query.codes, 10)
    assert len(set(distances[0])) < 9  # there are ties, which the order must break as ours does
    (statement,) = statements(run.__name__.removeprefix("run_"))
    if bits <= 64:
        statement = re.sub(r" \+ bit_?[cC]ount\(\w+\(c\.w1, q\.w1\)\)", "", statement)
    found = run(statement)
    assert found == [(f"{row}.jpg", d) for row, d in zip(rows[0], distances[0], strict=True)]


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_set = make_set(33, 5)
    for name in ("codes.csv", "codes.jsonl", "codes.PARQUET"):
        out = tmp_path / name
        assert export_rows(code_set, out).count == 5
        content = out.read_bytes()
        with pytest.raises(BitcodesError, match="exists already"):
            export_rows(code_set, out)
        monkeypatch.setattr(module, "_in_hex", fail)
        monkeypatch.setattr(module, "to_words", fail)
        with pytest.raises(CodeSetError, match="torn"):
            export_rows(code_set, out, force=True)
        monkeypatch.undo()
        assert out.read_bytes() == content
        assert export_rows(make_set(33, 0), out, force=True).count == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("codes.PARQUET", "codes.csv", "codes.jsonl")
    ]
    with pytest.raises(ConfigError, match=r"codes\.txt: expected a name that ends in \.parquet"):
        export_rows(code_set, tmp_path / "codes.txt")
    assert export_rows(code_set, tmp_path / "codes.txt", "csv").format == "csv"


def fail(*_: object) -> None:
    raise CodeSetError("torn")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'bitcodes\[parquet\]'"):
        written(make_set(8, 1), "parquet")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("codes.npy", make_set(8, 3).codes)
    assert commands.run("export", "codes.npy", "out.csv") == 0
    assert capfd.readouterr().out == "out.csv: 3 codes of 8 bits\n"
    lines = Path("out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,path,code" and lines[1].startswith("0,0,")
    assert commands.run("export", "-", "--format", "csv") == 0
    assert capfd.readouterr().out.splitlines() == lines
    assert commands.run("export", "-") == 0
    assert [json.loads(line)["id"] for line in capfd.readouterr().out.splitlines()] == [0, 1, 2]
    for words, status, error in (
        (("codes.npy", "m.onnx"), 1, "for the rows of a code set, or one that ends in .onnx"),
        (("a.npy", "b.npy", "o.csv"), 2, "CODES: expected one code set; found 2"),
        (("codes.npy", "o.csv", "--run", "built-in"), 2, "--run: it goes with .onnx only"),
        (("none.npy", "o.csv"), 1, "none.npy"),
    ):
        assert commands.run("export", *words) == status
        assert error in capfd.readouterr().err
