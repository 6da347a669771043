"""The built-in layer against itq fitted to the very images searched, and against random planes.

    python benchmarks/builtin/measure.py CIFAR10 PHOTOS [--nets lite0 lite2] [--database 1000]

CIFAR10 has the folders train/<class> and test/<class>, PHOTOS has photographs; all are JPEG files.
The queries are the first --queries test images of each class. The database is the first --database
of its other images, training images first: 5900, with 100 queries, is all 59,000. Prints Markdown
tables. The layer of lite0 is the package's; that of another network is fitted here in the same way.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from features import PREPROCESSING, Features, Net
from fit import BITS, PACKAGE, images_for_fit
from layer import Layer, fit_layer
from numpy.typing import NDArray
from pictures import CHANGES, of_each, opened, paths_in
from prototypes import prototypes

from bitcodes.losses.label_free import Fit, fit_itq, fit_lsh
from bitcodes.metrics.compat import average_precision_over_hits

CLASSES = 10
EACH = 5000
"""Training images of each class."""
SEEDS = 5
RADII_BITS = 128
RADII = (8, 12, 16, 20, 24, 28, 32)
FAMILIAR = 4
"""How many of CHANGES are those of benchmarks/copies.py; the others are harder."""

Codes = NDArray[np.bool_]
Encode = Callable[[NDArray[np.float32]], Codes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--nets", nargs="+", default=["lite0"], choices=["lite0", "lite2"])
    parser.add_argument("--database", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--cache", type=Path, default=Path("data/builtin"))
    arguments = parser.parse_args()

    columns = ["network", "bits", "layer", "mAP@1000", "of itq", "4 copies", "of itq", *CHANGES]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for net in arguments.nets:
        for row in _rows(net, arguments):
            print(f"| {' | '.join(row)} |", flush=True)
    _print_radii(Features("lite0", PREPROCESSING, arguments.cache), arguments.photos)
    for net in arguments.nets:
        print(f"{net}: {_milliseconds(net, arguments.photos):.1f} ms of processor time per image")


def _print_radii(features: Features, photos: Path) -> None:
    """How many copies, and how many other photographs, are within a radius of the built-in codes.

    Takes copies that `_rows` has kept features of.
    """
    codes = _builtin("lite0", features, photos)[RADII_BITS].codes
    originals = codes(features.of("photos", []))
    others = _distances(originals, originals)[np.triu_indices(len(originals), 1)]
    print(f"\n| {RADII_BITS} bits, radius | {' | '.join(CHANGES)} | pairs of other photographs |")
    print(f"|{' --- |' * (len(CHANGES) + 2)}")
    copies = [codes(features.of(_kept_name(name), [])) for name in CHANGES]
    for radius in RADII:
        found = [((copy != originals).sum(axis=1) <= radius).mean() for copy in copies]
        shares = " | ".join(f"{share:.2f}" for share in found)
        print(f"| {radius} | {shares} | {(others <= radius).sum()} of {len(others):,} |")
    print()


def _kept_name(change: str) -> str:
    return f"photos-{change.replace(' ', '-')}"


def _rows(net: Net, arguments: argparse.Namespace) -> Iterator[list[str]]:
    features = Features(net, PREPROCESSING, arguments.cache)
    train, test = arguments.cifar10 / "train", arguments.cifar10 / "test"
    queries = _in_steps(features, "cifar10-queries", test, (0, arguments.queries), 50)
    database = _in_steps(
        features, "cifar10-database", train, (0, min(arguments.database, EACH)), 250
    )
    if (more := arguments.database - EACH) > 0:
        rest = (arguments.queries, arguments.queries + more)
        others = _in_steps(features, "cifar10-rest", test, rest, 50)
        database = _class_by_class([database, others])
    photos = paths_in(arguments.photos)
    originals = features.of("photos", opened(photos))
    copies = [
        features.of(_kept_name(name), map(change, opened(photos)))
        for name, change in CHANGES.items()
    ]
    layers = _builtin(net, features, train)
    for bits in BITS:
        scores = {
            "built-in": [
                _mean_precision(database, queries, layers[bits].codes),
                *_shares(originals, copies, layers[bits].codes),
            ]
        }
        for name, fit in {"itq": fit_itq, "lsh": fit_lsh}.items():
            maps = [
                _mean_precision(database, queries, code) for code in _codes(fit, database, bits)
            ]
            found = [_shares(originals, copies, code) for code in _codes(fit, originals, bits)]
            scores[name] = [np.mean(maps), *np.mean(found, axis=0)]
        for name, (score, *shares) in scores.items():
            mean, best = (np.mean(each[1 : 1 + FAMILIAR]) for each in (scores[name], scores["itq"]))
            of_itq = [f"{score / scores['itq'][0]:.1%}", f"{mean:.4f}", f"{mean / best:.1%}"]
            yield [net, str(bits), name, f"{score:.4f}", *of_itq, *(f"{x:.3f}" for x in shares)]


def _in_steps(
    features: Features, name: str, folder: Path, numbers: tuple[int, int], step: int
) -> NDArray[np.float32]:
    """Features of the images with these numbers in each class, class by class."""
    bounds = [*range(*numbers, step), numbers[1]]
    return _class_by_class(
        [
            features.of(f"{name}-{first}-{end}", opened(of_each(folder, first, end)))
            for first, end in pairwise(bounds)
        ]
    )


def _class_by_class(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Parts (10 n, D), each class by class, as one (10 N, D) that is so too."""
    by_class = [part.reshape(CLASSES, len(part) // CLASSES, -1) for part in parts]
    return np.concatenate(by_class, axis=1).reshape(-1, parts[0].shape[1])


def _builtin(net: Net, features: Features, train: Path) -> dict[int, Layer]:
    """The layer of each number of bits."""
    if net == "lite0":
        with np.load(PACKAGE) as file:
            return {bits: Layer(file[f"weight_{bits}"], file[f"bias_{bits}"]) for bits in BITS}
    images, typical = images_for_fit(features, train), prototypes(net)
    return {bits: fit_layer(images, typical, bits) for bits in BITS}


def _codes(fit: Fit, features: NDArray[np.float32], bits: int) -> Iterator[Encode]:
    """The layer fitted to these features, for each seed."""
    for seed in range(SEEDS):
        planes = fit(features, bits, seed)
        yield lambda rows, planes=planes: rows @ planes.weight.T + planes.bias > 0  # type: ignore


def _mean_precision(
    database: NDArray[np.float32], queries: NDArray[np.float32], encode: Encode
) -> float:
    """mAP@1000 as deephash counts it, both class by class: the expectation over ties."""
    distances = _distances(encode(queries), encode(database))  # (Q, N)
    query_classes, classes = (np.arange(len(x)) * CLASSES // len(x) for x in (queries, database))
    bins = encode(queries[:1]).shape[1] + 1
    total = np.stack([np.bincount(row, minlength=bins) for row in distances])  # (Q, K + 1)
    relevant = np.stack(
        [
            np.bincount(row[classes == its_class], minlength=bins)
            for row, its_class in zip(distances, query_classes, strict=True)
        ]
    )
    return float(average_precision_over_hits(total, relevant, 1000)[0].mean())


def _shares(
    originals: NDArray[np.float32], copies: Sequence[NDArray[np.float32]], encode: Encode
) -> list[float]:
    """For each change, the share of copies whose nearest code is their original's; ties count
    as one in their number.
    """
    codes = encode(originals)
    nearest = [_distances(encode(part), codes) for part in copies]
    nearest = [part == part.min(axis=1, keepdims=True) for part in nearest]
    return [float((part.diagonal() / part.sum(axis=1)).mean()) for part in nearest]


def _distances(left: Codes, right: Codes) -> NDArray[np.intp]:
    """Hamming distances (Q, N) of codes (Q, K) and (N, K)."""
    signs = [np.where(codes, np.float32(1), np.float32(-1)) for codes in (left, right)]
    return ((left.shape[1] - signs[0] @ signs[1].T) / 2).astype(np.intp)


def _milliseconds(net: Net, photos: Path) -> float:
    """Processor time for the features of one decoded photograph, alone; median of 50."""
    features = Features(net, PREPROCESSING, Path())
    times = []
    for image in list(opened(paths_in(photos)[:50])) * 2:
        started = time.process_time()
        features.computed([image])
        times.append(time.process_time() - started)
    return float(np.median(times[len(times) // 2 :])) * 1000


if __name__ == "__main__":
    main()
