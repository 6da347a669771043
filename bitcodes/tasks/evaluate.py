"""Evaluate a run or stored code sets: encode what is missing, then score."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bitcodes.builtin import built_in_bits, built_in_name
from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.documents import read_json
from bitcodes.errors import BitcodesError, CodeSetError, ConfigError, DataError
from bitcodes.files import atomic_write, write_json_atomic
from bitcodes.metrics.modes import score_modes
from bitcodes.metrics.ranking import Floats
from bitcodes.metrics.scoring import Evaluation, score_code_sets
from bitcodes.runs import MODEL_FILE, RUNS, data_folder, load_settings, resolve_run
from bitcodes.version import __version__
from bitcodes.wording import command, counted

# Encoding is imported only if images must be encoded: scoring stored codes needs no torch.

Steps = Callable[[str], AbstractContextManager[Progress]]
"""Description of a step -> a context that yields the function to call with its progress."""

Sets = tuple[CodeSet, CodeSet]
"""Queries and database."""

_LISTS = ("test.txt", "database.txt", "dataset.json")
_PARTS = ("queries", "database")
_RECORD, _TWO_STAGE = "evaluated.json", "two_stage.npy"

_MODE_QUERIES = 1000


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
    progress: Steps | None = None,
) -> Evaluation:
    """Evaluate a run on the queries and the database of its data, or two stored code sets.

    For a run (default: the newest), queries and database are encoded into the run's evaluation
    folder, with the engine that suits the number of images; codes of the same weights and lists are
    used again. `data` is a prepared dataset other than the one of the training; the built-in model,
    by its name, has none of its own, and its codes are kept in runs/built-in-K. With `queries` and
    `database`, code sets with labels or their files, nothing is encoded.

    `exclude_self` leaves each query's own file out of its results. `force` allows code sets of
    different models. `stages` also compares the search modes on a sample of the queries: plain,
    re-ranked and, for a run, asymmetric.

    `progress` is called for each step, as `bitcodes.progress` is. Raises BitcodesError or a child
    of it if something is missing or does not fit together.
    """
    if stages and exclude_self:
        raise ConfigError(
            "the search modes are compared with each query's own file in the database: "
            "use --stages or --exclude-self, not both"
        )
    model = None
    if queries is None and database is None:
        model, dataset = _model_and_data(run, data)
        encode = partial(_encode, model, dataset, device, batch_size, workers, progress)
        result = _evaluate_run(model, dataset, exclude_self, encode)
    elif queries is None or database is None:
        raise ConfigError("queries and database go together: name both code sets, or neither")
    elif run is not None or data is not None:
        raise ConfigError("name a run, or code sets of queries and database, not both")
    else:
        sets = _open(queries), _open(database)
        result = score_code_sets(*sets, exclude_self=exclude_self, force=force)
    return _with_modes(result, model, device) if stages else result


def _model_and_data(run: Path | str | None, data: Path | str | None) -> tuple[Path | str, Path]:
    """The run's folder, or the name of the built-in model; and the prepared dataset."""
    if (bits := built_in_bits(run)) is not None:
        if data is None:
            raise ConfigError(
                "the built-in model was trained on no dataset of yours: name one with --data"
            )
        return built_in_name(bits), Path(data)
    folder = resolve_run(None if run is None else Path(run))
    settings = load_settings(folder)
    dataset = data_folder(folder, settings) if data is None else Path(data)
    if data is None and settings.loss.label_free:
        _check_labels(folder, dataset)
    return folder, dataset


def _check_labels(run: Path, data: Path) -> None:
    """Raise ConfigError if a run was fitted to a folder of images, which has no labels."""
    if all((data / name).is_file() for name in _LISTS[:2]):
        return
    lists = f"{data.name}-lists"
    raise ConfigError(
        f"{run} was fitted to images without labels ({data}), and figures of quality need labels. "
        "If you have the images in class folders, make lists of them and name these:",
        f"  {command('prepare', 'folder', 'CLASS-FOLDERS', lists)}",
        f"  {command('evaluate', run, '--data', lists)}",
    )


def _with_modes(evaluation: Evaluation, run: Path | str | None, device: str) -> Evaluation:
    """The evaluation with its search modes, for queries spread evenly over the list."""
    queries, database = evaluation.sets
    count = min(queries.count, _MODE_QUERIES)
    rows = np.linspace(0, queries.count - 1, count).round().astype(np.int64)
    outputs = None
    if run is not None:
        from bitcodes.models.encoding import encode_images
        from bitcodes.models.engines import load_like

        files = map(queries.absolute_path, rows.tolist())
        outputs = encode_images(load_like(database.header, run, device), files).outputs
    return replace(evaluation, stages=score_modes(queries, database, rows, outputs))


def _open(code_set: CodeSet | Path | str) -> CodeSet:
    return code_set if isinstance(code_set, CodeSet) else CodeSet.open(code_set)


