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


def compile_kernels() -> None:
    """Search with every kernel once: the first use of each takes seconds."""
    import numpy as np

    from bitcodes.hamming import scanner
    from bitcodes.hamming.index import HammingIndex, group
    from bitcodes.hamming.multi import with_tables

    before, scanner.PLAIN_LIMIT = scanner.PLAIN_LIMIT, -1
    codes = np.random.default_rng(0).integers(0, 256, (40, 128), np.uint8)
    codes[30:] = codes[:10]
    for bits in (16, 20, 64, 65, 1024):
        some = np.packbits(np.unpackbits(codes, axis=1, count=bits), axis=1)
        distinct = np.unique(some, axis=0)
        for grouped in (group(some, bits), group(distinct, bits)):
            for index in (HammingIndex(some, bits), grouped, with_tables(grouped, "tables")):
                for queries in (some[:1], some[:7], some):
                    index.search(queries, 3)
                    index.within(queries, 3)
                    index.within(queries, 3, limit=2)
    scanner.PLAIN_LIMIT = before
