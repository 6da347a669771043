"""Changed copies told from near shots and other photographs: ours beside imagehash and imagededup.

    python benchmarks/duplicates/measure.py PHOTOS [--originals N] [--others FOLDER...]
        [--near N] [--out TABLE.md]

The originals are the first N photographs (default: all). Queries are 14 changed copies of each
(changes.py), near shots of each, the photographs of PHOTOS that are no originals, and those of
--others. Every query is compared with every original. A copy and its original are the pairs to
find. All other pairs are not, also those of a near shot and its original. Needs `pip install
imagehash imagededup`.
"""

import argparse
import platform
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from changes import CHANGES, near_shot
from PIL import Image, ImageOps

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming.across import pairs_across
from bitcodes.images.decode import open_image
from bitcodes.images.keypoints import gray_picture
from bitcodes.images.likeness import COPY_SCORE, likeness, look_at
from bitcodes.models.encoding import encode_images
from bitcodes.models.engines import load_model
from bitcodes.sources.source import open_images
from bitcodes.tasks.duplicates.finding import default_radius

RESULTS = Path(__file__).resolve().parents[1] / "results"
ORIENTATIONS = tuple((mirror, turns) for mirror in (False, True) for turns in range(4))


class Query(NamedTuple):
    """An image, which kind it is, and its original if it has one."""

    kind: str
    original: int  # -1 if there is none
    image: Image.Image


class Method(NamedTuple):
    """A way to tell copies, and how far each query is from each original."""

    name: str
    distances: np.ndarray  # (Q, N) the smaller the more a copy
    thresholds: tuple[float, ...]  # those that its authors recommend
    per_image: float  # ms of processor time
    per_pair: float


def orient(image: Image.Image, mirror: bool, turns: int) -> Image.Image:
    image = ImageOps.mirror(image) if mirror else image
    return image.rotate(90 * turns, expand=True)


class Hashes:
    """Collects bits of images, and the processor time that they take."""

    def __init__(self, hash_image: Callable[[Image.Image], np.ndarray]) -> None:
        self._hash = hash_image
        self.seconds, self.images = 0.0, 0

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The bits (K,) of an image."""
        started = time.process_time()
        bits = np.asarray(self._hash(image), bool).ravel()
        self.seconds += time.process_time() - started
        self.images += 1
        return bits

    @property
    def ms(self) -> float:
        """Milliseconds of processor time per image."""
        return 1e3 * self.seconds / max(1, self.images)


def peers() -> dict[str, tuple[Callable[[Image.Image], np.ndarray], tuple[float, ...]]]:
    """Name -> its hash, and recommended thresholds: 5 in imagehash's readme, 10 in imagededup."""
    import imagehash
    from imagededup.methods import DHash, PHash

    def deduplicating(method: Any) -> Callable[[Image.Image], np.ndarray]:
        def bits(image: Image.Image) -> np.ndarray:
            text = method.encode_image(image_array=np.asarray(image))
            return np.unpackbits(np.frombuffer(bytes.fromhex(text.zfill(16)), np.uint8))

        return bits

    return {
        "imagehash phash": (lambda image: imagehash.phash(image).hash, (5,)),
        "imagehash dhash": (lambda image: imagehash.dhash(image).hash, (5,)),
        "imagededup PHash": (deduplicating(PHash(verbose=False)), (10,)),
        "imagededup DHash": (deduplicating(DHash(verbose=False)), (10,)),
    }


