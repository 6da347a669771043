"""Evaluating a run, or stored code sets: encodes what is missing, then scores."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bitcodes.codes.codeset import CodeSet
from bitcodes.config import MODEL_FILE, load_settings, resolve_run
from bitcodes.errors import CodeSetError, ConfigError
from bitcodes.files import write_json_atomic
from bitcodes.metrics.scoring import Evaluation, score_code_sets

# encoding is imported only when something must be encoded: scoring stored codes needs no torch.

Progress = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]
"""Given what is being done, a context that yields what (done, total) is reported to."""

_QUERIES, _DATABASE, _RECORD = "queries.npy", "database.npy", "evaluated.json"


def evaluate(
    run: Path | str | None = None,
    *,
    data: Path | str | None = None,
    queries: CodeSet | Path | str | None = None,
    database: CodeSet | Path | str | None = None,
    exclude_self: bool = False,
    force: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a run on the queries and the database of its data, or two stored code sets.

    Of a run (default: the newest), queries and database are encoded into the run's evaluation
    folder, unless the codes there are of the same weights and lists; `data` is another prepared
    dataset than the one the run was trained on. With `queries` and `database`, code sets with
    labels or their files, nothing is encoded. `exclude_self` passes over each query's own file in
    the database; `force` lets code sets of different models meet.

    Raises BitcodesError, a child of it, where something is missing or does not fit together.
    """
    if queries is None and database is None:
        folder = resolve_run(None if run is None else Path(run))
        dataset = load_settings(folder).data if data is None else Path(data)
        sets, about, notes = _codes_of_run(folder, dataset, device, batch_size, workers, progress)
        return score_code_sets(*sets, exclude_self=exclude_self, about=about, notes=notes)
    if queries is None or database is None:
        raise ConfigError("queries and database go together: give both code sets, or neither")
    if run is not None or data is not None:
        raise ConfigError("give a run, or code sets of queries and database, not both")
    return score_code_sets(
        _opened(queries), _opened(database), exclude_self=exclude_self, force=force
    )


def _opened(code_set: CodeSet | Path | str) -> CodeSet:
    return code_set if isinstance(code_set, CodeSet) else CodeSet.open(Path(code_set))


def _codes_of_run(
    run: Path, data: Path, device: str, batch_size: int, workers: int, progress: Progress | None
) -> tuple[tuple[CodeSet, CodeSet], dict[str, Any], list[str]]:
    """Code sets of the queries and the database, what they are of, and notes on what was skipped.

    A record beside them holds digests of the model file and of the lists that they were made
    from; while these are the same, neither the model nor torch is loaded.
    """
    model_file = run / MODEL_FILE
    if not model_file.is_file():
        raise ConfigError(
            f"{model_file}: missing; the run has no weights yet: let finetune finish an epoch"
        )
    own_data = load_settings(run).data
    folder = run / (
        "evaluation" if data.resolve() == own_data.resolve() else f"evaluation-{data.name}"
    )
    sources = [model_file, data / "test.txt", data / "database.txt", data / "dataset.json"]
    digests = {file.name: _digest(file) for file in sources}

    record = _read_record(folder / _RECORD)
    sets = _stored(folder) if record.get("digests") == digests else None
    if sets is None:
        sets, record = _encode(run, data, folder, device, batch_size, workers, progress)
        record["digests"] = digests
        write_json_atomic(folder / _RECORD, record)

    about = {
        "run": str(run),
        "data": str(data),
        "protocol": record.get("protocol"),
        "query_codes": str(folder / _QUERIES),
        "database_codes": str(folder / _DATABASE),
        "fingerprint": sets[0].fingerprint,
    }
    notes = [
        f"{len(code_set.skipped):,} images of the {name} could not be read and are missing "
        f"(see {path.with_suffix('.skipped.txt')})."
        for name, code_set, path in (
            ("queries", sets[0], folder / _QUERIES),
            ("database", sets[1], folder / _DATABASE),
        )
        if code_set.skipped
    ]
    return sets, about, notes


def _encode(
    run: Path,
    data: Path,
    folder: Path,
    device: str,
    batch_size: int,
    workers: int,
    progress: Progress | None,
) -> tuple[tuple[CodeSet, CodeSet], dict[str, Any]]:
    from bitcodes.data.lists import read_dataset
    from bitcodes.encoding import encode
    from bitcodes.models.checkpoint import load_model

    dataset = read_dataset(data)
    model = load_model(run, device)
    folder.mkdir(exist_ok=True)
    sets = []
    for what, images, name in (
        ("encoding queries", dataset.test, _QUERIES),
        ("encoding database", dataset.database, _DATABASE),
    ):
        with progress(what) if progress else nullcontext() as report:
            sets.append(
                encode(
                    model,
                    images,
                    folder / name,
                    features=True,
                    batch_size=batch_size,
                    workers=workers,
                    force=True,
                    progress=report,
                )
            )
    return (sets[0], sets[1]), {"protocol": dataset.protocol}


def _stored(folder: Path) -> tuple[CodeSet, CodeSet] | None:
    """The code sets in `folder`; None where they are not both there, whole and of one model."""
    try:
        queries, database = CodeSet.open(folder / _QUERIES), CodeSet.open(folder / _DATABASE)
    except CodeSetError:
        return None
    return (queries, database) if queries.fingerprint == database.fingerprint else None


def _digest(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # missing or damaged: the codes are made, or found up to date, by encoding
    return record if isinstance(record, dict) else {}
