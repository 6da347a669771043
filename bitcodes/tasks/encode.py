"""Encoding: a model and a source of images -> a code set, continued where it was interrupted."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.codes.writer import CodeSetWriter, finish_commit
from bitcodes.errors import CodeSetError, DataError
from bitcodes.models.encoder import Encoder
from bitcodes.models.encoding import BATCH_SIZE, EncodedBatch, encode_batches
from bitcodes.models.modelfile import ONNX
from bitcodes.runs import MODEL_FILE
from bitcodes.sources.lists import ImageList
from bitcodes.sources.paths import quote_path
from bitcodes.sources.reading import Decode
from bitcodes.sources.source import Source, open_stream, to_source
from bitcodes.tasks.update import Keep, New, Update


def encode(
    model: Encoder,
    source: Source | ImageList | str | Path | Sequence[str | Path],
    out: str | Path = "codes.npy",
    *,
    features: bool = False,
    decode: Decode | None = None,
    append: bool = False,
    batch_size: int = BATCH_SIZE,
    workers: int | None = 0,
    ray: str | None = None,
    strict: bool = False,
    force: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> CodeSet:
    """Encode images into the code set `out`, and return it.

    `source` is a Source, an ImageList, or what names one: folders, list files, archives, images.
    Batches follow its order, and in float32 the codes depend on neither `batch_size` nor `workers`,
    the processes that read images (None: by the number of cores; 0: this one). `features` adds the
    features sidecar. `decode` is how JPEGs are read: "full", or "reduced" where the network sees
    much less of them; None: as the set that is there was made, else "reduced". `ray` is the address
    of a Ray cluster that does the work ("": one on this machine).

    A set that is there is brought up to date: what is new or has changed, by path, size and
    modification time, is encoded, and what is gone is dropped; with `append` all rows are kept and
    what the source has beyond them is added. It must be of the same model, encoded in the same way;
    else it is an error that says what differs, unless `force` allows to replace it.

    Images that cannot be read are skipped and listed with the reason in `<out>.skipped.txt`; with
    `strict` they raise DataError. If interrupted, even killed, the same call continues. `log` gets
    lines that say what is done.
    """
    out = Path(out)
    if isinstance(source, ImageList):
        source = to_source(source)
    elif not isinstance(source, Source):
        source = open_stream(_arguments(source))
    log = log or _silent

    finish_commit(out)
    existing = _existing(out, force)
    if existing is not None and decode is None and existing.header.decode in ("reduced", "full"):
        decode = existing.header.decode  # type: ignore[assignment]
    target = _Target(model, source, features, decode or "reduced")
    if existing is not None and (differences := target.differences(existing, append)):
        if not force:
            raise CodeSetError(
                f"{out} exists already and is not what this would make: "
                + "; ".join(differences)
                + ". Write to another file with -o, or replace it with --force (force=True)"
            )
        existing = None
    update = Update(source, existing, append)
    if existing is not None and update.is_empty:
        count = "" if source.count is None else f" {source.count:,}"
        same = "nothing to append" if append else f"the same model and the same{count} images"
        log(f"{out} is up to date: {same}")
        _check_strict(existing.skipped, strict)
        return existing
    with _writer(out, target, update) as writer:
        if writer.dropped:
            log(f"starting over: images or settings changed since {writer.dropped:,} were encoded")
        elif writer.position:
            of = "" if update.count is None else f" of {update.count:,}"
            log(f"continuing after {writer.position:,}{of} images")
        _encode_rest(writer, target, update, batch_size, workers, ray, strict, progress)
        if existing is not None:
            log(update.summary())
        return writer.commit()


# -- one code set ---------------------------------------------------------------------------------


class _Target:
    """The code set that a call of `encode` is to make."""

    def __init__(self, model: Encoder, source: Source, features: bool, decode: Decode) -> None:
        self.model = model
        self.source = source
        self.features = features
        self.decode: Decode = decode
        self.fingerprint = model.fingerprint()

    def differences(self, existing: CodeSet, append: bool) -> list[str]:
        """What keeps an existing set from being brought up to date, in words."""
        header = existing.header
        if existing.is_bare:
            return ["it has no header that says what it was made of"]
        differences = []
        if header.fingerprint != self.fingerprint:
            differences.append(
                f"it is of model {header.fingerprint} ({header.run or 'of an unknown run'}), this "
                f"model is {self.fingerprint}"
            )
        before = (header.engine, header.dtype, header.decode)
        now = (self.model.engine, self.model.dtype, self.decode)
        if before != now:
            differences.append(f"it was encoded with {before}, this would be {now}")
        if self.features and existing.features is None:
            differences.append("it has no features")
        labels = existing.labels
        columns = 0 if labels is None else labels.shape[1] if labels.ndim == 2 else None
        if append:
            if (labels is None) != (not self.source.columns):
                differences.append("of it and the images to append only one has labels")
            elif columns not in (None, self.source.columns) or (
                columns is None and not self.source.single
            ):
                differences.append("the images to append have other labels")
            return differences
        if labels is not None and not self.source.columns:
            differences.append("it has labels, and these images have none")
        if existing.root_name != self.source.root:
            differences.append(
                f"its images lie in {existing.root_name}, these in {self.source.root} "
                "(--append adds them to it)"
            )
        return differences


def _writer(out: Path, target: _Target, update: Update) -> CodeSetWriter:
    model, base = target.model, update.base
    if base is not None:
        target.features = base.features is not None
    columns = ["stat"]
    if target.source.columns:
        columns.append("labels")
    if target.features:
        columns.append("features")
    file = model.path
    run = file.parent if file is not None and file.name in _RUN_FILES else file
    return CodeSetWriter(
        out,
        bits=model.bits,
        columns=tuple(columns),
        root=update.root,
        class_names=update.class_names,
        fingerprint=target.fingerprint,
        backbone=model.backbone_name,
        run=run,
        engine=model.engine,
        dtype=model.dtype,
        decode=target.decode,
        source=update.digest,
        force=True,  # what may be replaced was looked at before
    )


_RUN_FILES = (MODEL_FILE, Path(MODEL_FILE).with_suffix(ONNX).name)


def _encode_rest(
    writer: CodeSetWriter,
    target: _Target,
    update: Update,
    batch_size: int,
    workers: int | None,
    ray: str | None,
    strict: bool,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Stage what is not staged yet."""
    if strict and writer.skipped:
        raise DataError(
            f"{writer.skipped:,} of the images encoded before cannot be read; repair them or take "
            "them out, or let them be skipped, without --strict (strict=False)"
        )
    if progress is not None:
        progress(writer.position, update.count)
    last = ("", "")
    for step, batch in encode_batches(
        target.model,
        update.steps(writer.position, batch_size),
        batch_size,
        decode=target.decode,
        features=target.features,
        workers=workers,
        ray=ray,
    ):
        for position, reason in batch.skipped:
            last = step.items[position].path, reason
            _check_strict([last], strict)
        begin = 0
        for part in step.parts:
            if isinstance(part, Keep):
                assert update.base is not None
                writer.copy(update.base, part.start, part.stop, _labels(part.labels, update))
            else:
                _append(writer, part, batch, begin, target.features, update)
                begin += len(part.items)
        if progress is not None:
            progress(writer.position, update.count)
    if writer.done == 0:
        raise DataError(
            f"none of the {writer.skipped:,} images could be read; the last one, "
            f"{quote_path(last[0])}: {last[1]}"
        )


