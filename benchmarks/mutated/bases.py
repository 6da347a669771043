"""What is damaged: small runs, code sets, indexes and exported models, made once per process."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))  # its smallest model and its pictures

WORKERS = ("--workers", "0")
BITS = 20


def quicken() -> None:
    """Let nothing wait for the disk: no trial is about power failures."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.fsync = lambda descriptor: None  # type: ignore[assignment]


def command(*words: object) -> None:
    """Run `bitcodes WORDS...`; RuntimeError if it fails."""
    from bitcodes.cli.app import main

    try:
        main([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"bitcodes {' '.join(map(str, words))} failed") from None


def export(run: Path) -> None:
    """Write model.onnx into a run."""
    from bitcodes.models.checkpoint import load_model
    from bitcodes.models.exporting import export_onnx

    export_onnx(load_model(run, "cpu"), run / "model.onnx")


def export_no_more() -> None:
    """Let torch run every model that has no good export: to make one takes seconds."""
    from bitcodes.models import engines

    def load_only(path: Path, log: object) -> object:
        from bitcodes.models.checkpoint import load_model

        return load_model(path, "cpu")

    engines.export_now = load_only  # type: ignore[assignment]


def compile_kernels(file: Path) -> None:
    """Search a set in every way that trials do: the first use of a kernel takes seconds."""
    import numpy as np

    from bitcodes import CodeSet
    from bitcodes.hamming import scanner
    from bitcodes.hamming.index import HammingIndex, group
    from bitcodes.hamming.multi import MultiIndex, with_tables
    from bitcodes.hamming.stored import open_index

    before, scanner.PLAIN_LIMIT = scanner.PLAIN_LIMIT, -1
    code_set = CodeSet.open(file)
    saved = open_index(code_set)
    assert isinstance(saved, MultiIndex)
    saved.method = "tables"
    for index in (saved, saved.grouped, HammingIndex(code_set)):
        for queries in (np.array(code_set.codes[:1]), np.array(code_set.codes[::5])):
            index.search(queries, 6)
            index.within(queries, 4)
            index.within(queries, 4, limit=2)
    for bits in (8, 64, 128, 1024):  # those of an index that is built anew
        codes = np.random.default_rng(0).integers(0, 256, (32, bits // 8), np.uint8)
        with_tables(group(codes, bits))
        HammingIndex(codes, bits).search(codes[::5], 6)
        HammingIndex(codes, bits).search(codes[:1], 8)
        HammingIndex(codes, bits).within(codes[::5], 4)
    scanner.PLAIN_LIMIT = before