def _evaluate_run(
    run: Path | str,
    data: Path,
    exclude_self: bool,
    encode: Callable[[Path], tuple[Sets, str | None]],
) -> Evaluation:
    """Evaluate a run on prepared data; use what an earlier evaluation stored in the run.

    `encode` makes the code sets in a folder, and says the protocol of the data. A record holds
    what identifies the model and the lists that the codes were made from. While these are the
    same, neither the model nor torch is loaded. The slow two-stage scores are stored too, with
    digests of the headers of the code sets.
    """
    folder, identity = _place(run, data)
    sources = {**identity, **_digests(*(data / name for name in _LISTS))}
    record = _read_record(folder / _RECORD)
    sets = _stored(folder) if record.get("made_from") == sources else None
    if sets is None:
        sets, protocol = encode(folder)
        record = {"made_from": sources, "protocol": protocol}
        write_json_atomic(folder / _RECORD, record)

    headers = _digests(*(folder / f"{part}.json" for part in _PARTS))
    headers["bitcodes"] = __version__
    is_stored = not exclude_self and record.get("two_stage_of") == headers
    result = score_code_sets(
        *sets,
        exclude_self=exclude_self,
        about={
            "run": escape(str(run)),
            "data": escape(str(data)),
            "protocol": record.get("protocol"),
        },
        notes=[
            f"Unreadable, and so missing from the {part}: "
            f"{counted(len(code_set.skipped), 'image')} "
            f"({folder / f'{part}.skipped.txt'} says why)."
            for part, code_set in zip(_PARTS, sets, strict=True)
            if code_set.skipped
        ],
        two_stage=_read_scores(folder / _TWO_STAGE, sets[0].count) if is_stored else None,
    )
    if not exclude_self and not is_stored:
        with atomic_write(folder / _TWO_STAGE) as file:
            np.save(file, result.scores["two_stage"])
        write_json_atomic(folder / _RECORD, {**record, "two_stage_of": headers})
    return result


def _place(run: Path | str, data: Path) -> tuple[Path, dict[str, str | None]]:
    """The folder for the codes of an evaluation, and what identifies the model."""
    other = f"evaluation-{data.resolve().name}"
    if isinstance(run, str):
        from bitcodes.models.builtin import FINGERPRINTS

        return RUNS / run / other, {run: FINGERPRINTS[built_in_bits(run) or 0]}
    model_file = run / MODEL_FILE
    if not model_file.is_file():
        raise ConfigError(
            f"{model_file}: missing; the run has no weights yet: let finetune finish an epoch"
        )
    own = data.resolve() == data_folder(run, load_settings(run)).resolve()
    return run / ("evaluation" if own else other), _digests(model_file)


def _encode(
    run: Path | str,
    data: Path,
    device: str,
    batch_size: int,
    workers: int | None,
    progress: Steps | None,
    folder: Path,
) -> tuple[Sets, str | None]:
    """Encode queries and database of the data into `folder`; returns them and the protocol."""
    from bitcodes.datasets.dataset import read_dataset
    from bitcodes.models.engines import load_encoder
    from bitcodes.tasks.encode import encode

    dataset = read_dataset(data)
    model = load_encoder(run, device)
    try:
        folder.mkdir(parents=isinstance(run, str), exist_ok=True)
    except OSError as error:
        raise BitcodesError(
            f"{folder}, the folder for the codes of the evaluation, cannot be created "
            f"({error.strerror}); encode test.txt and database.txt elsewhere and evaluate with "
            "--queries and --database"
        ) from error
    sets = []
    for part, images in zip(_PARTS, (dataset.test, dataset.database), strict=True):
        with progress(f"encoding {part}") if progress else nullcontext() as report:
            code_set = encode(
                model,
                images,
                folder / f"{part}.npy",
                features=True,
                batch_size=batch_size,
                workers=workers,
                force=True,
                progress=report,
            )
        sets.append(code_set)
    queries, database = sets
    return (queries, database), dataset.protocol


def _stored(folder: Path) -> Sets | None:
    """The code sets in `folder`; None unless both are there, undamaged and of one model."""
    try:
        queries, database = (CodeSet.open(folder / f"{part}.npy") for part in _PARTS)
    except CodeSetError:
        return None
    return (queries, database) if queries.fingerprint == database.fingerprint else None


def _digests(*files: Path) -> dict[str, str | None]:
    """File name -> SHA-256 in hex; None if there is no such file."""
    digests: dict[str, str | None] = {}
    for file in files:
        digests[file.name] = None
        if file.is_file():
            with file.open("rb") as stream:
                digests[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = read_json(file, DataError)
    except (OSError, DataError):
        return {}  # missing or damaged: encode compares the images itself
    return record if isinstance(record, dict) else {}


def _read_scores(file: Path, queries: int) -> Floats | None:
    """Scores that an earlier evaluation stored; None if they are missing or do not fit."""
    try:
        scores = np.load(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return scores if scores.shape == (queries,) and scores.dtype == np.float64 else None
