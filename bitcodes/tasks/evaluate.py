"""Evaluating a run, or stored code sets: encodes what is missing, then scores."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.errors import BitcodesError, CodeSetError, ConfigError
from bitcodes.files import atomic_write, write_json_atomic
from bitcodes.metrics.protocols import align_labels
from bitcodes.metrics.ranking import Floats
from bitcodes.metrics.scoring import Evaluation, score_code_sets
from bitcodes.metrics.stages import score_stages
from bitcodes.runs import MODEL_FILE, load_settings, resolve_run
from bitcodes.version import __version__

if TYPE_CHECKING:
    from bitcodes.sources.lists import ImageList

# encoding is imported only when something must be encoded: scoring stored codes needs no torch.

Progress = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]
"""Given what is being done, a context that yields what (done, total) is reported to."""

_LISTS = ("test.txt", "database.txt", "dataset.json")
_QUERIES, _QUERIES_HEADER = "queries.npy", "queries.json"
_DATABASE, _DATABASE_HEADER = "database.npy", "database.json"
_RECORD, _TWO_STAGE = "evaluated.json", "two_stage.npy"

_STAGE_QUERIES = 1000


def evaluate(
    run: Path | str | None = None,
    *,
    data: Path | str | None = None,
    queries: CodeSet | Path | str | None = None,
    database: CodeSet | Path | str | None = None,
    exclude_self: bool = False,
    stages: bool = False,
    force: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a run on the queries and the database of its data, or two stored code sets.

    Of a run (default: the newest), queries and database are encoded, with the engine that suits so
    many images, into the run's evaluation folder, unless the codes there are of the same weights
    and lists; `data` is another prepared dataset than the one the run was trained on. With
    `queries` and `database`, code sets with labels or their files, nothing is encoded.
    `exclude_self` passes over each query's own file in the database; `force` lets code sets of
    different models meet. `stages` also searches with a sample of the queries, re-ranked and, of a
    run, asymmetric beside plain Hamming, and times it.

    Raises BitcodesError, a child of it, where something is missing or does not fit together.
    """
    if stages and exclude_self:
        raise ConfigError("stages of a search are scored with each query's own file; ask for one")
    if queries is None and database is None:
        folder = resolve_run(None if run is None else Path(run))
        dataset = load_settings(folder).data if data is None else Path(data)
        result = _evaluate_run(folder, dataset, exclude_self, device, batch_size, workers, progress)
        return _with_stages(result, folder, device) if stages else result
    if queries is None or database is None:
        raise ConfigError("queries and database go together: give both code sets, or neither")
    if run is not None or data is not None:
        raise ConfigError("give a run, or code sets of queries and database, not both")
    result = score_code_sets(
        _opened(queries), _opened(database), exclude_self=exclude_self, force=force
    )
    return _with_stages(result, None, device) if stages else result


def _with_stages(evaluation: Evaluation, run: Path | None, device: str) -> Evaluation:
    """The evaluation with its stages, for queries spread evenly over the list."""
    queries, database = evaluation.sets
    count = min(queries.count, _STAGE_QUERIES)
    rows = np.linspace(0, queries.count - 1, count).round().astype(np.int64)
    outputs = None
    if run is not None:
        from bitcodes.models.encoding import encode_images
        from bitcodes.models.engines import load_like

        files = (queries.absolute_path(row) for row in rows.tolist())
        outputs = encode_images(load_like(database.header, run, device), files).outputs
    assert queries.labels is not None and database.labels is not None  # score_code_sets has seen
    query_labels, labels = align_labels(queries.labels, database.labels)
    stages = score_stages(
        database.codes,
        database.bits,
        labels,
        queries.codes[rows],
        query_labels[rows],
        features=database.features,
        query_features=None if queries.features is None else queries.features[rows],
        query_outputs=outputs,
    )
    return replace(evaluation, stages=stages)


def _opened(code_set: CodeSet | Path | str) -> CodeSet:
    return code_set if isinstance(code_set, CodeSet) else CodeSet.open(Path(code_set))


