"""Encoding against the usual script, and what stands around it.

    python benchmarks/encoding.py PART --run RUN --photos FOLDER --cifar FOLDER [--work FOLDER]

Each part prints how it measures and a table of benchmarks/results/<date>-encoding.md; see --help
for the parts. FOLDER of --photos holds photographs (those of photos.tar), --cifar has CIFAR-10 as
train/ and test/ folders of small files. The run's model must have been exported (bitcodes export,
or encode --engine onnx). What speed, sources and memory have measured is kept in --work: the same
command goes on where it was stopped. Leave the machine alone meanwhile.
"""

import argparse
import io
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import SUFFIXES, Layout
from bitcodes.codes.staging import staged_rows
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.hamming.index import HammingIndex
from bitcodes.images import transforms
from bitcodes.images.decode import IMAGE_SUFFIXES, image_size
from bitcodes.images.transforms import Preprocessing
from bitcodes.machine import core_count
from bitcodes.models.encoder import Encoder
from bitcodes.models.engines import load_encoder
from bitcodes.models.onnx import load_onnx
from bitcodes.sources.reading import Decode, read_pixels
from bitcodes.sources.workers import in_order
from bitcodes.tasks.encoding.encode import encode

BITCODES = [sys.executable, "-m", "bitcodes"]
ROUNDS = 3


def main() -> None:
    parts = "\n".join(f"  {name:9} {part.__doc__}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__.splitlines()[0]}\n\nparts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", metavar="PART", choices=sorted(PARTS), help="one of the above")
    parser.add_argument("--run", type=Path, required=True, help="run whose model is exported")
    parser.add_argument("--photos", type=Path, help="folder of photographs")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10 as folders of image files")
    parser.add_argument("--work", type=Path, default=Path("data/benchmark-encoding"))
    parser.add_argument("--images", type=int, default=2000, help="for bitcodes in speed")
    parser.add_argument("--usual-images", type=int, default=400, help="for the scripts in speed")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends children as Ctrl-C does
    # In the background it may be ignored, and the processes interrupted would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments.work.mkdir(parents=True, exist_ok=True)
    PARTS[arguments.part](arguments)


def told(arguments: argparse.Namespace, how: str) -> None:
    """Print what is measured, how, and on what."""
    info = load_onnx(arguments.run)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("bitcodes", "torch", "onnxruntime", "Pillow")
    )
    print(
        f"## {arguments.part}, {date.today():%Y-%m-%d}\n\n{PARTS[arguments.part].__doc__} {how}"
        f"\n\n{packages}, Python {platform.python_version()}; {processor()}, {core_count()} cores, "
        f"load average at the start {os.getloadavg()[0]:.1f}; {info.backbone_name} at "
        f"{info.preprocessing.image_size} pixels, {info.bits} bits.\n",
        flush=True,
    )


def table(*rows: Sequence[object]) -> None:
    for number, row in enumerate(rows):
        print("| " + " | ".join(map(str, row)) + " |")
        if number == 0:
            print("|" + " --- |" * len(row))
    sys.stdout.flush()


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the range in parentheses."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} to {high:{form}})"


