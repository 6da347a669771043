"""Encoding against the usual script, and what stands around it.

    python benchmarks/encoding.py PART --run RUN --photos FOLDER --cifar FOLDER [--work FOLDER]

PART is one of: decoders, engines, pools, speed, bits, sources, append, startup. FOLDER of --photos
holds photographs (those of photos.tar), --cifar has CIFAR-10 as train/ and test/ folders of small
files. The run's model must have been exported (bitcodes export, or encode --engine onnx). Prints a
section of the table in benchmarks/results/<date>-encoding.md. Leave the machine alone meanwhile.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.data.reading import read_pixels
from bitcodes.data.transforms import Preprocessing
from bitcodes.data.workers import core_count, in_order
from bitcodes.encoding import encode
from bitcodes.hamming.index import HammingIndex
from bitcodes.models.engines import load_encoder
from bitcodes.models.onnx import load_onnx

BITCODES = [sys.executable, "-m", "bitcodes"]
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--work", type=Path, default=Path("data/benchmark-encoding"))
    parser.add_argument("--images", type=int, default=2000)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    PARTS[arguments.part](arguments)


def table(*rows: Sequence[object]) -> None:
    for number, row in enumerate(rows):
        print("| " + " | ".join(map(str, row)) + " |")
        if number == 0:
            print("|" + " --- |" * len(row))
    sys.stdout.flush()


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
            least = round(224 * 2 / 0.875)
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


def pools(arguments: argparse.Namespace) -> None:
    """Reading and the exported model: threads against processes, the same work in each."""
    model = load_onnx(arguments.run)
    files = repeated(arguments, 600)
    batches = [files[i : i + 32] for i in range(0, len(files), 32)]
    alone = model.with_threads(1)

    def work(batch: list[str]) -> np.ndarray:
        pixels = [read_pixels(path, alone.preprocessing, "reduced") for path in batch]
        return alone.encode_batch(np.stack(pixels)).outputs

    def in_threads() -> None:
        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(work, batches))

    times: dict[str, list[float]] = {"processes": [], "threads": []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        list(in_order(work, batches, core_count()))
        times["processes"].append(len(files) / (time.perf_counter() - start))
        start = time.perf_counter()
        in_threads()
        times["threads"].append(len(files) / (time.perf_counter() - start))
    rows = [[name, f"{statistics.median(values):.1f}"] for name, values in times.items()]
    table([f"{core_count()} workers", "images/s"], *rows)


# -- Must show 1: speed, and what it does to bits --------------------------------------------------

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


def speed(arguments: argparse.Namespace) -> None:
    cores = core_count()
    files = repeated(arguments, arguments.images)
    usual_list = arguments.work / "usual.txt"
    usual_list.write_text("\n".join(files))
    own_list = arguments.work / "own.txt"
    own_list.write_text("\n".join(files))
    variants = [(2, cores, 0)] + [
        (workers, threads, last)
        for workers in (0, 1, 2)
        for threads in (1, 2)
        for last in (0, 1)
        if (workers, threads, last) != (2, cores, 0)
    ]
    kept = arguments.work / "rates.json"  # what was measured, should this be stopped
    rates: dict[str, list[float]] = json.loads(kept.read_text()) if kept.exists() else {}

    def keep(name: str, rate: float) -> None:
        rates.setdefault(name, []).append(rate)
        kept.write_text(json.dumps(rates))
        print(name, rate, file=sys.stderr, flush=True)

    def usual(variant: tuple[int, int, int], count: int) -> None:
        command = [sys.executable, "-c", USUAL, str(arguments.run), str(usual_list)]
        told = subprocess.check_output(
            [*command, *map(str, (*variant, count))],
            env=os.environ | {"OMP_NUM_THREADS": str(variant[1])},
        )
        keep(str(variant), float(told))

    def own() -> None:
        model = load_encoder(arguments.run, engine="onnx")
        out = arguments.work / "own.npy"
        for file in arguments.work.glob("own.*"):
            if file.suffix != ".txt" or file.name.endswith(".paths.txt"):
                file.unlink()
        start = time.perf_counter()
        encode(model, str(own_list), out, workers=None)
        keep("bitcodes", len(files) / (time.perf_counter() - start))

    for variant in variants:  # once each, to find the best
        if str(variant) not in rates:
            usual(variant, 64)
    best = max(variants, key=lambda variant: rates[str(variant)][0])
    for number in range(len(rates.get("bitcodes", ())), ROUNDS):
        own()
        for variant in {variants[0], best}:
            if len(rates[str(variant)]) < number + 2:
                usual(variant, 128)

    model = load_onnx(arguments.run).with_threads(1)
    some = files[:200]
    reading = cpu_ms(
        lambda: [read_pixels(path, model.preprocessing, "reduced") for path in some], len(some)
    )
    pixels = np.stack([read_pixels(path, model.preprocessing, "reduced") for path in some[:32]])
    computing = cpu_ms(lambda: model.encode_batch(pixels), len(pixels))
    allowed = cores / (reading + computing) * 1e3
    medians = {name: statistics.median(values) for name, values in rates.items()}
    mine = medians["bitcodes"]
    rows: list[list[object]] = [["images/s", "median", "all", "bitcodes is"]]
    for variant in [None, *variants]:
        name = "bitcodes" if variant is None else str(variant)
        label = name
        if variant is not None:
            workers, threads, last = variant
            label = f"usual, {workers} workers, {threads} threads" + ", channels-last" * last
            label += " (the usual script)" if variant == variants[0] else ""
            label += " (best variant)" if variant == best else ""
        found = ", ".join(f"{value:.1f}" for value in rates[name])
        rows.append([label, f"{medians[name]:.1f}", found, f"{mine / medians[name]:.2f} times"])
    table(*rows)
    print(
        f"\nAlone, on a core: reading {reading:.2f} ms, model {computing:.2f} ms of CPU an image; "
        f"{cores} cores allow {allowed:.1f} images/s; bitcodes reaches {mine / allowed:.1%}."
    )


def bits(arguments: argparse.Namespace) -> None:
    """How codes by default agree with exact ones, photographs of two sizes."""
    large = arguments.work / "large"
    large.mkdir(exist_ok=True)
    for file in photographs(arguments.photos):
        out = large / f"{file.stem}.jpg"
        if not out.exists():
            image = Image.open(file).convert("RGB")
            size = image.width * 4, image.height * 4
            image.resize(size, Image.Resampling.BICUBIC).save(out, quality=90)
    exact_model = load_encoder(arguments.run, engine="torch")
    quick_model = load_encoder(arguments.run, engine="onnx")
    rows: list[list[object]] = [["against --exact", "bits that agree", "10 nearest the same"]]
    for name, folder in (("photos.tar", arguments.photos), ("the same, 4 times as wide", large)):
        exact = encode(exact_model, folder, arguments.work / "exact.npy", decode="full", force=True)
        again = encode(exact_model, folder, arguments.work / "again.npy", decode="full", force=True)
        rows.append([f"{name}: --exact again", *compared(exact, again)])
        full = encode(quick_model, folder, arguments.work / "full.npy", decode="full", force=True)
        rows.append([f"{name}: onnx, full decode", *compared(exact, full)])
        quick = encode(quick_model, folder, arguments.work / "quick.npy", force=True)
        rows.append([f"{name}: default (onnx, reduced decode)", *compared(exact, quick)])
        for file in arguments.work.glob("*.npy"):
            if file.stem in ("exact", "again", "full", "quick"):
                for part in arguments.work.glob(f"{file.stem}.*"):
                    part.unlink()
    table(*rows)


def compared(exact: CodeSet, other: CodeSet) -> tuple[str, str]:
    differ = np.unpackbits(exact.codes ^ other.codes).sum()
    agree = 1 - differ / (exact.count * exact.bits)
    # A query by its own code, exact or not, in the database of the same way.
    near = [HammingIndex(one).search(one.codes, 11) for one in (exact, other)]
    same = []
    for query in range(exact.count):
        (distances, rows), (_, found) = near
        wanted = set(rows[query][rows[query] != query][:10].tolist())
        got = found[query][found[query] != query][:10].tolist()
        reach = distances[query][10]
        tied = {
            row
            for row in got
            if (np.bitwise_count(exact.codes[row] ^ exact.codes[query])).sum() <= reach
        }
        same.append(len(wanted & set(got) | tied) / 10)
    return f"{agree:.3%}", f"{np.mean(same):.1%}"


# -- Must show 2, 3: sources and memory ------------------------------------------------------------


def sources(arguments: argparse.Namespace) -> None:
    """CIFAR-10's small files from a folder, a .tar and a .zip; memory of 10,000 and 60,000."""
    work = arguments.work
    folder = arguments.cifar.absolute()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not (work / "cifar.tar").exists():
        with tarfile.open(work / "cifar.tar", "w") as packed:
            for file in files:
                packed.add(file, str(file.relative_to(folder)))
    if not (work / "cifar.zip").exists():
        with zipfile.ZipFile(work / "cifar.zip", "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    few = work / "few.txt"
    few.write_text("\n".join(map(str, files[:10_000])))
    rows: list[list[object]] = [["source", "images", "seconds", "images/s", "peak MB"]]
    named = {"folder, 10,000 of them": few, "folder": folder}
    named |= {".tar": work / "cifar.tar", ".zip": work / "cifar.zip"}
    kept = work / "sources.json"  # what was measured, should this be stopped
    found: dict[str, list[str]] = json.loads(kept.read_text()) if kept.exists() else {}
    for name, source in named.items():
        if name in found:
            continue
        out = work / "cifar.npy"
        for file in work.glob("cifar.*"):
            if file.name not in ("cifar.tar", "cifar.zip"):
                file.unlink()
        command = [*BITCODES, "encode", str(source), "-o", str(out), "--run", str(arguments.run)]
        seconds, peak = watched([*command, "--engine", "onnx"])
        count = CodeSet.open(out, verify=False).count
        found[name] = [f"{count:,}", f"{seconds:.1f}", f"{count / seconds:.0f}", f"{peak:.0f}"]
        kept.write_text(json.dumps(found))
    table(*rows, *([name, *found[name]] for name in named))


def watched(command: list[str]) -> tuple[float, float]:
    """Seconds, and the peak of proportional memory (PSS) of all its processes in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    peak = 0.0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            total = 0
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    if os.getpgid(int(entry.name)) == process.pid:
                        text = (entry / "smaps_rollup").read_text()
                        total += int(text.split("Pss:")[1].split()[0])
                except (OSError, IndexError):
                    continue
            peak = max(peak, total / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    if code:
        raise SystemExit(f"{command} ended with {code}")
    return seconds, peak


# -- Must show 6, 7: append and start-up -----------------------------------------------------------


def append(arguments: argparse.Namespace) -> None:
    """1,000 images to sets of other sizes, and into none; needs the set that `sources` made."""
    work = arguments.work
    whole = CodeSet.open(work / "cifar.npy")
    files = sorted(path for path in arguments.cifar.absolute().rglob("*") if path.is_file())
    new = work / "new.txt"
    new.write_text("\n".join(map(str, files[59_000:])))
    model = load_encoder(arguments.run, engine="onnx")
    rows: list[list[object]] = [["1,000 images added to", "seconds"]]
    for size in (0, 1000, 10_000, 59_000):
        times = []
        for _ in range(ROUNDS):
            for file in work.glob("base.*"):
                file.unlink()
            if size:
                header = whole.header.model_dump(
                    exclude={"format", "count", "bit_order", "files", "root", "run", "source"}
                )
                with CodeSetWriter(
                    work / "base.npy", columns=("stat",), root=arguments.cifar, **header
                ) as writer:
                    writer.copy(whole, 0, size)
                    writer.commit()
            start = time.perf_counter()
            made = encode(model, str(new), work / "base.npy", append=True, workers=None)
            times.append(time.perf_counter() - start)
            assert made.count == size + 1000
        rows.append([f"{size:,}", f"{statistics.median(times):.2f}"])
    table(*rows)


def startup(arguments: argparse.Namespace) -> None:
    """`bitcodes encode one.jpg` from an empty shell."""
    one = arguments.work / "one.jpg"
    shutil.copy(photographs(arguments.photos)[0], one)
    rows: list[list[object]] = [["bitcodes encode one.jpg", "median s", "all"]]
    for engine in ("onnx", "torch"):
        times = []
        for _ in range(5):
            for file in arguments.work.glob("one.*"):
                if file != one:
                    file.unlink()
            start = time.perf_counter()
            out = arguments.work / "one.npy"
            command = [*BITCODES, "encode", str(one), "-o", str(out), "--run", str(arguments.run)]
            subprocess.run([*command, "--engine", engine], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        told = ", ".join(f"{value:.2f}" for value in times)
        rows.append([f"--engine {engine}", f"{statistics.median(times):.2f}", told])
    table(*rows)


PARTS = {
    part.__name__: part
    for part in (decoders, engines, pools, speed, bits, sources, append, startup)
}

if __name__ == "__main__":
    main()
