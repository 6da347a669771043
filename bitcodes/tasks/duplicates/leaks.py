"""Leaks of a data folder: queries that are copies of training images."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from bitcodes.callbacks import Progress, Steps
from bitcodes.codes.codeset import CodeSet
from bitcodes.datasets.dataset import LIST_NAMES, read_dataset
from bitcodes.models.engines import load_encoder
from bitcodes.sources.lists import ImageList
from bitcodes.tasks.duplicates.against import Against, find_in_other
from bitcodes.tasks.duplicates.finding import default_radius
from bitcodes.tasks.searching.queries import encode_queries

_MODEL = "built-in"


def find_leaks(
    data: Path, radius: int | None = None, workers: int | None = None, steps: Steps | None = None
) -> Against:
    """The queries of a prepared folder that are copies of its training images, or similar to them.

    Both are encoded with the built-in model, and the pixels of what lies within `radius` are
    compared (by default an eighth of the bits, since there may be millions of pairs within more).
    `steps` is called for each step, as `bitcodes.progress` is. Raises DataError for a folder that
    is not prepared.
    """
    dataset = read_dataset(data)
    model = load_encoder(_MODEL)

    def step(name: str) -> AbstractContextManager[Progress | None]:
        return nullcontext(None) if steps is None else steps(name)

    def encoded(images: ImageList, what: str) -> CodeSet:
        with step(f"encoding {what}") as report:
            return encode_queries(
                images,
                model,
                "full",
                features=False,
                batch_size=64,
                workers=workers,
                progress=report,
            ).codes

    queries = encoded(dataset.test, "queries")
    train = encoded(dataset.train, "training images")
    with step("comparing") as report:
        leaks = find_in_other(
            queries,
            train,
            default_radius(model.bits, verify=False) if radius is None else radius,
            verify=True,
            progress=report,
        )
    return replace(
        leaks, codes=str(data / LIST_NAMES["test"]), other=str(data / LIST_NAMES["train"])
    )
