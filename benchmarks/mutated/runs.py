"""Trials of run folders and datasets that were damaged."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from mutated import reference
from mutated.arrays import changed_array, changed_npy, to_npy
from mutated.bases import WORKERS, command, export_no_more
from mutated.reference import read_plain
from mutated.texts import CONTROLS, VALUES, changed_json, changed_lines
from mutated.trial import Output, Trial

EPOCHS = 3


def build(base: Path) -> None:
    """A dataset, a run of two epochs of three, its export and evaluation, and the whole run."""
    from small import make_dataset

    make_dataset(base / "data", 24, 6)
    _finetune(base / "data", base / "run", 2)
    command("evaluate", base / "run", *WORKERS)
    command("encode", base / "data", "-o", base / "known.npy", "--run", base / "run", *WORKERS)
    shutil.copytree(base / "run", base / "whole")
    ready(base)
    _finetune(base / "data", base / "whole", EPOCHS)


def ready(base: Path) -> None:
    """Let nothing be exported from here on."""
    import small  # noqa: F401 - registers its backbone

    from bitcodes.training import finetuning

    export_no_more()
    finetuning.export_trained = lambda path, log: None  # type: ignore[assignment]


def _finetune(data: Path, run: Path, epochs: int) -> Any:
    from small import make_settings

    from bitcodes.training import finetune

    settings = make_settings(data, epochs=epochs, ema=0.9, weights="random")
    here = Path.cwd()
    os.chdir(run.parent)  # for runs/latest
    try:
        return finetune(settings, run, workers=0)
    finally:
        os.chdir(here)


def play(base: Path, trial: Trial) -> None:
    """Damage a copy of the run or its dataset; then use it and train it on."""
    random = Random(f"runs {trial.report.number}")
    run, data = trial.folder / "run", trial.folder / "data"
    shutil.copytree(base / "run", run)
    shutil.copytree(base / "data", data)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(base / "data"), str(data)))
    change = random.choices([one for one, _, _ in _CHANGES], [weight for *_, weight in _CHANGES])[0]
    may_differ = next(differs for one, differs, _ in _CHANGES if one is change)
    trial.report.what = change(run, data, random)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    known = read_plain(base / "known.npy")

    def encoded(_: Output) -> str | None:
        mine = read_plain(trial.folder / "codes.npy")
        if mine.header["fingerprint"] != known.header["fingerprint"]:
            return "another fingerprint"
        codes = dict(zip(known.lines, known.codes.tolist(), strict=True))
        wrong = [
            line
            for line, code in zip(mine.lines, mine.codes.tolist(), strict=True)
            if codes.get(line) != code
        ]
        return f"other codes for {wrong[:3]}" if wrong else None

    words = ["encode", base / "data", "-o", "codes.npy", "--run", "run", *WORKERS]
    trial.command(*words, check=encoded)
    trial.command("evaluate", "run", "--json", *WORKERS, check=partial(_evaluated, run))
    shutil.copytree(
        base, trial.folder / "known", ignore=shutil.ignore_patterns("run", "whole", "data")
    )

    def searched(output: Output) -> str | None:
        row = next(n for n, line in enumerate(known.lines) if line == b"003.png")
        every = reference.distances_between(known.bits[row : row + 1], known.bits)[0]
        expected = reference.nearest(every, 3, None)
        hits = output.json()["queries"][0]["results"]
        actual = [(hit["distance"], hit["row"]) for hit in hits]
        return None if actual == expected else f"expected {expected}, found {actual}"

    query = base / "data/003.png"
    words = ["search", query, "--codes", "known/known.npy", "--run", "run", "-k", 3, "--json"]
    trial.command(*words, *WORKERS, check=searched)
    trial.command("info", "run", *(["--json"] if random.random() < 0.5 else []))

    def trained(_: Output) -> str | None:
        weights = torch.load(run / "checkpoint.pt", weights_only=True)["model"]
        if not all(
            bool(one.isfinite().all()) for one in weights.values() if one.is_floating_point()
        ):
            return "weights that are not finite"
        same = (run / "model.safetensors").read_bytes() == (
            base / "whole/model.safetensors"
        ).read_bytes()
        return None if same or may_differ else "trained to other weights than the undamaged run"

    # Through the library, with the settings of the run; else through the command, with its file.
    if trial.report.number % 3:
        trial.call("finetune", lambda: _finetune(data, run, EPOCHS), trained)
    else:
        words = ["finetune", "--config", "run/config.yaml", "--run", "run", "--epochs", EPOCHS]
        trial.command(*words, *WORKERS, check=trained)
    if trial.report.said and trial.report.said[-1].startswith("finetune"):
        after = {file: file.read_bytes() for file in before if file.is_file()}
        lost = [str(file.relative_to(run)) for file in before if after.get(file) != before[file]]
        lost = [name for name in lost if not name.startswith("evaluation")]
        if lost:
            trial.report.problems.append(f"wrong: a refused finetune has changed {lost}")


def _evaluated(run: Path, output: Output) -> str | None:
    """The mAP of the codes that the evaluation has kept, by NumPy alone."""
    value = output.json()
    queries, database = (
        read_plain(run / f"evaluation/{one}.npy") for one in ("queries", "database")
    )
    distances = reference.distances_between(queries.bits, database.bits)
    expected = reference.expected_map(distances, reference.relevance(queries, database))
    actual = value["figures"]["map"]
    same = actual is None if expected is None else abs(actual - expected) < 1e-9
    if not same:
        return f"expected mAP {expected}, found {actual}"
    good = run.parent / "known_two_stage.npy"
    if good.exists():
        two_stage, expected = value["figures"]["two_stage"], float(np.load(good).mean())
        if not np.isclose(two_stage, expected):
            return f"expected two-stage score {expected}, found {two_stage}"
    return None


# -- changes: of a file of the run or of the data; what -------------------------------------------


def _bytes(name: str, run: Path, data: Path, random: Random) -> str:
    from attacks.mutate import mutated

    file = (data if name.endswith((".txt", "dataset.json")) else run) / name
    file.write_bytes(mutated(file.read_bytes(), random))
    return f"{name}: bytes changed"


def _other_kind(run: Path, data: Path, random: Random) -> str:
    files = [*run.glob("*.*"), *data.glob("*.txt"), data / "dataset.json"]
    file = random.choice(sorted(one for one in files if one.is_file()))
    content = file.read_bytes()
    file.unlink()
    kind = random.randrange(7)
    if kind == 0:
        file.mkdir()
    elif kind == 1 and hasattr(os, "mkfifo"):
        os.mkfifo(file)
    elif kind == 2:
        file.symlink_to(file.name)
    elif kind == 3:
        file.write_bytes(b"")
    elif kind == 4:
        file.write_bytes(random.choice([b"\xff\xfe\x00", b"[" * 100_000, b"\0" * 1000, b"a: *a\n"]))
    elif kind == 5:
        file.write_bytes(content[: len(content) // 2])
    return f"{file.name}: missing, cut or of another kind ({kind})"


def _checkpoint(run: Path, data: Path, random: Random) -> str:
    """A value removed, renamed, of another type, shape or size."""
    file = run / "checkpoint.pt"
    values = torch.load(file, weights_only=True)
    holder, key, path = _place(values, random)
    old = holder[key]
    kind = random.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif isinstance(old, torch.Tensor) and kind < 5:
        holder[key] = _tensor(old, random)
    else:
        holder[key] = random.choice(
            [*VALUES, torch.zeros(3), {"a": torch.zeros(2)}, [old], -1, 10**9]
        )
    torch.save(values, file)
    return f"checkpoint.pt: {path}, kind {kind}"


def _place(value: Any, random: Random) -> tuple[Any, Any, str]:
    """A holder, a key in it, and where that is."""
    path: list[str] = []
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = random.choice(keys)
        path.append(str(key))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.25:
            return value, key, ".".join(path)
        value = inner


def _tensor(old: torch.Tensor, random: Random) -> Any:
    with_nan = old.clone(memory_format=torch.contiguous_format).float()
    if with_nan.numel():
        with_nan.view(-1)[0] = random.choice([float("nan"), float("inf")])
    return random.choice(
        [
            with_nan,
            old.double(),
            old[None],
            old.flatten()[:-1],
            old.new_zeros(()),
            old.numpy().tolist(),
            torch.zeros(7, 7),
            old.to_sparse() if old.dim() else old.bool(),
            old.to("meta"),
            old.bool(),
            old.to(torch.int64),
            torch.zeros(1).expand(10**9),
            old.to(torch.complex64),
        ]
    )


def _other_optimizer(run: Path, data: Path, random: Random) -> str:
    """The state of another model or another optimizer."""
    file = run / "checkpoint.pt"
    values = torch.load(file, weights_only=True)
    parameters = [torch.nn.Parameter(torch.zeros(3, 3)), torch.nn.Parameter(torch.zeros(3))]
    kinds: list[Any] = [
        torch.optim.Adam,
        torch.optim.SGD,
        torch.optim.Adagrad,
        torch.optim.Adadelta,
    ]
    other = random.choice(kinds)(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    other.step()
    state = other.state_dict()
    if random.random() < 0.5:
        values["optimizer"] = state
    else:
        values["optimizer"]["state"] = state["state"]
    torch.save(values, file)
    return f"checkpoint.pt: state of {type(other).__name__}"


def _pickle(run: Path, data: Path, random: Random) -> str:
    """Something else than a checkpoint that torch can read, or cannot."""
    file = run / "checkpoint.pt"
    value = random.choice(
        [None, [], {}, 3, torch.zeros(3), [torch.zeros(3)], {"model": {}}, os.path.join]
    )
    if random.random() < 0.5:
        torch.save(value, file, _use_new_zipfile_serialization=random.random() < 0.5)
        return f"checkpoint.pt: {value!r:.40}"
    import pickle

    nested: Any = []
    for _ in range(200):
        nested = [nested]
    file.write_bytes(pickle.dumps(random.choice([value, nested])))
    return "checkpoint.pt: a plain pickle"


def _weight_bits(run: Path, data: Path, random: Random) -> str:
    """A bit turned within the bytes of a tensor: the file is whole, but not what was written."""
    file = run / random.choice(["checkpoint.pt", "checkpoint.pt", "model.safetensors"])
    content = bytearray(file.read_bytes())
    values = torch.load(run / "checkpoint.pt", weights_only=True)["model"]
    tensor = random.choice([one for one in values.values() if one.numel() > 20])
    place = bytes(content).find(tensor.numpy().tobytes()[:40])
    place = place if place >= 0 else len(content) // 2
    content[place + random.randrange(40)] ^= 1 << random.randrange(8)
    file.write_bytes(bytes(content))
    return f"{file.name}: a bit of a weight"


def _config(run: Path, data: Path, random: Random) -> str:
    file = run / "config.yaml"
    lines = file.read_text().splitlines()
    number = random.randrange(len(lines))
    key = lines[number].partition(":")[0]
    value = random.choice(
        [
            *map(repr, VALUES),
            "!!python/object/apply:os.system ['true']",
            "&a [*a]",
            "[" * 60,
            "2000-01-01",
            "016",
            "1:30",
            "~",
            ".nan",
            "1e999",
            '"\\e[31m"',
            '"\\u202e"',
            "0.5",
            "10",
            "auto",
            "x",
            "!!binary aGVsbG8=",
            "!!set {a, b}",
            "? [a]: b",
            "<<: {a: 1}",
            "|\n  a\n  b",
            "'",
            "{",
            "\t",
        ]
    )
    kind = random.randrange(5)
    if kind == 0:
        del lines[number]
    elif kind == 1:
        lines.append(f"{random.choice([key, 'more', CONTROLS, '? '])}: {value}")
    else:
        lines[number] = f"{key}: {value}"
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    return f"config.yaml: {key}, {value[:40]!r}, kind {kind}"


def _safetensors(run: Path, data: Path, random: Random) -> str:
    """The header of the file of weights: description, dtypes, shapes, offsets."""
    file = run / "model.safetensors"
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]
    if random.random() < 0.5:
        value = json.loads(header)
        inner, what = changed_json(value["__metadata__"]["bitcodes"].encode(), random)
        value["__metadata__"]["bitcodes"] = inner.decode("utf-8", "replace")
        new = json.dumps(value).encode()
    else:
        new, what = changed_json(header, random)
    new = new.ljust(-(-len(new) // 8) * 8)
    length = len(new) if random.random() < 0.9 else random.choice([0, 2**40, 2**63, len(new) - 8])
    file.write_bytes(length.to_bytes(8, "little") + new + content[8 + size :])
    return f"model.safetensors: {what}"


def _description(run: Path, data: Path, random: Random) -> str:
    file = data / "dataset.json"
    new, what = changed_json(file.read_bytes(), random)
    file.write_bytes(new)
    return f"dataset.json: {what}"


def _list(run: Path, data: Path, random: Random) -> str:
    file = data / random.choice(["train.txt", "test.txt", "database.txt"])
    new, what = changed_lines(file.read_bytes(), random)
    file.write_bytes(new)
    return f"{file.name}: {what}"


def _metrics(run: Path, data: Path, random: Random) -> str:
    file = run / "metrics.jsonl"
    lines = file.read_bytes().splitlines()
    number = random.randrange(len(lines))
    lines[number], what = changed_json(lines[number], random)
    file.write_bytes(b"\n".join(lines) + b"\n")
    return f"metrics.jsonl: {what}"


def _evaluation(run: Path, data: Path, random: Random) -> str:
    """What an earlier evaluation has kept."""
    folder = run / "evaluation"
    shutil.copy(folder / "two_stage.npy", run.parent / "known_two_stage.npy")
    file = folder / random.choice(["evaluated.json", "two_stage.npy", "two_stage.npy"])
    if file.suffix == ".json":
        new, what = changed_json(file.read_bytes(), random)
    elif random.random() < 0.5:
        new, what = changed_npy(file.read_bytes(), random)
    else:
        array, what = changed_array(np.load(file), random)
        new = to_npy(array)
    file.write_bytes(new)
    return f"{file.name}: {what}"


_Change = Callable[[Path, Path, Random], str]

# Whether what is trained may be another model, as the changed file may be one that is meant so; and
# how often the change is made.
_CHANGES: list[tuple[_Change, bool, int]] = [
    (_checkpoint, True, 22),
    (_other_optimizer, False, 3),
    (_pickle, False, 4),
    (_weight_bits, False, 6),
    (_config, True, 12),
    (_safetensors, False, 10),
    (_description, True, 6),
    (_list, True, 8),
    (_metrics, False, 4),
    (_evaluation, False, 8),
    (_other_kind, True, 8),
    (partial(_bytes, "checkpoint.pt"), False, 6),
    (partial(_bytes, "model.safetensors"), False, 3),
    (partial(_bytes, "model.onnx"), False, 3),
    (partial(_bytes, "config.yaml"), True, 4),
    (partial(_bytes, "dataset.json"), True, 2),
    (partial(_bytes, "train.txt"), True, 2),
]