def bit_distances(queries: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """(Q, N) least distances of bits (Q, K) to those of originals in V variants (V, N, K)."""
    signs = 1 - 2 * queries.astype(np.float32)
    products = [signs @ (1 - 2 * variant.astype(np.float32)).T for variant in originals]
    return (queries.shape[1] - np.maximum.reduce(products)) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--originals", type=int)
    parser.add_argument("--others", nargs="*", default=[])
    parser.add_argument("--near", type=int, default=2, help="near shots of each original")
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--append", action="store_true", help="to the table, not in its place")
    default = RESULTS / f"{date.today():%Y-%m-%d}-duplicates.md"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()

    photos = pictures(arguments.photos)
    originals = photos[: arguments.originals]
    others = [
        *photos[len(originals) :],
        *(p for folder in arguments.others for p in pictures(folder)),
    ]
    rng = np.random.default_rng(arguments.seed)
    model = load_model(f"built-in-{arguments.bits}")
    ours = Hashes(lambda image: encode_images(model, [image]).outputs[0] > 0)
    hashes = {name: Hashes(function) for name, (function, _) in peers().items()}
    bits: dict[str, list[np.ndarray]] = {name: [] for name in ("ours", *hashes)}
    kinds, of = [], []
    grays: list[np.ndarray] = []
    for kind, original, image in queries(originals, others, arguments.near, rng):
        kinds.append(kind)
        of.append(original)
        bits["ours"].append(ours(image))
        grays.append(gray_picture(image))
        for name, hash_image in hashes.items():
            bits[name].append(hash_image(image))
    variants = {name: [] for name in bits}
    for mirror, turns in ORIENTATIONS:
        turned = [orient(image, mirror, turns) for image in map(open_image, originals)]
        if not mirror:
            variants["ours"].append([ours(image) for image in turned])
        for name, hash_image in hashes.items():
            variants[name].append([hash_image(image) for image in turned])

    methods = []
    gray = [ours(ImageOps.grayscale(open_image(path)).convert("RGB")) for path in originals]
    turned_codes = np.array([*variants["ours"], gray])  # (5, N, K)
    of_queries = np.array(bits["ours"])
    upright = bit_distances(of_queries, turned_codes[:1])
    any_turn = bit_distances(of_queries, turned_codes)
    radius = default_radius(arguments.bits, verify=False)
    methods.append(Method("codes", upright, (radius,), ours.ms, 0.0))
    methods.append(Method("codes, --turned", any_turn, (radius,), 5 * ours.ms, 0.0))
    wide = default_radius(arguments.bits, verify=True)
    for name, codes in (("--verify", turned_codes[:1]), ("--verify --turned", turned_codes)):
        near = near_pairs(of_queries, codes, wide)
        scores, ms = verified(grays, [gray_picture(open_image(path)) for path in originals], near)
        methods.append(Method(name, -scores, (-COPY_SCORE,), len(codes) * ours.ms, ms))
    for name, (_, thresholds) in peers().items():
        whole = np.array(variants[name])
        found = np.array(bits[name])
        ms = hashes[name].ms
        methods.append(Method(name, bit_distances(found, whole[:1]), thresholds, ms, 0.0))
        eight = f"{name}, 8 orientations"
        methods.append(Method(eight, bit_distances(found, whole), thresholds, 8 * ms, 0.0))
    text = report(methods, np.array(kinds), np.array(of), arguments, len(originals), len(others))
    before = arguments.out.read_text() + "\n" if arguments.append else ""
    arguments.out.write_text(before + text)
    print(text)


def pictures(folder: Path | str) -> list[Path]:
    listed = open_images([str(folder)])
    return [listed.absolute_path(row) for row in range(len(listed))]


def queries(originals: list[Path], others: list[Path], near: int, rng: np.random.Generator):
    """Every query: changed copies, near shots, other photographs."""
    for number, path in enumerate(originals):
        image = open_image(path)
        for kind, change in CHANGES.items():
            yield Query(kind, number, change(image, rng))
        for _ in range(near):
            yield Query("near shot", number, near_shot(image, rng))
    for path in others:
        yield Query("other", -1, open_image(path))


def near_pairs(queries: np.ndarray, variants: np.ndarray, radius: int) -> set[tuple[int, int]]:
    """The pairs (query, original) that the codes propose, in any variant."""
    packed = pack_bits(queries)
    found = set()
    for variant in variants:
        pairs = pairs_across(packed, pack_bits(variant), queries.shape[1], radius)
        found.update(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    return found


def verified(
    grays: list[np.ndarray], originals: list[np.ndarray], near: set[tuple[int, int]]
) -> tuple[np.ndarray, float]:
    """Scores (Q, N), -1 where no pair was proposed, and ms of processor time per pair."""
    scores = np.full((len(grays), len(originals)), -1.0)
    started, look, last = time.process_time(), None, -1
    of_originals = [look_at(gray) for gray in originals]
    for query, original in sorted(near):
        if query != last:
            look, last = look_at(grays[query]), query
        scores[query, original] = likeness(of_originals[original], look).score
    return scores, 1e3 * (time.process_time() - started) / max(1, len(near))


def report(
    methods: list[Method],
    kinds: np.ndarray,
    of: np.ndarray,
    arguments: argparse.Namespace,
    originals: int,
    others: int,
) -> str:
    """The table: each method at its recommended thresholds, and at the best for precision .99."""
    is_copy = np.isin(kinds, list(CHANGES))
    truth = np.zeros((len(kinds), originals), bool)
    truth[is_copy, of[is_copy]] = True
    shots = kinds == "near shot"
    columns = ["method", "threshold", "precision", "recall", *CHANGES]
    columns += [
        "near shots taken for copies",
        "other pairs taken for copies",
        "ms/image",
        "ms/pair",
    ]
    rows = []
    for method in methods:
        best = best_threshold(method.distances, truth)
        marked = [(f"{abs(t):g}", t) for t in method.thresholds] + [
            (f"{abs(best):.3g} (best)", best)
        ]
        for label, threshold in marked:
            taken = method.distances <= threshold
            right = taken & truth
            recalls = [right[kinds == kind].sum() / (kinds == kind).sum() for kind in CHANGES]
            wrong = taken & ~truth
            of_shots = wrong[shots, of[shots]].sum()
            precision = right.sum() / max(1, taken.sum())
            row = [method.name, label, f"{precision:.4f}", f"{right.sum() / truth.sum():.4f}"]
            row += [f"{recall:.3f}" for recall in recalls]
            row += [f"{of_shots} of {shots.sum()}", str(wrong.sum() - of_shots)]
            rows.append([*row, f"{method.per_image:.1f}", f"{method.per_pair:.1f}"])
    return "\n".join(
        [
            f"## {originals} originals of {arguments.photos.name}, {others} other photographs",
            "",
            f"bitcodes {version('bitcodes')}, imagehash {version('imagehash')}, imagededup "
            f"{version('imagededup')}, numpy {np.__version__}, Python {platform.python_version()}; "
            f"{platform.machine()}. Built-in model, {arguments.bits} bits. {is_copy.sum():,} "
            f"changed copies, {shots.sum():,} near shots, {(kinds == 'other').sum():,} others: "
            f"{truth.size:,} pairs, of which {truth.sum():,} are copies. Processor time, one core.",
            "",
            f"| {' | '.join(columns)} |",
            f"|{' --- |' * len(columns)}",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )


def best_threshold(distances: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of most recall among those with precision .99 or more; else the smallest."""
    flat = distances.ravel()
    order = np.argsort(flat, kind="stable")
    ordered, right = flat[order], np.cumsum(truth.ravel()[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # a threshold takes all that are equal
    good = last & (right / np.arange(1, len(flat) + 1) >= 0.99)
    return float(ordered[np.flatnonzero(good)[-1]]) if good.any() else float(ordered[0])


if __name__ == "__main__":
    main()
