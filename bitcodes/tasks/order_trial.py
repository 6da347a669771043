"""What each order of results is worth inside the classes of a database, tried with its images."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.builtin import built_in_name
from bitcodes.callbacks import Steps
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import DataError, ImageError
from bitcodes.images.changes import CHANGES
from bitcodes.images.decode import open_image
from bitcodes.metrics.orders import Codes, OrderScores, OrderTrial, nearest_of_class, orders_of
from bitcodes.metrics.protocols import labels_of, spread_rows
from bitcodes.metrics.scoring import Sets
from bitcodes.models.encoder import Encoder
from bitcodes.models.encoding import BATCH_SIZE, encode_images
from bitcodes.models.engines import load_like

JUDGE = built_in_name()
"""The model whose features say which images of a class look alike: pretrained, never fine-tuned."""


def try_orders(
    sets: Sets,
    judge: Sets,
    model: Path | str,
    count: int,
    device: str = "auto",
    progress: Steps | None = None,
) -> OrderScores:
    """Measure each order that the codes of `model` have, with labelled queries and database.

    `sets` are the codes of both, `judge` the same images with the features of JUDGE. `count` images
    of the database are copied, changed in every way of CHANGES and encoded; the neighbours of as
    many queries are compared. Both are spread evenly over their lists. Raises DataError if an image
    is gone, or if the images of `judge` are others.
    """
    _check_same_images(sets, judge)
    database = sets[1]
    trial = make_trial(sets, judge, load_like(database.header, model, device), count, progress)
    scores = [
        trial.score(*order, database.bits) for order in orders_of(database.bits, database.parts)
    ]
    originals = len(trial.originals) // len(CHANGES)
    return OrderScores(tuple(CHANGES), originals, len(trial.asked), tuple(scores))


def make_trial(
    sets: Sets, judge: Sets, model: Encoder, count: int, progress: Steps | None = None
) -> OrderTrial:
    """What the orders of a model are tried on; see `try_orders`."""
    queries, database = sets
    query_labels, labels = labels_of(queries, database)
    originals, asked = spread_rows(database.count, count), spread_rows(queries.count, count)
    assert judge[0].features is not None and judge[1].features is not None
    features = judge[0].features[asked], judge[1].features
    return OrderTrial(
        queries.codes,
        database.codes,
        _copies(database, originals, model, progress),
        query_labels,
        labels,
        np.tile(originals, len(CHANGES)),
        asked,
        nearest_of_class(features[0], query_labels[asked], features[1], labels),
    )


def _copies(
    database: CodeSet, originals: NDArray[np.int64], model: Encoder, progress: Steps | None
) -> Codes:
    """The codes (C, B) of changed copies of some rows: all rows changed one way, then another."""
    total = len(CHANGES) * len(originals)

    def changed() -> Iterator[Image.Image]:
        for change in CHANGES.values():
            for row in originals.tolist():
                yield change(_image(database, row))

    with progress("encoding changed copies") if progress else nullcontext() as report:
        parts = []
        images = changed()
        for start in range(0, total, BATCH_SIZE):
            batch = [next(images) for _ in range(min(BATCH_SIZE, total - start))]
            parts.append(pack_outputs(encode_images(model, batch).outputs))
            if report is not None:
                report(start + len(batch), total)
    return np.concatenate(parts)


def _image(database: CodeSet, row: int) -> Image.Image:
    file = database.absolute_path(row)
    try:
        return open_image(file)
    except ImageError as error:
        raise DataError(
            f"{file}: {error}; --copies changes images of the database, and so needs their files"
        ) from None


def _check_same_images(sets: Sets, judge: Sets) -> None:
    for ours, theirs in zip(sets, judge, strict=True):
        if list(ours.paths) != list(theirs.paths):
            raise DataError(
                f"{ours.name} and {theirs.name} hold other images, though both were encoded from "
                f"the same lists: delete the folder of {theirs.path} and try again"
            )