def _evaluate_run(
    run: Path,
    data: Path,
    exclude_self: bool,
    device: str,
    batch_size: int,
    workers: int | None,
    progress: Progress | None,
) -> Evaluation:
    """Evaluate a run on prepared data, with what an earlier evaluation left in the run.

    A record holds digests of the model file and of the lists that the codes there were made from;
    while these are the same, neither the model nor torch is loaded. The slow two-stage scores are
    kept too, with digests of the code sets' headers.
    """
    model_file = run / MODEL_FILE
    if not model_file.is_file():
        raise ConfigError(
            f"{model_file}: missing; the run has no weights yet: let finetune finish an epoch"
        )
    own = data.resolve() == load_settings(run).data.resolve()
    folder = run / ("evaluation" if own else f"evaluation-{data.resolve().name}")
    made_from = _digests(model_file, *(data / name for name in _LISTS))

    record = _read_record(folder / _RECORD)
    sets = _stored(folder) if record.get("made_from") == made_from else None
    if sets is None:
        sets, protocol = _encode(run, data, folder, device, batch_size, workers, progress)
        record = {"made_from": made_from, "protocol": protocol}
        write_json_atomic(folder / _RECORD, record)

    headers = _digests(folder / _QUERIES_HEADER, folder / _DATABASE_HEADER)
    headers["bitcodes"] = __version__
    keep = not exclude_self
    scored = keep and record.get("two_stage_of") == headers
    result = score_code_sets(
        *sets,
        exclude_self=exclude_self,
        about={
            "run": escape(str(run)),
            "data": escape(str(data)),
            "protocol": record.get("protocol"),
            "query_codes": escape(str(folder / _QUERIES)),
            "database_codes": escape(str(folder / _DATABASE)),
            "fingerprint": sets[0].fingerprint,
        },
        notes=[
            f"Unreadable, and so missing from the {name}: {len(code_set.skipped):,} of its images "
            f"({folder / skipped} says why)."
            for name, code_set, skipped in zip(
                ("queries", "database"),
                sets,
                ("queries.skipped.txt", "database.skipped.txt"),
                strict=True,
            )
            if code_set.skipped
        ],
        two_stage=_read_scores(folder / _TWO_STAGE, sets[0].count) if scored else None,
    )
    if keep and not scored:
        with atomic_write(folder / _TWO_STAGE) as file:
            np.save(file, result.scores["two_stage"])
        write_json_atomic(folder / _RECORD, {**record, "two_stage_of": headers})
    return result


def _encode(
    run: Path,
    data: Path,
    folder: Path,
    device: str,
    batch_size: int,
    workers: int | None,
    progress: Progress | None,
) -> tuple[tuple[CodeSet, CodeSet], str | None]:
    """Encode queries and database of the data into `folder`; returns them and the protocol."""
    from bitcodes.datasets.dataset import read_dataset
    from bitcodes.models.engines import load_encoder
    from bitcodes.tasks.encode import encode

    dataset = read_dataset(data)
    model = load_encoder(run, device, images=len(dataset.test) + len(dataset.database))
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BitcodesError(
            f"{folder} cannot be made ({error.strerror}), and codes for evaluation are kept there; "
            "encode test.txt and database.txt elsewhere and name these code sets instead"
        ) from error

    def encoded(what: str, images: "ImageList", name: str) -> CodeSet:
        with progress(f"encoding {what}") if progress else nullcontext() as report:
            return encode(
                model,
                images,
                folder / name,
                features=True,
                batch_size=batch_size,
                workers=workers,
                force=True,
                progress=report,
            )

    queries = encoded("queries", dataset.test, _QUERIES)
    return (queries, encoded("database", dataset.database, _DATABASE)), dataset.protocol


def _stored(folder: Path) -> tuple[CodeSet, CodeSet] | None:
    """The code sets in `folder`; None where they are not both there, whole and of one model."""
    try:
        queries, database = CodeSet.open(folder / _QUERIES), CodeSet.open(folder / _DATABASE)
    except CodeSetError:
        return None
    return (queries, database) if queries.fingerprint == database.fingerprint else None


def _digests(*files: Path) -> dict[str, str | None]:
    """SHA-256 of each file by its name; None where there is none."""
    digests: dict[str, str | None] = {}
    for file in files:
        digests[file.name] = None
        if file.is_file():
            with file.open("rb") as opened:
                digests[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return digests


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # missing or damaged: encoding finds out what is up to date
    return record if isinstance(record, dict) else {}


def _read_scores(file: Path, queries: int) -> Floats | None:
    """Scores kept by an earlier evaluation; None where they are missing or do not fit."""
    try:
        scores = np.load(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return scores if scores.shape == (queries,) and scores.dtype == np.float64 else None
