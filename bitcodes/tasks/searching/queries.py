"""Queries of a search: opened, encoded with the model that made the database, or read as codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import ConfigError, DataError
from bitcodes.sources.paths import names_of, quote_path
from bitcodes.tasks.advice import command_for
from bitcodes.tasks.choosing import recorded_run
from bitcodes.wording import command

# What reads and encodes images is imported only for queries that are images: codes need no Pillow.
if TYPE_CHECKING:
    from bitcodes.models.encoder import Encoder
    from bitcodes.sources.lists import ImageList
    from bitcodes.sources.reading import Decode

QuerySource: TypeAlias = "ImageList | CodeSet | str | Path | Sequence[str | Path]"
"""Images or stored codes, or what names them: files, folders, lists, or one .npy file."""


@dataclass(frozen=True)
class Queries:
    """Q queries: a code set, and what it has no place for."""

    codes: CodeSet
    outputs: NDArray[np.float32] | None = None  # (Q, K)
    skipped: tuple[tuple[str, str], ...] = ()
    """Path and reason of each image that cannot be read."""


def open_queries(source: QuerySource, stdin: IO[bytes] | None = None) -> "ImageList | CodeSet":
    """Open what names queries; "-" stands for paths on `stdin`.

    Raises ConfigError if a code set comes with others, DataError or CodeSetError if something is
    missing or malformed.
    """
    if isinstance(source, CodeSet):
        return source
    if not isinstance(source, str | Path | list):
        from bitcodes.sources.lists import ImageList

        if isinstance(source, ImageList):
            return source
    names = names_of(source)
    if any(is_code_set(name) for name in names):
        if len(names) > 1:
            raise ConfigError("queries are images, or one code set (.npy): give one kind")
        return CodeSet.open(names[0])
    for name in names:
        _refuse(name, "an archive", "a URL", "a model file")
    from bitcodes.sources.source import open_images

    try:
        return open_images(names, stdin=stdin)
    except DataError:
        for name in names:  # only now: the folder of a run may hold images
            _refuse(name, "a run")
        raise


def _refuse(name: str, *kinds: str) -> None:
    """Raise DataError, with what to do, if `name` names one of these kinds, which are no query."""
    advice = command_for(name)
    if advice is None or advice.kind not in kinds:
        return
    expected = f"{name}: expected images, folders, list files or a code set as queries; found "
    if advice.kind in ("an archive", "a URL"):
        codes = "queries.npy"
        raise DataError(
            f"{expected}{advice.kind}. Encode it, then search with its code set:",
            f"  {command('encode', name, '-o', codes)}",
            f"  {command('search', codes)}",
        )
    raise DataError(
        f"{expected}{advice.kind}. To search for an image with this model: "
        f"{command('search', 'PHOTO', '--run', name)}"
    )


def decode_of(database: CodeSet) -> "Decode":
    """How the images of a set were decoded, as far as is known: queries are decoded alike."""
    return "reduced" if database.header.decode == "reduced" else "full"


def is_code_set(name: str) -> bool:
    """Whether a query's name is that of a code set."""
    return name.lower().endswith(".npy")


def encode_queries(
    queries: "ImageList",
    model: "Encoder",
    decode: "Decode",
    *,
    features: bool,
    batch_size: int,
    workers: int | None,
    progress: Progress | None,
) -> Queries:
    """Encode images as queries, with or without features; skip those that cannot be read.

    Raises DataError, with the reason, if no image can be read.
    """
    from bitcodes.models.encoding import encode_batches
    from bitcodes.sources.reading import batches_of
    from bitcodes.sources.source import to_source

    encoded = []
    positions: list[int] = []
    skipped: list[tuple[str, str]] = []
    batches = encode_batches(
        model,
        batches_of(to_source(queries), batch_size),
        batch_size,
        decode=decode,
        features=features,
        workers=workers,
    )
    for images, batch in batches:
        begin = len(positions) + len(skipped)
        encoded.append(batch)
        positions += (batch.good + begin).tolist()
        skipped += [(images.items[number].path, reason) for number, reason in batch.skipped]
        if progress is not None:
            progress(len(positions) + len(skipped), len(queries))
    if not positions:
        raise _no_queries(skipped)
    outputs = np.concatenate([batch.outputs for batch in encoded])
    codes = CodeSet.from_arrays(
        pack_outputs(outputs),
        model.bits,
        [queries.paths[position] for position in positions],
        None if queries.labels is None else queries.labels[positions],
        np.concatenate([batch.features for batch in encoded]) if features else None,
        queries.class_names,
        root=queries.root,
    )
    return Queries(codes, outputs, tuple(skipped))


def find_model(
    database: CodeSet, run: Path | str | None, device: str, force: bool, note: Note | None = None
) -> "Encoder":
    """The model that made the database: `run`, else the one that its header names.

    `note` is told if that takes long. Raises CodeSetError if there is none, or it is another model
    and `force` does not allow that.
    """
    from bitcodes.models.engines import load_like

    if run is None:
        run = recorded_run(database)
    model = load_like(database.header, run, device, note)
    database.check_same_model(str(model.path), model.bits, model.fingerprint(), force)
    return model


def _no_queries(skipped: Sequence[tuple[str, str]]) -> DataError:
    """What to raise if no image could be encoded."""
    if not skipped:
        return DataError("there are no queries: the list of images is empty")
    path, reason = skipped[0]
    if len(skipped) == 1:
        return DataError(f"the query {quote_path(path)} cannot be read: {reason}")
    return DataError(f"no query of {len(skipped):,} can be read; {quote_path(path)}: {reason}")
