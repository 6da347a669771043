"""Results in a notebook: as HTML, escaped, and in a real kernel."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bitcodes
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.metrics.scoring import score_code_sets
from bitcodes.report import notebook
from bitcodes.report.tables import figures_within
from bitcodes.tasks.searching.results import Hit, QueryResult, SearchResults


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


def executed(book: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook after a kernel of this interpreter has run it in a folder."""
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is not installed: see the extra `test`")
    from ipykernel.kernelspec import write_kernel_spec
    from nbclient import NotebookClient

    # A kernel of this interpreter, whatever kernels the machine has.
    kernels = folder / "jupyter"
    write_kernel_spec(str(kernels / "kernels" / "this"))
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    monkeypatch.setenv("PYTHONPATH", str(Path(bitcodes.__file__).parents[1]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    NotebookClient(
        book, timeout=200, kernel_name="this", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return book


def test_a_real_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    cells = [cell.strip().replace("TESTS", repr(str(Path(__file__).parents[1]))) for cell in CELLS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    executed(book, tmp_path, monkeypatch)
    _, encoding, search, evaluation, duplicates = [cell.outputs for cell in book.cells]

    line, codes = encoding
    assert line.data["text/plain"].startswith("encoding: 12/12, ")
    assert codes.data["text/plain"] == "<CodeSet codes.npy: 12 codes of 24 bits>"
    assert codes.data["text/html"].count("<img") == 8
    assert search[0].data["text/html"].count("<img") == 10 * 4
    assert "Not shown: 2 more queries" in search[0].data["text/html"]
    assert search[0].data["text/plain"].startswith("<SearchResults: 12 queries, the 3 nearest")
    assert "<table>" in evaluation[0].data["text/html"]
    assert duplicates[0].data["text/plain"].startswith("<Duplicates: ")


def test_the_tutorial_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    book = nbformat.read(Path(__file__).parents[2] / "examples" / "tutorial.ipynb", 4)
    stored = kinds_of_outputs(book)
    assert ["text/html", "text/plain"] in [output for cell in stored for output in cell]
    executed(book, tmp_path, monkeypatch)
    assert kinds_of_outputs(book) == stored
    outputs = [cell.outputs[-1] for cell in book.cells if cell.get("outputs")]
    texts = [output.data["text/plain"] for output in outputs]
    assert texts[0] == "<CodeSet pictures.npy: 48 codes of 64 bits>"
    assert texts[3].startswith("[(0, 'disc/03.png'), ")  # the query itself
    assert texts[4] == "[['box/05.png', 'box/05 small.png']]"
    assert texts[5].startswith("<Evaluation: mAP 0.9")


def kinds_of_outputs(book: Any) -> list[list[list[str]]]:
    return [[sorted(output.data) for output in cell.get("outputs", ())] for cell in book.cells]


def test_a_code_set_is_its_facts_and_some_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "0.png")
    codes = CodeSet.from_arrays(
        pack_bits(np.zeros((20, 16), np.uint8)),
        16,
        paths=[f"{number}.png" for number in range(20)],
        labels=np.zeros(20, np.int32),
        class_names=("<b>cat",),
        root=tmp_path,
    )
    html = codes._repr_html_()
    assert html is not None
    assert "20 of 16 bits" in html and "&lt;b&gt;cat" in html and "<b>cat" not in html
    assert html.count("<li>") == 8 and html.count("<img") == 1 and "No picture: " in html
    bare = CodeSet.from_arrays(pack_bits(np.zeros((3, 16), np.uint8)), 16)._repr_html_()
    assert bare is not None and "<ol>" not in bare and "3 of 16 bits" in bare
