"""Encoding: a model and a source of images -> a code set, continued where it was interrupted."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet, recorded_set
from bitcodes.codes.layout import Layout, is_foreign
from bitcodes.codes.writer import CodeSetWriter, finish_commit
from bitcodes.errors import CodeSetError
from bitcodes.models.encoder import Encoder
from bitcodes.models.encoding import BATCH_SIZE, encode_batches
from bitcodes.models.engines import load_encoder
from bitcodes.runs import FITTED_CODES
from bitcodes.sources.left_out import total
from bitcodes.sources.lists import ImageList
from bitcodes.sources.paths import names_of
from bitcodes.sources.ranges import has_range
from bitcodes.sources.reading import Decode
from bitcodes.sources.source import Source, open_stream, to_source
from bitcodes.tasks.choosing import run_of, ways_out
from bitcodes.tasks.encoding.origin import Origin, origin_maker
from bitcodes.tasks.encoding.parts import PartWork, Pool, encode_parts
from bitcodes.tasks.encoding.update import Update
from bitcodes.tasks.encoding.writing import check_strict, write_steps
from bitcodes.wording import counted


def encode(
    model: Encoder | Path | str,
    source: Source | ImageList | str | Path | Sequence[str | Path],
    out: str | Path = "codes.npy",
    *,
    features: bool = False,
    decode: Decode | None = None,
    append: bool = False,
    drops: Callable[[str], bool] | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = 0,
    pool: Pool | None = None,
    strict: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    log: Note | None = None,
    origins: Sequence[Origin] = (),
) -> CodeSet:
    """Encode images into the code set `out`, and return it.

    `model` is a loaded model, or names one: a run, a model file, the built-in model. `source` is a
    Source, an ImageList, or names of folders, list files, archives or images. `workers` processes
    read images (None: by the number of cores; 0: this process does). In float32 the codes depend on
    neither `batch_size` nor `workers`. `features` adds the features sidecar.
    `decode` says how JPEGs are read: "full", or "reduced" if they are much larger than what the
    network sees; None: as for the existing set, else "reduced". With a `pool`, such as
    RayPool("local"), its processes do the work: see encode_parts.

    An existing set is updated: images that are new or have changed, by path, size and modification
    time, are encoded, and those that are gone are dropped. With `append`, all rows stay, and images
    that the set does not have are added; but with `drops` too, a row that `source` does not have is
    dropped if `drops` says so of its absolute path. A folder that was only renamed is recognised.
    The set must be of the same model and encoded in the same way. Otherwise CodeSetError says what
    differs; `force` replaces the set.

    Images that cannot be read are skipped and listed with the reason in `<out>.skipped.txt`; with
    `strict` they raise DataError. If encoding is interrupted, even killed, the same call continues.
    `log` gets lines that say what is done. `origins` are kept with a new set as what it was made
    from; see origin.py.
    """
    out = Path(out)
    if isinstance(source, ImageList):
        source = to_source(source)
    elif not isinstance(source, Source):
        source = open_stream(names_of(source))
    log = log or _ignore

    finish_commit(out)
    if isinstance(model, str | Path):
        like = None if force else recorded_set(out)
        model = load_encoder(model, like=None if like is None else like.header, log=log)
    existing = _existing(out, force)
    if existing is not None and decode is None and existing.header.decode in ("reduced", "full"):
        decode = existing.header.decode  # type: ignore[assignment]
    target = _Target(model, source, features, decode or "reduced")
    if existing is not None and not append and (old := target.renamed(existing)):
        log(f"{old} has become {source.root}: the codes of its images are kept")
    if existing is not None and (differences := target.differences(existing, append)):
        if not force:
            raise CodeSetError(
                f"{out} exists already and is not what this would make: "
                f"{'; '.join(differences)}. {ways_out(existing, run_of(model))}"
            )
        existing = None
    base = existing
    if existing is None and (base := _fitted_codes(target)) is not None:
        append = False  # to nothing
    update = Update(source, base, append, drops)
    if left_out := total(source.left_out).describe():
        log(left_out)
    if existing is not None and update.is_empty and not target.is_renamed:
        same = "nothing to append" if append and drops is None else _same(source, update)
        log(f"{out} is up to date: {same}")
        check_strict([(update.frame.place(path), why) for path, why in existing.skipped], strict)
        return existing
    if existing is not None and not force:
        target.check_shares_images(update, out)
    may_replace = force or existing is not None or Layout(out).is_described
    plan = _plan(target, update)
    origin = origin_maker(out, origins)
    progress = progress or _ignore
    if pool is not None:
        work = PartWork.of(
            out,
            model,
            update,
            plan,
            batch_size=batch_size,
            decode=target.decode,
            strict=strict,
        )
        code_set = encode_parts(
            pool,
            work,
            update,
            out,
            may_replace=may_replace,
            origin=origin,
            progress=progress,
            log=log,
        )
        _tell_of_kept(update, code_set.count, existing, log)
        return code_set
    with CodeSetWriter(out, force=may_replace, **plan) as writer:
        _tell_of_resumed(update, writer, log)
        batches = encode_batches(
            model,
            update.steps(writer.position, batch_size),
            batch_size,
            decode=target.decode,
            features=target.features,
            workers=workers,
            careful=writer.is_resumed,  # the next batch may have killed the last one
        )
        unread = write_steps(
            writer,
            update.frame,
            batches,
            strict=strict,
            progress=progress,
            count=update.count,
            log=log,
        )
        unread.check_any(writer.done, writer.skipped)
        _tell_of_kept(update, writer.done, existing, log)
        return writer.commit(origin)


def _tell_of_resumed(update: Update, writer: CodeSetWriter, log: Note) -> None:
    """Say what an interrupted call has done already."""
    if writer.dropped:
        dropped = counted(writer.dropped, "image")
        log(f"starting over without the {dropped} encoded before: images or settings changed")
    elif writer.position:
        done = counted(writer.position, "image")
        if update.count is not None:
            done = f"{writer.position:,} of {counted(update.count, 'image')}"
        log(f"continuing after {done}")


def _tell_of_kept(update: Update, rows: int, existing: CodeSet | None, log: Note) -> None:
    """Say which of the rows were there before, in the set or with the model."""
    if existing is not None:
        log(update.summary(rows))
    elif update.base is not None:
        done = counted(update.kept_count, "image")
        now = update.new_count + update.changed_count
        log(f"{done} encoded when the model was fitted, {now:,} now")


@dataclass
class _Target:
    """The code set that a call of `encode` is to make."""

    model: Encoder
    source: Source
    features: bool
    decode: Decode

    def __post_init__(self) -> None:
        self.fingerprint = self.model.fingerprint()
        self.is_renamed = False

    def differences(self, existing: CodeSet, append: bool) -> list[str]:
        """What keeps an existing set from being brought up to date, in words."""
        header = existing.header
        if existing.is_bare:
            return ["it has no header that says what it was made of"]
        differences = []
        if header.fingerprint != self.fingerprint:
            differences.append(existing.other_model(run_of(self.model)))
        before = (header.engine, header.dtype, header.decode)
        now = (self.model.engine, self.model.dtype, self.decode)
        if before != now:
            differences.append(f"it was encoded with {_way(*before)}, this would be {_way(*now)}")
        if self.features and existing.features is None:
            differences.append("it has no features")
        labels = existing.labels
        if append:
            if (labels is None) != (not self.source.columns):
                differences.append("of it and the images to append only one has labels")
            elif labels is not None and not (
                self.source.single if labels.ndim == 1 else labels.shape[1] == self.source.columns
            ):
                differences.append("the images to append have other labels")
            return differences
        if labels is not None and not self.source.columns:
            differences.append("it has labels, and these images have none")
        root = str(existing.root_name)
        if root != self.source.root and not self.is_renamed:
            if has_range(root):
                what = "its paths do not tell which of its archives an image is in, as they do now"
            elif _is_gone(root):
                what = (
                    f"its images lay in {root}, which is not there (renamed or moved?), and these "
                    f"lie in {self.source.root}"
                )
            else:
                advice = "" if differences else " (--append adds them to it)"
                what = f"its images lie in {root}, these in {self.source.root}{advice}"
            differences.append(what)
        return differences

    def renamed(self, existing: CodeSet) -> str | None:
        """What the folder of these images was called when the set was made, if that has changed.

        It has if there is no such folder any more, and this one has all images of the set.
        """
        root = existing.root_name
        if root is None or root == self.source.root or self.source.is_joined or not _is_gone(root):
            return None
        self.is_renamed = Update(self.source, existing, append=False).keeps_all()
        return root if self.is_renamed else None

    def check_shares_images(self, update: Update, out: Path) -> None:
        """Raise CodeSetError if an update would drop every image of a set.

        Where several sources are named, the set does not tell that it is meant for others.
        """
        if self.source.is_joined and not update.append and not update.shares_images():
            raise CodeSetError(
                f"{out} exists already, and none of its {counted(update.old_count, 'image')} is "
                "among these. To keep them and add these, use --append; to replace them, --force"
            )


def _fitted_codes(target: _Target) -> CodeSet | None:
    """The codes of the images that the model was fitted to, if they can be taken from its run."""
    path = target.model.path
    if not isinstance(path, Path) or not (file := path.parent / FITTED_CODES).is_file():
        return None
    try:
        codes = CodeSet.open(file)
    except CodeSetError:
        return None
    return None if target.differences(codes, append=False) else codes


def _is_gone(root: str) -> bool:
    """Whether a root is a folder or archive of this system that is not there."""
    return not (is_foreign(root) or os.path.lexists(root))


def _same(source: Source, update: Update) -> str:
    """What has not changed, in words."""
    assert update.base is not None
    images = "images" if source.count is None else counted(source.count, "image")
    skipped = len(update.base.skipped)
    left_out = f", {skipped:,} of them skipped" if skipped and not update.append else ""
    return f"the same model and the same {images}{left_out}"


def _plan(target: _Target, update: Update) -> dict[str, Any]:
    """The arguments of the writer of the new set."""
    model, base = target.model, update.base
    if base is not None:
        target.features = base.features is not None
    columns = ["stat"]
    if target.source.columns:
        columns.append("labels")
    if target.features:
        columns.append("features")
    return {
        "bits": model.bits,
        "parts": model.parts,
        "columns": tuple(columns),
        "root": update.root,
        "class_names": update.class_names,
        "fingerprint": target.fingerprint,
        "backbone": model.backbone_name,
        "run": run_of(model),
        "engine": model.engine,
        "dtype": model.dtype,
        "decode": target.decode,
        "source": update.digest,
    }


def _way(engine: str | None, dtype: str | None, decode: str | None) -> str:
    """How a set was encoded, as the options of the command say it."""
    parts = [f"--engine {engine or 'unknown'}", f"--dtype {dtype or 'unknown'}"]
    return " ".join(parts + ["--full-decode"] * (decode == "full"))


def _existing(out: Path, force: bool) -> CodeSet | None:
    """The set that is there; a damaged one counts as none when it may be replaced."""
    Layout(out).check_replaceable()
    if not os.path.lexists(out):
        return None
    try:
        return CodeSet.open(out)
    except CodeSetError:
        if force:
            return None
        raise


def _ignore(*values: object) -> None:
    """What is called where nobody wants to hear of progress."""
