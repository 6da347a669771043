"""What the instance bits of a run are worth: classes, copies and likeness, in each order.

    python benchmarks/instances.py RUN [--data FOLDER] [--images 10000] [--queries 2000]
        [--copies 500] [--out TABLE.md]

Encodes images spread over the database of the run's data, its queries, and changed copies of some
images of the database. A line for each order: mAP of the queries; *copy@1*, how often the nearest
code of a copy is its original's (of several equally near, one counts as one in their number); *in
class*, the share of the ten images of a query's class that are nearest by the features of the
built-in model which are among the ten nearest by code; and distinct codes. Also takes runs without
instance bits.
"""

import argparse
import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from copies import CHANGES
from machine import processor
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bitcodes.codes.pack import pack_outputs, split_codes
from bitcodes.datasets.dataset import read_dataset
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure
from bitcodes.images.decode import open_image
from bitcodes.metrics.ranking import average_precision
from bitcodes.models.encoding import encode_images
from bitcodes.models.engines import load_encoder
from bitcodes.runs import data_folder, load_settings
from bitcodes.sources.lists import ImageList

RESULTS = Path(__file__).resolve().parent / "results"
NEIGHBOURS = 10

Codes = NDArray[np.uint8]


def blurred(image: Image.Image) -> Image.Image:
    """A Gaussian of a fortieth of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 40))


COPIES = {**{name: CHANGES[name] for name in ("cropped", "recompressed", "mirrored")}}
COPIES["blurred"] = blurred


def spread(images: ImageList, count: int) -> tuple[list[Path], NDArray[np.uint8]]:
    """Files and labels of `count` images, evenly over a list."""
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(np.int64))
    assert images.labels is not None
    return [images.absolute_path(row) for row in rows.tolist()], images.labels[rows]


def orders(model_parts, bits: int) -> Iterator[tuple[str, Measure, int]]:
    """Name and measure of each order, and how many of the first bits it compares."""
    if model_parts is None:
        yield "plain", Measure(bits), bits
        return
    first = model_parts.class_bits
    yield "class bits alone", Measure(first), first
    yield "class", Measure.class_first(model_parts), bits
    for weight in (1, 2, 4, 8, 16):
        chosen = " (of the run)" * (weight == model_parts.class_weight)
        yield f"sum, weight {weight}{chosen}", Measure(bits, bits - first, weight), bits


def copy_at_1(
    index: HammingIndex, copies: Codes, originals: NDArray[np.int64], own: Codes
) -> float:
    """How often the nearest code of a copy is its original's."""
    histograms = index.count(copies)
    nearest = (histograms > 0).argmax(axis=1)
    distances = index.measure.between(own[originals], copies)
    ties = histograms[np.arange(len(copies)), nearest]
    return float(np.where(distances == nearest, 1 / ties, 0).mean())


def in_class(
    index: HammingIndex, queries: Codes, same: NDArray[np.bool_], likeness: NDArray[np.floating]
) -> float:
    """The share of each query's nearest of its class by features that are nearest by code."""
    _, rows = index.search(queries, NEIGHBOURS)
    near = np.argsort(np.where(same, likeness, np.inf), axis=1)[:, :NEIGHBOURS]
    return (
        float(np.mean([len(set(a) & set(b)) for a, b in zip(rows, near, strict=True)])) / NEIGHBOURS
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="default: the data of the run")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--copies", type=int, default=500, help="originals of each kind of copy")
    default = RESULTS / f"{date.today():%Y-%m-%d}-instances.md"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()

    dataset = read_dataset(options.data or data_folder(options.run, load_settings(options.run)))
    model, built_in = load_encoder(options.run), load_encoder("built-in-64")
    files, labels = spread(dataset.database, options.images)
    # Rows in random order: the search breaks ties by row.
    order = np.random.default_rng(0).permutation(len(files))
    files, labels = [files[row] for row in order], labels[order]
    query_files, query_labels = spread(dataset.test, options.queries)
    originals = np.arange(min(options.copies, len(files)))
    changed = [
        change(open_image(files[row])) for change in COPIES.values() for row in originals.tolist()
    ]
    codes, queries, copies = (
        pack_outputs(encode_images(model, images).outputs)
        for images in (files, query_files, changed)
    )
    features, query_features = (
        encode_images(built_in, images).features for images in (files, query_files)
    )
    likeness = (features**2).sum(axis=1) - 2 * query_features @ features.T  # (Q, N)
    same = query_labels.astype(np.float32) @ labels.T.astype(np.float32) > 0
    lines = [
        f"# Instance bits, {date.today():%Y-%m-%d}",
        "",
        f"{len(files):,} images, {len(query_files):,} queries, {len(originals):,} originals of "
        f"each kind of copy ({', '.join(COPIES)}); {model.backbone_name}, "
        f"{model.preprocessing.image_size} pixels, {model.parts or f'{model.bits} bits'}; Python "
        f"{platform.python_version()}, {processor()}",
        "",
        "| order | mAP | copy@1 | in class | distinct codes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, measure, first in orders(model.parts, model.bits):
        some = [codes, queries, copies]
        if first < model.bits:
            some = [split_codes(each, model.bits, first)[0] for each in some]
        index = HammingIndex(some[0], first, measure=measure)
        total, relevant = index.count(some[1], labels, query_labels)
        figures = (
            float(np.nanmean(average_precision(total, relevant))),
            copy_at_1(index, some[2], np.tile(originals, len(COPIES)), some[0]),
            in_class(index, some[1], same, likeness),
        )
        distinct = len(np.unique(some[0], axis=0))
        lines.append(f"| {name} | {' | '.join(f'{x:.3f}' for x in figures)} | {distinct:,} |")
        print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
