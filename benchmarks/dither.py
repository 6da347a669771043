"""What thresholds of their own do for codes of hash centers: mAP of one training by the dither.

    python benchmarks/dither.py RUN ... [--dithers 0 0.5 0.8 0.9 0.95] [--seeds 3]

Each RUN was trained with csq or dpn and evaluated. Its thresholds are taken out of the hash layer,
and others are put in, drawn by several seeds; the features that `evaluate` stored are coded again:
no image is read. Of codes of two parts, it is the class bits. Beside it stands what no code of so
many bits can be expected to reach, the ranking by the inner product of the outputs themselves,
tanh(h), for 500 of the queries. The last table, of docs/training.md, has the means over the seeds.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from machine import processor
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.hamming.index import HammingIndex
from bitcodes.losses.pointwise import HashCenters
from bitcodes.metrics.ranking import average_precision, mean_over_queries
from bitcodes.models.checkpoint import load_model
from bitcodes.models.hashing import HashModel
from bitcodes.runs import load_settings
from bitcodes.sources.lists import read_list

_REAL_VALUED = 500  # queries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--dithers", type=float, nargs="+", default=[0, 0.5, 0.8, 0.9, 0.95])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(processor(), "\n")
    columns = [f"{dither:g}" for dither in arguments.dithers] + ["outputs"]
    print(f"| run | bits | seed | {' | '.join(columns)} |")
    print(f"| --- | --- | --- |{' --- |' * len(columns)}")
    means = []
    for run in arguments.runs:
        queries = CodeSet.open(run / "evaluation" / "queries.npy")
        database = CodeSet.open(run / "evaluation" / "database.npy")
        model, settings = load_model(run), load_settings(run)
        levels = [levels_of(model, seed) for seed in range(arguments.seeds)]
        thresholds = settings.dither * levels_of(model, settings.seed)
        outputs = tuple(plain_outputs(model, thresholds, images) for images in (queries, database))
        best = real_valued(*outputs, queries, database)
        rows = []
        for seed in range(arguments.seeds):
            scores = [
                dithered(*outputs, queries, database, dither * levels[seed])
                for dither in arguments.dithers
            ]
            cells = " | ".join(f"{score:.4f}" for score in [*scores, best])
            print(f"| {run.name} | {len(thresholds)} | {seed} | {cells} |", flush=True)
            rows.append([*scores, best])
        cells = " | ".join(f"{score:.3f}" for score in np.mean(rows, axis=0))
        means.append(f"| {len(read_list(settings.data / 'train.txt')):,} | {cells} |")
    columns = [f"`--dither {columns[0]}`", *columns[1:-1], "the outputs themselves"]
    print(f"\n| training images | {' | '.join(columns)} |")
    print(f"| --- |{' --- |' * len(columns)}")
    print("\n".join(means))


def class_bits(model: HashModel) -> int:
    """K: of codes of two parts, those of the class."""
    return model.bits if model.parts is None else model.parts.class_bits


def levels_of(model: HashModel, seed: int) -> NDArray[np.float32]:
    """What the losses multiply the dither with, (K,)."""
    bits, classes = class_bits(model), len(model.class_names)
    return HashCenters(bits, classes, False, seed).levels.numpy()


def plain_outputs(
    model: HashModel, thresholds: NDArray[np.float32], images: CodeSet
) -> NDArray[np.float32]:
    """Hash outputs (N, K) of a code set's features, with all of the (K,) thresholds at zero."""
    assert images.features is not None
    with torch.no_grad():
        outputs = model.hash_layer(torch.from_numpy(np.asarray(images.features, np.float32)))
    return outputs.numpy()[:, : len(thresholds)] + np.arctanh(thresholds)


def dithered(
    queries: NDArray[np.float32],
    database: NDArray[np.float32],
    query_set: CodeSet,
    database_set: CodeSet,
    thresholds: NDArray[np.float32],
) -> float:
    """MAP over the whole ranking of outputs (Q, K) and (N, K), coded with (K,) thresholds."""
    cuts = np.arctanh(thresholds)
    index = HammingIndex(pack_outputs(database - cuts), queries.shape[1])
    codes = pack_outputs(queries - cuts)
    total, relevant = index.count(
        codes, labels=database_set.labels, query_labels=np.asarray(query_set.labels)
    )
    return mean_over_queries(average_precision(total, relevant))


def real_valued(
    queries: NDArray[np.float32],
    database: NDArray[np.float32],
    query_set: CodeSet,
    database_set: CodeSet,
) -> float:
    """MAP of the ranking by the inner product of tanh(outputs), of queries from the whole list."""
    assert query_set.labels is not None
    assert database_set.labels is not None
    chosen = np.linspace(0, len(queries) - 1, min(_REAL_VALUED, len(queries))).astype(int)
    codes, scores = np.tanh(database), []
    for output, label in zip(queries[chosen], query_set.labels[chosen], strict=True):
        order = np.argsort(-(codes @ np.tanh(output)), kind="stable")
        ranks = np.flatnonzero(database_set.labels[order] == label) + 1
        scores.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
