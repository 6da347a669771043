"""Results in a notebook: as HTML, escaped, and in a real kernel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bitcodes
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.metrics.scoring import score_code_sets
from bitcodes.report import notebook
from bitcodes.report.tables import figures_within
from bitcodes.tasks.results import Hit, QueryResult, SearchResults


@pytest.fixture
def results(tmp_path: Path) -> SearchResults:
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "photo.png")
    hit = Hit(1, 7, "<b>.png", tmp_path / "photo.png", 3, 0.9375, None, ("cat",), True)
    query = QueryResult("q.png", None, ("cat",), (hit,), False)
    return SearchResults("codes.npy", 48, 5000, 10, None, None, None, (query,), ())


def test_search_results_are_thumbnails(results: SearchResults) -> None:
    html = results._repr_html_()
    assert html is not None
    assert html.count("<img") == 1 and "data:image/jpeg;base64," in html
    assert "The 10 nearest by 48-bit codes, among 5,000 images" in html
    assert "&lt;b&gt;" in html and "<b>.png" not in html
    assert "No picture: " in html and "<b>3</b> bits" in html
    assert "<html" not in html and "<body" not in html


def test_what_is_left_out_is_said(results: SearchResults) -> None:
    (query,) = results.queries
    many = replace(query, hits=query.hits * (notebook.MAX_HITS + 3))
    html = replace(results, queries=(many,) * (notebook.MAX_QUERIES + 2))._repr_html_()
    assert html is not None
    assert html.count("<img") == notebook.MAX_QUERIES * notebook.MAX_HITS
    assert "3 more results" in html and "Not shown: 2 more queries" in html
    html = replace(results, queries=(replace(query, hits=()),))._repr_html_()
    assert html is not None and "nothing found" in html


def test_an_evaluation_is_its_table() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (40, 16), np.uint8)
    labels = np.arange(40, dtype=np.int32) % 2
    queries, database = (
        CodeSet.from_arrays(pack_bits(bits[part]), 16, labels=labels[part])
        for part in (slice(0, 10), slice(10, 40))
    )
    evaluation = score_code_sets(queries, database)
    html = evaluation._repr_html_()
    assert html is not None
    assert html.count("<tr>") == 1 + len(figures_within(evaluation)) < 1 + len(evaluation.figures)
    assert "10 queries against 30 images, 16 bits" in html
    assert f"<b>{evaluation.figures['map']:.4f}</b>" in html
    assert repr(evaluation).startswith("<Evaluation: mAP 0.") and len(repr(evaluation)) < 100


def test_short_names_of_results(results: SearchResults) -> None:
    assert repr(results) == (
        "<SearchResults: 1 query, the 10 nearest by 48-bit codes, among 5,000 images>"
    )
    assert repr(results.queries[0]) == "<QueryResult: 1 hit for 'q.png'>"


CELLS = [
    """
import sys
sys.path.insert(0, TESTS)
import tiny
tiny.make_pictures(__import__("pathlib").Path("photos"), 12)
model = tiny.make_model()
""",
    """
import bitcodes
with bitcodes.progress("encoding") as report:
    codes = bitcodes.encode(model, "photos", "codes.npy", progress=report)
codes
""",
    "bitcodes.search(codes, codes, k=3)",
    """
import numpy as np
labels = np.arange(12, dtype=np.int32) % 2
labelled = bitcodes.CodeSet.from_arrays(codes.codes, codes.bits, labels=labels)
bitcodes.evaluate(queries=labelled, database=labelled)
""",
    "bitcodes.duplicates(codes)",
]


def test_a_real_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is not installed: see the extra `test`")
    import nbformat
    from ipykernel.kernelspec import write_kernel_spec
    from nbclient import NotebookClient

    # A kernel of this interpreter, whatever kernels the machine has.
    kernels = tmp_path / "jupyter"
    write_kernel_spec(str(kernels / "kernels" / "this"))
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    monkeypatch.setenv("PYTHONPATH", str(Path(bitcodes.__file__).parents[1]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    cells = [cell.strip().replace("TESTS", repr(str(Path(__file__).parents[1]))) for cell in CELLS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        book, timeout=200, kernel_name="this", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    _, encoding, search, evaluation, duplicates = [cell.outputs for cell in book.cells]

    line, codes = encoding
    assert line.data["text/plain"].startswith("encoding: 12/12, ")
    assert codes.data["text/plain"] == "<CodeSet codes.npy: 12 codes of 24 bits>"
    assert search[0].data["text/html"].count("<img") == 10 * 4
    assert "Not shown: 2 more queries" in search[0].data["text/html"]
    assert search[0].data["text/plain"].startswith("<SearchResults: 12 queries, the 3 nearest")
    assert "<table>" in evaluation[0].data["text/html"]
    assert duplicates[0].data["text/plain"].startswith("<Duplicates: ")
