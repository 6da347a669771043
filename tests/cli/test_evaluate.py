"""`bitcodes evaluate` as a user runs it, on stored code sets."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import commands
import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 2, (2, 16), np.uint8)
    for name, size in (("queries", 20), ("database", 100)):
        labels = rng.integers(0, 2, size, np.int32)
        bits = centers[labels] ^ (rng.random((size, 16)) < 0.1)
        save_code_set(
            CodeSet.from_arrays(
                pack_bits(bits),
                16,
                labels=labels,
                features=labels[:, None] + rng.random((size, 3)),
                class_names=("cat", "dog"),
            ),
            tmp_path / f"{name}.npy",
        )
    return tmp_path / "queries.npy", tmp_path / "database.npy"


run = partial(commands.run, "evaluate")


def test_tables(stored: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    queries, database = stored
    assert run("--queries", queries, "--database", database) == 0
    shown = capsys.readouterr()
    assert "20 queries against 100 images, 16 bits" in shown.out
    for figure in ("mAP, whole ranking", "precision@10", "recall within radius 2", "radius 4, 120"):
        assert figure in shown.out
    assert [line.split()[0] for line in shown.out.splitlines() if " 0.9" in line][-2:] == [
        "cat",
        "dog",
    ]
    assert "precision at larger ranks" in shown.out
    assert shown.err == ""


def test_json_is_one_document(
    stored: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    queries, database = stored
    assert run("--queries", queries, "--database", database, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["query_codes"] == str(queries)
    assert 0.9 < summary["figures"]["map"] <= 1
    assert summary["figures"]["precision@1000"] is None
    assert [entry["name"] for entry in summary["classes"]] == ["cat", "dog"]


def test_other_ways_of_counting_stages_and_a_page(
    stored: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries, database = stored
    sets = ("--queries", queries, "--database", database)
    assert run(*sets, "--compat", "deephash", "--stages", "--report", tmp_path / "page.html") == 0
    shown = capsys.readouterr()
    assert "as deephash counts" in shown.out and "topK=-1" in shown.out
    assert "queries/s" in shown.out
    assert "page.html" in shown.err
    assert "</html>" in (tmp_path / "page.html").read_text(encoding="utf-8")

    assert run(*sets, "--compat", "predecessor", "--stages", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["compat"]["predecessor"][0]["value"] == pytest.approx(
        summary["figures"]["two_stage"]
    )
    assert [entry["name"] for entry in summary["stages"]["orders"]] == [
        "by Hamming distance",
        "by features",
    ]


def test_plots_are_written_and_named(
    stored: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries, database = stored
    sets = ("--queries", queries, "--database", database)
    assert run(*sets, "--plots", tmp_path / "plots", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["queries"] > 0
    assert "plots: precision-recall, precision-at-k, distances, classes, bit-balance" in shown.err
    assert (tmp_path / "plots" / "precision-recall.pdf").is_file()
    (tmp_path / "file").touch()
    assert run(*sets, "--plots", tmp_path / "file") == 1
    assert "cannot make the folder" in capsys.readouterr().err


def test_tables_in_formats(stored: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    queries, database = stored
    sets = ("--queries", queries, "--database", database)
    assert run(*sets, "--format", "csv", "--columns", "bits,map") == 0
    names, values = capsys.readouterr().out.splitlines()
    assert (names, values[:6]) == ("bits,map", "16,0.9")
    assert run(*sets, "--columns", "bits,map", "--report", queries.with_name("page.html")) == 0
    shown = capsys.readouterr()
    assert shown.out.split()[:3] == ["bits", "mAP", "16"] and "page.html" in shown.err

    assert run(*sets, "--columns", "bits,mpa") == 2
    assert "found 'mpa'; did you mean map?" in capsys.readouterr().err
    assert run(*sets, "--format", "json") == 2
    assert "expected table, markdown, latex or csv; found 'json'" in capsys.readouterr().err
    assert run(*sets, "--format", "csv", "--json") == 2
    assert "--json: it goes without --format and --columns" in capsys.readouterr().err


def test_wrong_use_is_explained(
    stored: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    queries, database = stored
    assert run("--queries", queries) == 1
    assert "go together" in capsys.readouterr().err
    assert run("--queries", queries, "--database", database, "--data", "x") == 1
    assert "not both" in capsys.readouterr().err
    assert run("--queries", queries, "--database", database, "--exclude-self") == 1
    assert "paths" in capsys.readouterr().err
    assert run("--compat", "mine") == 2
    shown = capsys.readouterr().err
    expected = "expected deephash, lin2015 or predecessor; found 'mine'"
    assert shown.startswith(f"error: --compat: {expected}\n")
    assert run("--queries", queries, "--database", queries.with_name("none.npy")) == 1
    assert "none.npy" in capsys.readouterr().err


def test_scoring_stored_codes_loads_no_torch(stored: tuple[Path, Path]) -> None:
    queries, database = stored
    script = (
        "import sys\n"
        "from bitcodes.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code\n"
        "assert not {'torch', 'numba'} & set(sys.modules)\n"
    )
    arguments = ["evaluate", "--queries", str(queries), "--database", str(database)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mAP" in done.stdout


def test_a_page_needs_no_writable_home(stored: tuple[Path, Path], tmp_path: Path) -> None:
    queries, database = stored
    (tmp_path / "file").touch()  # below which there can be no folder, even for root
    arguments = ["--queries", queries, "--database", database, "--report", tmp_path / "page.html"]
    done = subprocess.run(
        [sys.executable, "-m", "bitcodes", "evaluate", *arguments],
        env=os.environ | {"MPLCONFIGDIR": str(tmp_path / "file" / "matplotlib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "atplotlib" not in done.stderr


def test_the_example_script(stored: tuple[Path, Path]) -> None:
    script = Path(__file__).parents[2] / "examples" / "evaluate_codes.py"
    done = subprocess.run(
        [sys.executable, script, *stored], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mAP 0.9")
    assert done.stdout.count("worst:") == 3