def _append(
    writer: CodeSetWriter,
    new: New,
    batch: EncodedBatch,
    begin: int,
    features: bool,
    update: Update,
) -> None:
    """Write what the model made of new images, which begin at position `begin` of a batch."""
    end = begin + len(new.items)
    for position, reason in batch.skipped:
        if begin <= position < end:
            writer.skip(new.items[position - begin].path, reason)
    rows = slice(*np.searchsorted(batch.good, [begin, end]).tolist())
    items = [new.items[position - begin] for position in batch.good[rows]]
    if items:
        writer.append(
            pack_outputs(batch.outputs[rows]),
            [item.path for item in items],
            labels=_labels([item.labels for item in items], update),
            features=batch.features[rows] if features else None,
            stat=batch.stat[rows],
        )


def _labels(
    rows: Sequence[NDArray[np.uint8] | None] | None, update: Update
) -> NDArray[np.uint8] | NDArray[np.int32] | None:
    """Labels as a set keeps them: class numbers (n,) where every image has one, else (n, C)."""
    if not rows or rows[0] is None:
        return None
    labels = np.stack([row for row in rows if row is not None])  # (n, C)
    return labels.argmax(axis=1).astype(np.int32) if update.single else labels


def _existing(out: Path, force: bool) -> CodeSet | None:
    """The set that is there; a damaged one counts as none when it may be replaced."""
    if not os.path.lexists(out):
        return None
    try:
        return CodeSet.open(out)
    except CodeSetError:
        if force:
            return None
        raise


def _check_strict(skipped: Sequence[tuple[str, str]], strict: bool) -> None:
    if strict and skipped:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1:,} more)" if len(skipped) > 1 else ""
        raise DataError(
            f"{quote_path(path)} cannot be read: {reason}{more}; repair it or take it out, or let "
            "it be skipped, without --strict (strict=False)"
        )


def _arguments(source: str | Path | Sequence[str | Path]) -> list[str]:
    several = [source] if isinstance(source, str | Path) else source
    return [str(item) for item in several]


def _silent(line: str) -> None:
    pass