class Kept:
    """What was measured, in a file, so that a part that was stopped goes on."""

    def __init__(self, file: Path, empty: Any) -> None:
        self.file = file
        self.data = json.loads(file.read_text()) if file.exists() else empty

    def measure(self, into: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
        """`into[name]`, a part of the data: as it was measured before, or now."""
        if name not in into:
            into[name] = work()
            unfinished = self.file.with_suffix(".partial")
            unfinished.write_text(json.dumps(self.data))
            unfinished.replace(self.file)
            print(name, into[name], file=sys.stderr, flush=True)
        return into[name]


def fresh(out: Path) -> Path:
    """The same path, with no code set and nothing staged there."""
    layout = Layout(out)
    for role in SUFFIXES:
        layout.final(role).unlink(missing_ok=True)
    shutil.rmtree(layout.staging, ignore_errors=True)
    return out


def encoding(arguments: argparse.Namespace, source: Path, out: Path) -> list[str]:
    """The command that encodes a source."""
    return [*BITCODES, "encode", str(source), "-o", str(out), "--run", str(arguments.run)]


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, all of which ends with this."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def group(leader: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


def photographs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def cpu_ms(work: Callable[[], object], count: int, rounds: int = ROUNDS) -> float:
    """CPU milliseconds an item, all threads together: the median."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / count * 1e3)
    return statistics.median(times)


# -- what was chosen, and from what ----------------------------------------------------------------


def decoders(arguments: argparse.Namespace) -> None:
    """JPEG decoders on photographs in memory, each with the cropped resize to 224."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    half = (0.5, 0.5, 0.5)
    settings = Preprocessing(image_size=224, crop=0.875, mean=half, std=half)
    small = [path.read_bytes() for path in photographs(arguments.photos)]
    large = []  # as a telephone takes them
    for data in small[:30]:
        file = io.BytesIO()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        side = 4000 / max(image.size)
        size = round(image.width * side), round(image.height * side)
        image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        large.append(file.getvalue())

    def by_torchvision(data: bytes) -> object:
        pixels = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        decoded = decode_jpeg(pixels, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
        return settings.to_array(Image.fromarray(decoded))

    ways: dict[str, Callable[[bytes], object]] = {
        "Pillow, full": lambda data: read_pixels(data, settings, "full"),
        "Pillow, draft mode (chosen)": lambda data: read_pixels(data, settings, "reduced"),
        "torchvision.io": by_torchvision,
    }
    try:
        import simplejpeg

        def by_simplejpeg(data: bytes) -> object:
            least = round(224 * transforms.REDUCED_MARGIN / 0.875)
            decoded = simplejpeg.decode_jpeg(
                data, min_height=least, min_width=least, min_factor=1, fastdct=True
            )
            return settings.to_array(Image.fromarray(decoded))

        ways["simplejpeg, reduced"] = by_simplejpeg
    except ImportError:
        print("simplejpeg is not installed")
    rows: list[list[object]] = [["CPU ms an image, decode and resize", "photos.tar", "4000 pixels"]]
    for name, way in ways.items():
        times = [
            cpu_ms(lambda way=way, images=images: [way(data) for data in images], len(images))
            for images in (small, large)
        ]
        rows.append([name, *(f"{value:.2f}" for value in times)])
    table(*rows)


def engines(arguments: argparse.Namespace) -> None:
    """CPU time of the model, by engine."""
    import torch

    from bitcodes.models.checkpoint import load_model

    torch.set_num_threads(1)
    model = load_model(arguments.run, "cpu")
    runtime = load_onnx(arguments.run).with_threads(1)
    side = model.preprocessing.image_size
    images = np.random.default_rng(0).integers(0, 256, (32, side, side, 3), np.uint8)
    rows: list[list[object]] = [["CPU ms an image", "batch 1", "batch 32"]]

    def measure(name: str, run: Callable[[np.ndarray], object], rounds: int = ROUNDS) -> None:
        times = [
            cpu_ms(lambda count=count: run(images[:count]), count, rounds) for count in (1, 32)
        ]
        rows.append([name, *(f"{value:.1f}" for value in times)])

    measure("torch, float32", model.encode_batch)
    measure("ONNX Runtime, float32", runtime.encode_batch)
    model.dtype = "bfloat16"
    measure("torch, bfloat16 autocast", model.encode_batch, 1)
    table(*rows)


def read_and_encode(model: Encoder, files: list[str]) -> np.ndarray:
    """Hash outputs; a function of the module, so that processes can be given it."""
    pixels = [read_pixels(file, model.preprocessing, "reduced") for file in files]
    return model.encode_batch(np.stack(pixels)).outputs


def pools(arguments: argparse.Namespace) -> None:
    """Reading and the exported model: threads against processes, the same work in each."""
    model = load_onnx(arguments.run)
    files = repeated(arguments, 600)
    batches = [files[i : i + 32] for i in range(0, len(files), 32)]
    work = partial(read_and_encode, model.with_threads(1))

    def in_threads() -> None:
        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(work, batches))

    times: dict[str, list[float]] = {"processes": [], "threads": []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        list(in_order(work, ((None, batch) for batch in batches), core_count()))
        times["processes"].append(len(files) / (time.perf_counter() - start))
        start = time.perf_counter()
        in_threads()
        times["threads"].append(len(files) / (time.perf_counter() - start))
    rows = [[name, f"{statistics.median(values):.1f}"] for name, values in times.items()]
    table([f"{core_count()} workers", "images/s"], *rows)


# -- speed, and what it does to bits ---------------------------------------------------------------

USUAL = """
import sys, time
import numpy as np, torch
from pathlib import Path
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

run, listed, workers, threads, last, count = sys.argv[1:]
from bitcodes.models.checkpoint import load_model
model = load_model(run, "cpu").eval()
net = torch.nn.Sequential(model.backbone, model.hash_layer)
net.to(memory_format=torch.channels_last if last == "1" else torch.contiguous_format)
torch.set_num_threads(int(threads))
way = transforms.Compose([
    transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
    transforms.Normalize([0.5] * 3, [0.5] * 3),
])

class Images(Dataset):
    files = Path(listed).read_text().splitlines()[:int(count)]
    def __len__(self):
        return len(self.files)
    def __getitem__(self, i):
        return way(Image.open(self.files[i]).convert("RGB"))

start = time.perf_counter()
codes = []
with torch.no_grad():
    for images in DataLoader(Images(), batch_size=32, num_workers=int(workers)):
        if last == "1":
            images = images.to(memory_format=torch.channels_last)
        codes.append(np.packbits((net(images) > 0).numpy(), axis=1))
print(len(np.concatenate(codes)) / (time.perf_counter() - start))
"""

USUAL_VARIANT = (2, 2, 0)  # workers, threads of torch, channels-last
VARIANTS = [
    (workers, threads, last) for workers in (0, 1, 2) for threads in (1, 2) for last in (0, 1)
]
TRIAL_IMAGES = 128  # of each variant, to find the best two
BEST = 2


def speed(arguments: argparse.Namespace) -> None:
    """bitcodes, the usual script, its best variants, and each stage alone, in turns."""
    told(
        arguments,
        f"{arguments.images:,} photographs (--photos, repeated by links) for bitcodes, "
        f"{arguments.usual_images} for the scripts, the start of their workers included, that of "
        f"Python and torch not; {arguments.rounds} rounds, in each of which all are measured one "
        f"after the other; first each variant once with {TRIAL_IMAGES} images to find the best "
        f"{BEST}. Alone: CPU time of one thread, reading 320 images and computing them.",
    )
    files = repeated(arguments, arguments.images)
    listed = arguments.work / "photographs.txt"
    listed.write_text("\n".join(files))
    kept = Kept(arguments.work / "speed.json", {"trial": {}, "rounds": []})
    model = load_onnx(arguments.run)
    alone = model.with_threads(1)
    some = files[:320]

    def usual(variant: tuple[int, int, int], count: int) -> float:
        command = [sys.executable, "-c", USUAL, str(arguments.run), str(listed)]
        command += map(str, (*variant, count))
        environment = os.environ | {"OMP_NUM_THREADS": str(variant[1])}
        return float(subprocess.check_output(command, env=environment))

    def own() -> float:
        out = fresh(arguments.work / "own.npy")
        start = time.perf_counter()
        encode(model, str(listed), out, workers=None)
        return len(files) / (time.perf_counter() - start)

    def reading() -> float:
        return alone_ms(
            lambda: [read_pixels(path, alone.preprocessing, "reduced") for path in some]
        )

    def computing() -> float:
        pixels = np.stack([read_pixels(path, alone.preprocessing, "reduced") for path in some])
        return alone_ms(
            lambda: [alone.encode_batch(pixels[i : i + 32]) for i in range(0, len(some), 32)]
        )

    def alone_ms(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return (time.process_time() - start) / len(some) * 1e3

    for variant in VARIANTS:
        kept.measure(kept.data["trial"], str(variant), partial(usual, variant, TRIAL_IMAGES))
    by_rate = sorted(VARIANTS, key=lambda variant: -kept.data["trial"][str(variant)])
    compared_with = list(dict.fromkeys([USUAL_VARIANT, *by_rate[:BEST]]))
    alone.encode_batch(
        np.zeros((32, *[model.preprocessing.image_size] * 2, 3), np.uint8)
    )  # opens it
    rounds = kept.data["rounds"]
    for number in range(arguments.rounds):
        if number == len(rounds):
            rounds.append({})
        kept.measure(rounds[number], "bitcodes", own)
        for variant in compared_with:
            kept.measure(
                rounds[number], str(variant), partial(usual, variant, arguments.usual_images)
            )
        kept.measure(rounds[number], "reading ms", reading)
        kept.measure(rounds[number], "model ms", computing)

    rows: list[list[object]] = [["images/s", "median (range)", "bitcodes is"]]
    rows.append(["bitcodes", spread([each["bitcodes"] for each in rounds], ".1f"), ""])
    for variant in compared_with:
        workers, threads, last = variant
        name = "the usual script" if variant == USUAL_VARIANT else "a best variant"
        name += f": {workers} workers, {threads} threads" + ", channels-last" * last
        ratios = [each["bitcodes"] / each[str(variant)] for each in rounds]
        rates = [each[str(variant)] for each in rounds]
        rows.append([name, spread(rates, ".1f"), spread(ratios, ".2f") + " times"])
    table(*rows)
    cores = core_count()
    stages = [each["reading ms"] + each["model ms"] for each in rounds]
    shares = [
        100 * each["bitcodes"] * ms / 1e3 / cores for each, ms in zip(rounds, stages, strict=True)
    ]
    print(
        f"\nAlone, CPU ms an image: reading {spread([r['reading ms'] for r in rounds], '.2f')}, "
        f"model {spread([r['model ms'] for r in rounds], '.2f')}. {cores} cores allow "
        f"{spread([cores * 1e3 / ms for ms in stages], '.1f')} images/s; bitcodes reaches "
        f"{spread(shares, '.1f')} % of that.\n"
    )
    trial = ", ".join(f"{variant} {kept.data['trial'][str(variant)]:.1f}" for variant in by_rate)
    print(f"Trial of (workers, threads, channels-last), images/s: {trial}.")


def repeated(arguments: argparse.Namespace, count: int) -> list[str]:
    """Paths of so many photographs; each time round they are links of their own."""
    folder = arguments.work / "photos"
    folder.mkdir(exist_ok=True)
    files = photographs(arguments.photos)
    paths = []
    for number in range(count):
        file = files[number % len(files)]
        link = folder / f"{number:05}{file.suffix}"
        if not link.is_symlink():
            link.symlink_to(file.absolute())
        paths.append(str(link.absolute()))
    return paths


def bits(arguments: argparse.Namespace) -> None:
    """How codes by default agree with exact ones, photographs of two sizes, by margin."""
    told(
        arguments,
        "Codes of each way against torch in float32 with full decoding; the margin is how many "
        "times as many pixels a side as the model sees a smaller JPEG must keep. Each image is a "
        "query by its own code of either way; of its 10 nearest others, ties at the tenth count.",
    )
    large = arguments.work / "large"
    large.mkdir(exist_ok=True)
    for file in photographs(arguments.photos):
        out = large / f"{file.stem}.jpg"
        if not out.exists():
            image = Image.open(file).convert("RGB")
            size = image.width * 4, image.height * 4
            image.resize(size, Image.Resampling.BICUBIC).save(out, quality=90)
    rows: list[list[object]] = [
        ["against --exact", "decoded smaller", "bits that agree", "of those", "10 nearest the same"]
    ]
    for name, folder in (("photos.tar", arguments.photos), ("4 times as wide", large)):
        rows += agreement(arguments, name, folder)
    table(*rows)


def agreement(arguments: argparse.Namespace, name: str, folder: Path) -> list[list[object]]:
    """The rows of `bits` for one folder of photographs."""
    sizes = [image_size(path) for path in photographs(folder)]
    exact_model = load_encoder(arguments.run, engine="torch")
    quick_model = load_onnx(arguments.run).with_threads(1)
    exact = encode(exact_model, folder, fresh(arguments.work / "exact.npy"), decode="full")
    rows: list[list[object]] = []

    def add(way: str, model: Encoder, decode: Decode) -> None:
        other = encode(model, folder, fresh(arguments.work / "other.npy"), decode=decode)
        smaller = np.array(
            [decode == "reduced" and model.preprocessing.reduction(size) > 1 for size in sizes]
        )
        agree = 1 - np.unpackbits(exact.codes ^ other.codes, axis=1).sum(axis=1) / exact.bits
        those = f"{agree[smaller].mean():.3%}" if smaller.any() else ""
        near = f"{nearest_the_same(exact, other):.1%}"
        rows.append([f"{name}: {way}", smaller.sum(), f"{agree.mean():.3%}", those, near])

    add("--exact again", exact_model, "full")
    add("onnx, full decode", quick_model, "full")
    chosen = transforms.REDUCED_MARGIN
    try:
        for margin in (2, 3, 4):
            transforms.REDUCED_MARGIN = margin
            default = " (the default)" * (margin == chosen)
            add(f"onnx, margin {margin}{default}", quick_model, "reduced")
    finally:
        transforms.REDUCED_MARGIN = chosen
    return rows


def nearest_the_same(exact: CodeSet, other: CodeSet) -> float:
    """The share of the 10 nearest others by exact codes that are so by other codes too."""
    # A query by its own code, exact or not, in the database of the same way.
    near = [HammingIndex(one).search(one.codes, 11) for one in (exact, other)]
    same = []
    for query in range(exact.count):
        (distances, rows), (_, found) = near
        nearest = set(rows[query][rows[query] != query][:10].tolist())
        got = found[query][found[query] != query][:10].tolist()
        reach = distances[query][10]
        tied = {
            row
            for row in got
            if (np.bitwise_count(exact.codes[row] ^ exact.codes[query])).sum() <= reach
        }
        same.append(len(nearest & set(got) | tied) / 10)
    return float(np.mean(same))


# -- sources and memory ----------------------------------------------------------------------------


def sources(arguments: argparse.Namespace) -> None:
    """CIFAR-10's 60,000 small files from a folder, a .tar and a .zip: images/s, in turns."""
    told(
        arguments,
        f"`bitcodes encode --engine onnx` of all files of --cifar, its start included, "
        f"{arguments.rounds} rounds of the three in turn.",
    )
    packed = packed_cifar(arguments, None)
    kept = Kept(arguments.work / "sources.json", [])
    for number in range(arguments.rounds):
        if number == len(kept.data):
            kept.data.append({})
        for name, source in packed.items():
            kept.measure(kept.data[number], name, partial(rate, arguments, source))
    rates = {name: [each[name] for each in kept.data] for name in packed}
    most = max(statistics.median(each) for each in rates.values())
    rows: list[list[object]] = [["source", "images/s, median (range)", "of the fastest"]]
    for name, each in rates.items():
        rows.append([name, spread(each, ".0f"), f"{statistics.median(each) / most:.0%}"])
    table(*rows)


def memory(arguments: argparse.Namespace) -> None:
    """Peak memory of encoding 10,000 and 60,000 of CIFAR-10's files, from folder, .tar and .zip."""
    told(
        arguments,
        "The peak of all processes of `bitcodes encode --engine onnx` together, looked at five "
        "times a second: PSS, in which a page that n processes share counts 1/n in each, and RSS, "
        "in which it counts in full in each. Other programs that use the same libraries lower PSS.",
    )
    kept = Kept(arguments.work / "memory.json", {})
    rows: list[list[object]] = [["source", "images", "peak PSS, MB", "peak RSS, MB"]]
    for count in (10_000, 60_000):
        for name, source in packed_cifar(arguments, count).items():
            label = f"{name} {count}"
            _, pss, rss = kept.measure(kept.data, label, partial(whole, arguments, source))
            rows.append([name, f"{count:,}", f"{pss:.0f}", f"{rss:.0f}"])
    table(*rows)
    for name in ("folder", ".tar", ".zip"):
        few, many = (kept.data[f"{name} {count}"] for count in (10_000, 60_000))
        changes = ", ".join(
            f"{kind} {many[i] / few[i] - 1:+.1%}" for i, kind in ((1, "PSS"), (2, "RSS"))
        )
        print(f"{name}, 60,000 against 10,000: {changes}")


def whole(arguments: argparse.Namespace, source: Path) -> tuple[float, float, float]:
    """Images/s, and the peaks of PSS and RSS in MB, of encoding a source anew."""
    out = fresh(arguments.work / "cifar.npy")
    seconds, pss, rss = watched([*encoding(arguments, source, out), "--engine", "onnx"])
    return CodeSet.open(out, verify=False).count / seconds, pss, rss


def rate(arguments: argparse.Namespace, source: Path) -> float:
    """Images/s of encoding a source anew."""
    return whole(arguments, source)[0]


def packed_cifar(arguments: argparse.Namespace, count: int | None) -> dict[str, Path]:
    """CIFAR-10's files, or the first `count`, as a folder, a .tar and a .zip."""
    work, folder = arguments.work.absolute(), arguments.cifar.absolute()
    files = cifar_files(arguments)
    if count is None or count == len(files):
        place, stem = folder, "packed"
    else:
        files = files[:count]
        place, stem = work / f"few{count}", f"packed{count}"
        for file in files:
            link = place / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.hardlink_to(file)
    tar, zipped = work / f"{stem}.tar", work / f"{stem}.zip"
    if not tar.exists():
        with tarfile.open(work / "partial.pack", "w") as packed:
            for file in files:
                packed.add(file, str(file.relative_to(folder)))
        (work / "partial.pack").rename(tar)
    if not zipped.exists():
        with zipfile.ZipFile(work / "partial.pack", "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
        (work / "partial.pack").rename(zipped)
    return {"folder": place, ".tar": tar, ".zip": zipped}


def cifar_files(arguments: argparse.Namespace) -> list[Path]:
    """The small images in order, without what else lies in a prepared folder."""
    folder = arguments.cifar.absolute()
    return sorted(path for path in folder.rglob("*") if path.suffix in IMAGE_SUFFIXES)


def watched(command: list[str]) -> tuple[float, float, float]:
    """Seconds, and the peaks of PSS and RSS of all its processes together in MB."""
    peaks = {"Pss:": 0.0, "Rss:": 0.0}
    over = threading.Event()
    start = time.perf_counter()
    with started(command) as process:

        def watch() -> None:
            while not over.wait(0.2):
                total = dict.fromkeys(peaks, 0)
                for pid in group(process.pid):
                    try:
                        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                        for name in total:
                            total[name] += int(text.split(name)[1].split()[0])
                    except (OSError, IndexError):
                        continue
                for name in peaks:
                    peaks[name] = max(peaks[name], total[name] / 1024)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            code = process.wait()
        finally:
            over.set()
        seconds = time.perf_counter() - start
        watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return seconds, peaks["Pss:"], peaks["Rss:"]


# -- stopped, killed, and a full disk --------------------------------------------------------------

STOPS_IMAGES = 2000

KILLED_IN_COMMIT = """
import os, signal, sys
from pathlib import Path
from bitcodes.cli.app import main

moment, *command = sys.argv[1:]
out = Path(command[command.index("-o") + 1]).absolute()
rename, count = Path.replace, 0

def replace(self, target):
    global count
    committing = Path(target).name == "commit" or self.absolute().parent.name.endswith(".staging")
    if committing and Path(target).name != "plan":
        count += 1
        if count == int(moment):  # 1: the commit itself; 2, 3, ...: the renames that follow
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.replace = replace
main(command)
"""


def stops(arguments: argparse.Namespace) -> None:
    """Ctrl-C, kill -9 of each process, a full disk: the time, and what a rerun makes of it."""
    told(
        arguments,
        f"`bitcodes encode` of {STOPS_IMAGES:,} files of --cifar, a quarter of them with torch, "
        "stopped when 100 and more are staged (in a commit: at its own rename, and at the third "
        "one after), then run again; every file of the set is compared with that of an "
        "undisturbed run with one worker. "
        f"Ctrl-C: SIGINT to all processes, {arguments.rounds} times; seconds until all have ended.",
    )
    lists = {"onnx": arguments.work / "stops.txt", "torch": arguments.work / "stops-torch.txt"}
    files = cifar_files(arguments)[:STOPS_IMAGES]
    lists["onnx"].write_text("\n".join(map(str, files)))
    lists["torch"].write_text("\n".join(map(str, files[: STOPS_IMAGES // 4])))
    rows: list[list[object]] = [["stopped by", "how it ended", "after a rerun, the set is"]]
    wholes = {}
    for engine in ("onnx", "torch"):
        wholes[engine] = fresh(arguments.work / f"undisturbed-{engine}.npy")
        whole_set = encoding(arguments, lists[engine], wholes[engine])
        run([*whole_set, "--engine", engine, "--workers", "1"])
    out = arguments.work / "stopped.npy"
    command = encoding(arguments, lists["onnx"], out)

    def rerun(how: str, ended: str, engine: str = "onnx") -> None:
        run([*encoding(arguments, lists[engine], out), "--engine", engine])
        same = compared_bytes(out, wholes[engine])
        rows.append([how, ended, same])
        print(*rows[-1], sep="; ", file=sys.stderr, flush=True)

    for engine in ("onnx", "torch"):
        times = []
        for _ in range(arguments.rounds):
            fresh(out)
            again = encoding(arguments, lists[engine], out)
            with started([*again, "--engine", engine]) as process:
                await_staged(out, process)
                start = time.perf_counter()
                os.killpg(process.pid, signal.SIGINT)
                code = process.wait()
                while group(process.pid):
                    time.sleep(0.005)
                times.append(time.perf_counter() - start)
            if code != 130:
                raise SystemExit(f"Ctrl-C: expected exit status 130, found {code}")
        rerun(f"Ctrl-C, {engine}", f"130, after {spread(times, '.2f')} s", engine)

    fresh(out)
    with started([*command, "--engine", "onnx", "--workers", "2"]) as process:
        await_staged(out, process)
        worker = next(pid for pid in group(process.pid) if pid != process.pid)
        os.kill(worker, signal.SIGKILL)
        code = process.wait()
    rerun("kill -9 of a worker", f"{code}, went on by itself")

    fresh(out)
    with started([*command, "--engine", "onnx"]) as process:
        await_staged(out, process)
        process.kill()
        code = process.wait()
        start = time.perf_counter()
        while group(process.pid):  # its workers notice by themselves
            time.sleep(0.005)
        seconds = time.perf_counter() - start
    rerun("kill -9 of the parent", f"{code}; its workers ended {seconds:.1f} s later")

    for moment, told_so in ((1, "before it counts"), (4, "among its renames")):
        fresh(out)
        script = [sys.executable, "-c", KILLED_IN_COMMIT, str(moment), *command[len(BITCODES) :]]
        code = subprocess.run([*script, "--engine", "onnx"], stderr=subprocess.DEVNULL).returncode
        rerun(f"kill -9 of the parent in the commit, {told_so}", str(code))

    full_disk(arguments, lists["onnx"], wholes["onnx"], rows)
    table(*rows)


def full_disk(
    arguments: argparse.Namespace, listed: Path, undisturbed: Path, rows: list[list[object]]
) -> None:
    """Encode on a file system that is too small, make it larger, run again."""
    disk = arguments.work.absolute() / "disk"
    disk.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], stderr=subprocess.DEVNULL
    )
    if mounted.returncode:
        rows.append(["a full disk", "not measured: mounting a small one needs root", ""])
        return
    try:
        out = disk / "stopped.npy"
        command = [*encoding(arguments, listed, out), "--engine", "onnx"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        message = done.stderr.strip().splitlines()[-1].replace(str(disk), "DISK")
        staged = staged_rows(Layout(out))
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        run(command)
        ended = f"{done.returncode}, {staged:,} staged: {message}"
        rows.append(["a full disk (128 KiB)", ended, compared_bytes(out, undisturbed)])
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def await_staged(out: Path, process: subprocess.Popen[bytes], count: int = 100) -> None:
    """Wait until so many rows are staged."""
    while staged_rows(Layout(out)) < count:
        if process.poll() is not None:
            raise SystemExit(f"{out}: encode ended with {process.returncode} before it was stopped")
        time.sleep(0.005)


def compared_bytes(out: Path, undisturbed: Path) -> str:
    """Whether all files of two sets are the same, bar where the set lies in its header."""
    layouts = Layout(out), Layout(undisturbed)
    differ = []
    for role in SUFFIXES:
        one, other = (read_bytes(layout.final(role)) for layout in layouts)
        if role == "header":
            one, other = (header_of(path) for path in (out, undisturbed))
        if one != other:
            differ.append(role)
    return f"DIFFERENT in {', '.join(differ)}" if differ else "the same, byte for byte"


def header_of(out: Path) -> bytes:
    """The header with its paths made absolute: sets in two folders name the same ones."""
    opened = CodeSet.open(out)
    fields = opened.header.model_dump(exclude={"root", "run"})
    return repr((fields, str(opened.root), str(opened.run))).encode()


def read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


# -- append and start-up ---------------------------------------------------------------------------


APPENDED_TO = (0, 1000, 10_000, 59_000)


def append(arguments: argparse.Namespace) -> None:
    """1,000 images appended to sets of 0, 1,000, 10,000 and 59,000."""
    told(
        arguments,
        f"The last 1,000 files of --cifar, `encode(append=True)` with a loaded model; "
        f"{arguments.rounds} rounds of all sizes in turn. The sets are cut from one of all files.",
    )
    work = arguments.work
    files = cifar_files(arguments)
    model = load_onnx(arguments.run)
    everything = work / "everything.npy"
    all_of_them = encode(model, arguments.cifar.absolute(), everything, workers=None)
    new = work / "new.txt"
    new.write_text("\n".join(map(str, files[max(APPENDED_TO) :])))
    times: dict[int, list[float]] = {size: [] for size in APPENDED_TO}
    for _ in range(arguments.rounds):
        for size in APPENDED_TO:
            base = fresh(work / "base.npy")
            if size:
                header = all_of_them.header.model_dump(
                    exclude={"format", "count", "bit_order", "files", "root", "run", "source"}
                )
                with CodeSetWriter(
                    base, columns=("stat",), root=arguments.cifar, **header
                ) as writer:
                    writer.copy(all_of_them, 0, size)
                    writer.commit()
            start = time.perf_counter()
            made = encode(model, str(new), base, append=True, workers=None)
            times[size].append(time.perf_counter() - start)
            assert made.count == size + 1000
    rows: list[list[object]] = [["1,000 images appended to", "seconds, median (range)"]]
    table(*rows, *([f"{size:,}", spread(each, ".2f")] for size, each in times.items()))


def startup(arguments: argparse.Namespace) -> None:
    """`bitcodes encode one.jpg` as a process of its own, with either engine."""
    rounds = max(arguments.rounds, 5)
    told(arguments, f"One photograph, from the command to its end, {rounds} rounds in turn.")
    one = arguments.work / "one.jpg"
    shutil.copy(photographs(arguments.photos)[0], one)
    times: dict[str, list[float]] = {"onnx": [], "torch": []}
    for _ in range(rounds):
        for engine, each in times.items():
            out = fresh(arguments.work / "one-code.npy")
            start = time.perf_counter()
            run([*encoding(arguments, one, out), "--engine", engine])
            each.append(time.perf_counter() - start)
    rows: list[list[object]] = [["bitcodes encode one.jpg", "seconds, median (range)"]]
    table(*rows, *([f"--engine {name}", spread(each, ".2f")] for name, each in times.items()))


PARTS = {
    part.__name__: part
    for part in (
        *(decoders, engines, pools, speed, bits),
        *(sources, memory, stops, append, startup),
    )
}

if __name__ == "__main__":
    main()
