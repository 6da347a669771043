"""Encoding as the command does it: into a set that remembers what it was made from."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bitcodes.builtin import BUILT_IN
from bitcodes.callbacks import Note, Progress
from bitcodes.choices import DType, Engine, ListLabels
from bitcodes.codes.codeset import CodeSet, recorded_set
from bitcodes.codes.layout import Layout
from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.errors import CodeSetError, ConfigError, DataError
from bitcodes.models.encoding import BATCH_SIZE
from bitcodes.models.engines import load_encoder
from bitcodes.runs import choose_model
from bitcodes.sources.description import DATASET_FILE
from bitcodes.sources.source import open_stream
from bitcodes.tasks.choosing import in_words, own_model, recorded_run
from bitcodes.tasks.encoding.changes import changes_between
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.encoding.encoded import Encoded
from bitcodes.tasks.encoding.growing import plan, plan_again
from bitcodes.tasks.encoding.origin import Origin, origins_in_words, write_origins
from bitcodes.tasks.encoding.ray_pool import RayPool
from bitcodes.wording import command


def encode_sources(
    images: Sequence[str],
    out: Path,
    *,
    run: Path | str | None = None,
    bits: int | None = None,
    root: Path | None = None,
    all_files: bool = False,
    labels: ListLabels = "auto",
    part: tuple[int, int] | None = None,
    engine: Engine = "auto",
    dtype: DType = "auto",
    full_decode: bool = False,
    features: bool = False,
    append: bool = False,
    strict: bool = False,
    force: bool = False,
    ray: str | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    stdin: IO[bytes] | None = None,
    progress: Progress | None = None,
    log: Note | None = None,
    compare: bool = False,
) -> Encoded:
    """Encode the images that `images` name into the code set `out`.

    "-" stands for paths on `stdin`. `part` (I, N) encodes the I-th of N equal parts. The model is
    that of `run`, a run, a model file or a name of the built-in model. By default it is the code
    set's own, if that is still there; for a new set the newest run, or without one the built-in
    model, with codes of `bits`.

    A set keeps what it was made from, so that only images of what is named are dropped from it:
    what was added with `append` stays. Without `images`, the code set is updated from all that it
    was made from, with its own model; CodeSetError if that is not known. `force` drops all that is
    not in `images`; without them, all from what is not there.

    An engine or dtype of "auto" is that of the code set if there is one, else as in `load_encoder`.
    `ray` is the address of a Ray cluster; "local" starts one on this machine. The rest is as in
    `encode`. `all_files` takes hidden files and those of systems in folders too. `labels` says what
    the numbers in list files are, where that is open. `compare` finds out what has changed.
    """
    started = time.monotonic()
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if log is not None:
            log(line)

    Layout(out).check_replaceable()
    before = recorded_set(out) if compare else None
    if images:
        origin = Origin.of(images, root, part, all_files, labels)
        hint = _lists_in(images)
        try:
            source = open_stream(images, root, stdin, all_files=all_files, labels=labels)
        except DataError as error:
            raise DataError(*str(error).splitlines(), *hint) from None
        for line in hint:
            tell(line)
        work = plan(out, origin, source, append=append, force=force)
    else:
        existing = CodeSet.open(out)
        work = plan_again(existing, out, force=force)
        if run is None and bits is None:
            run = _model_again(existing, force)
        tell(f"{out} was made from {origins_in_words(work.origins)}")
    like = None if force else recorded_set(out)
    own = own_model(like) if run is None and bits is None and like is not None else None
    chosen = choose_model(own or run, bits)
    header = None if like is None else like.header
    model = load_encoder(chosen, device, engine, dtype, header, log)
    if bits is not None and bits != model.bits:
        raise ConfigError(
            f"{model.path}: has codes of {model.bits} bits, not {bits}; without --bits, they are "
            f"of {model.bits}, and --run {BUILT_IN} --bits {bits} takes the built-in model"
        )
    tell(in_words(chosen, model.bits, None if own is None else out))
    for step in work.steps:
        code_set = encode(
            model,
            step.source,
            out,
            features=features,
            decode="full" if full_decode else None,
            append=step.append,
            drops=step.drops,
            batch_size=batch_size,
            workers=workers,
            pool=None if ray is None else RayPool(ray),
            strict=strict,
            force=force,
            progress=progress,
            log=tell,
            origins=work.origins,  # of the whole: the next step may not come
        )
    write_origins(code_set, out, work.origins)  # if nothing but they has changed
    changes = changes_between(before, code_set) if compare else None
    return Encoded(code_set, out, frozenset(told), changes, time.monotonic() - started)


def _lists_in(images: Sequence[str]) -> list[str]:
    """For each data folder among what is named, the command that takes its list."""
    lists = [Path(name) / LIST_NAMES["database"] for name in images]
    return [
        f"{file.parent} is a data folder: {command('encode', file)} encodes its database, with "
        "labels"
        for file in lists
        if file.is_file() and file.with_name(DATASET_FILE).is_file()
    ]


def _model_again(existing: CodeSet, force: bool) -> Path | str | None:
    """The model that made a set; None if it is not there and the set may be replaced."""
    try:
        return recorded_run(existing)
    except CodeSetError:
        if force:
            return None
        raise
