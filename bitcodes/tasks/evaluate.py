"""Evaluate a run or stored code sets: encode what is missing, then score."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitcodes.builtin import built_in_bits
from bitcodes.callbacks import Steps
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import map_file, read_npy
from bitcodes.codes.paths import escape
from bitcodes.documents import read_json
from bitcodes.errors import CodeSetError, ConfigError, DataError
from bitcodes.files import atomic_write, write_json_atomic
from bitcodes.metrics.modes import score_modes
from bitcodes.metrics.protocols import spread_rows
from bitcodes.metrics.ranking import Floats
from bitcodes.metrics.scoring import METRICS, Evaluation, Sets, led_by, score_code_sets
from bitcodes.metrics.unseen import with_unseen
from bitcodes.runs import MODEL_FILE, RUNS, data_folder, load_settings
from bitcodes.sources.description import recorded_metric, recorded_unseen
from bitcodes.tasks.labelled_data import (
    LIST_FILES,
    LabelledData,
    lists_of,
    make_place,
    run_and_data,
)
from bitcodes.tasks.opening import open_codes
from bitcodes.version import __version__
from bitcodes.wording import counted

# Encoding is imported only if images must be encoded: scoring stored codes needs no torch.

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
    copies: int = 0,
    force: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    progress: Steps | None = None,
) -> Evaluation:
    """Evaluate a run on the queries and the database of its data, or two stored code sets.

    For a run (default: the newest), queries and database are encoded into the run's evaluation
    folder, with the engine that suits the number of images; codes of the same weights and lists are
    used again. `data` is a dataset other than the one of the training: a prepared folder, or one of
    class folders. The built-in model, by its name, takes that of the newest run by default; its
    codes are kept in runs/built-in-K. With `queries` and `database`, code sets with labels or their
    files, nothing is encoded.

    `exclude_self` leaves each query's own file out of its results. `force` allows code sets of
    different models. `stages` also compares the search modes on a sample of the queries: plain,
    re-ranked and, for a run, asymmetric. `copies` also measures each order of results inside the
    classes, with as many images of the database and as many queries: are copies of the images
    found, and images that look like the query? It needs the images, and so a model.

    `progress` is called for each step, as `bitcodes.progress` is. Raises BitcodesError or a child
    of it if something is missing or does not fit together.
    """
    if stages and exclude_self:
        raise ConfigError(
            "the search modes are compared with each query's own file in the database: "
            "use --stages or --exclude-self, not both"
        )
    if copies and (exclude_self or queries is not None or database is not None):
        other = "--exclude-self" if exclude_self else "--queries and --database"
        raise ConfigError(
            f"--copies encodes copies of images of the database: name a run, without {other}"
        )
    model = None
    if queries is None and database is None:
        model, images = run_and_data(run, data)
        encode = partial(_encode, device, batch_size, workers, progress)
        result = _evaluate_run(model, images, exclude_self, encode)
        if copies:
            from bitcodes.tasks.order_trial import JUDGE, try_orders

            judge = _encoded(JUDGE, images, encode).sets
            orders = try_orders(result.sets, judge, model, copies, device, progress)
            result = replace(result, orders=orders)
    elif queries is None or database is None:
        raise ConfigError("queries and database go together: name both code sets, or neither")
    elif run is not None or data is not None:
        raise ConfigError("name a run, or code sets of queries and database, not both")
    else:
        sets = open_codes(queries), open_codes(database)
        result = score_code_sets(*sets, exclude_self=exclude_self, force=force)
    return _with_modes(result, model, device) if stages else result


def _with_modes(evaluation: Evaluation, run: Path | str | None, device: str) -> Evaluation:
    """The evaluation with its search modes, for queries spread evenly over the list."""
    queries, database = evaluation.sets
    rows = spread_rows(queries.count, _MODE_QUERIES)
    outputs = None
    if run is not None:
        from bitcodes.models.encoding import encode_images
        from bitcodes.models.engines import load_like

        files = map(queries.absolute_path, rows.tolist())
        outputs = encode_images(load_like(database.header, run, device), files).outputs
    return replace(evaluation, stages=score_modes(queries, database, rows, outputs))


class _Encoded(NamedTuple):
    """Queries and database of some data, encoded in a folder."""

    folder: Path
    lists: Path
    """The folder of the lists, and of dataset.json."""
    sets: Sets
    notes: list[str]
    record: dict[str, Any]


Encode = Callable[[Path | str, Path, Path], tuple[Sets, str | None]]
"""Model, folder of the lists, folder to write to -> the code sets, and the lists' protocol."""


