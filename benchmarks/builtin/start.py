"""What it takes to have the built-in model's graph: made anew, or kept in a file.

    python benchmarks/builtin/start.py

Medians of 20, in ms of one core. The file is read and its SHA-256 compared, as a cache would have
to. `import onnx` is what building the graph with that package would take before it begins.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bitcodes.models.builtin import built_in_graph


def milliseconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return 1000 * (time.process_time() - begin)


def import_onnx() -> float:
    code = (
        "import time, numpy; t = time.process_time(); import onnx; print(time.process_time() - t)"
    )
    return 1000 * float(subprocess.check_output([sys.executable, "-c", code]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "graph.onnx"
        kept.write_bytes(built_in_graph(128))
        rows = {
            "made anew": [milliseconds(lambda: built_in_graph(128)) for _ in range(20)],
            "read and compared": [
                milliseconds(lambda: hashlib.sha256(kept.read_bytes())) for _ in range(20)
            ],
            "import onnx": [import_onnx() for _ in range(20)],
        }
    for name, times in rows.items():
        print(f"{name:18} {median(times):6.1f} ms")


if __name__ == "__main__":
    main()