def _encoded(run: Path | str, data: LabelledData, encode: Encode) -> _Encoded:
    """Queries and database of the data, encoded by the model, or as an earlier call left them.

    A record holds what identifies the model and the lists that the codes were made from: also where
    the lists are, because equal lists in two folders name different images. While these are the
    same, neither the model nor torch is loaded.
    """
    folder, identity = _place(run, data)
    lists, notes = lists_of(data, folder)
    digests = _digests(*(lists / name for name in LIST_FILES))
    sources = {**identity, "lists": escape(str(lists.resolve())), **digests}
    record = _read_record(folder / _RECORD)
    sets = _stored(folder) if record.get("made_from") == sources else None
    if sets is None:
        sets, protocol = encode(run, lists, folder)
        record = {"made_from": sources, "protocol": protocol}
        write_json_atomic(folder / _RECORD, record)
    return _Encoded(folder, lists, sets, notes, record)


def _evaluate_run(
    run: Path | str, data: LabelledData, exclude_self: bool, encode: Encode
) -> Evaluation:
    """Evaluate a run on data with labels; use what an earlier evaluation stored in the run.

    The slow two-stage scores are stored too, with digests of their file and of the headers of the
    code sets.
    """
    folder, lists, sets, notes, record = _encoded(run, data, encode)
    metric = recorded_metric(lists, METRICS)
    if metric is not None:
        notes.append(
            f"The main figure of this dataset is {metric.replace('map', 'mAP')}; published tables "
            "count it as --compat deephash does."
        )
    headers = _digests(*(folder / f"{part}.json" for part in _PARTS))
    headers["bitcodes"] = __version__
    scores = folder / _TWO_STAGE
    is_stored = not exclude_self and record.get("two_stage_of") == headers | _digests(scores)
    result = score_code_sets(
        *sets,
        exclude_self=exclude_self,
        about={
            "run": escape(str(run)),
            "data": escape(str(data.named)),
            "loss": None if isinstance(run, str) else str(load_settings(run).loss),
            "protocol": said if isinstance(said := record.get("protocol"), str) else None,
        },
        notes=[
            *notes,
            *(
                f"Unreadable, and so missing from the {part}: "
                f"{counted(len(code_set.skipped), 'image')} "
                f"({folder / f'{part}.skipped.txt'} says why)."
                for part, code_set in zip(_PARTS, sets, strict=True)
                if code_set.skipped
            ),
        ],
        two_stage=_read_scores(scores, sets[0].count) if is_stored else None,
    )
    if not exclude_self and not is_stored:
        with atomic_write(scores) as file:
            np.save(file, result.scores["two_stage"])
        made_of = headers | _digests(scores)
        write_json_atomic(folder / _RECORD, {**record, "two_stage_of": made_of})
    if unseen := recorded_unseen(lists):
        result = with_unseen(result, unseen)
    return result if metric is None else led_by(result, metric)


def _place(run: Path | str, data: LabelledData) -> tuple[Path, dict[str, str | None]]:
    """The folder for the codes of an evaluation, and what identifies the model."""
    other = f"evaluation-{data.named.resolve().name}"
    if isinstance(run, str):
        from bitcodes.models.builtin import FINGERPRINTS

        return RUNS / run / other, {run: FINGERPRINTS[built_in_bits(run) or 0]}
    model_file = run / MODEL_FILE
    if not model_file.is_file():
        raise ConfigError(
            f"{model_file}: missing; the run has no weights yet: let finetune finish an epoch"
        )
    own = data.folder.resolve() == data_folder(run, load_settings(run)).resolve()
    return run / ("evaluation" if own else other), _digests(model_file)


def _encode(
    device: str,
    batch_size: int,
    workers: int | None,
    progress: Steps | None,
    run: Path | str,
    lists: Path,
    folder: Path,
) -> tuple[Sets, str | None]:
    """Encode queries and database of the lists into `folder`; returns them and the protocol."""
    from bitcodes.datasets.dataset import read_dataset
    from bitcodes.models.engines import load_encoder
    from bitcodes.tasks.encoding.encode import encode

    dataset = read_dataset(lists)
    model = load_encoder(run, device)
    make_place(folder)
    sets = []
    whose = "" if built_in_bits(run) is None else " by the built-in model"
    for part, images in zip(_PARTS, (dataset.test, dataset.database), strict=True):
        with progress(f"encoding {part}{whose}") if progress else nullcontext() as report:
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
        scores = np.array(read_npy(map_file(file), file))
    except (OSError, CodeSetError):
        return None
    return scores if scores.shape == (queries,) and scores.dtype == np.float64 else None
