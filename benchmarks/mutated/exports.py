"""Trials of exported models: damaged files, and changed ones whose digest was made to fit."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mutated.bases import BITS, WORKERS, command, export, export_no_more
from mutated.reference import read_plain, wrong_hits
from mutated.texts import CONTROLS, VALUES, changed_json
from mutated.trial import Output, Trial

_DIGEST = 64 + 21  # bytes of the last entry of a file: see bitcodes/models/sealing.py
_ENTRIES = _DIGEST + 64 + 26


def build(base: Path) -> None:
    """Pictures, two runs with exports (one with convolutions), and a set encoded by each."""
    import small  # noqa: F401 - registers its backbone
    from tiny import make_pictures, make_run

    from bitcodes.images.transforms import Preprocessing
    from bitcodes.models.checkpoint import save_model
    from bitcodes.models.hashing import HashModel

    make_pictures(base / "photos", 6)
    make_run(base / "tiny", BITS)
    half = (0.5, 0.5, 0.5)
    size = Preprocessing(image_size=32, mean=half, std=half)
    (base / "small").mkdir()
    save_model(HashModel("small", 16, size, ("a", "b")).eval(), base / "small/model.safetensors")
    for name in ("tiny", "small"):
        export(base / name)
        words = ["-o", base / f"{name}.npy", "--run", base / name / "model.onnx", *WORKERS]
        command("encode", base / "photos", *words)


def ready(base: Path) -> None:
    """Register the backbones, and export nothing from here on."""
    import small  # noqa: F401
    import tiny  # noqa: F401

    export_no_more()


def play(base: Path, trial: Trial) -> None:
    """Damage an export; encode pictures by it, and search for one in the undamaged set."""
    random = Random(f"exports {trial.report.number}")
    name = random.choice(["tiny", "small"])
    good = (base / name / "model.onnx").read_bytes()
    fits = trial.report.number % 2 == 1
    content, what = _refitted(good, random) if fits else _damaged(good, random)
    trial.report.what = f"{name}: {what}"
    in_run = random.random() < 0.3
    file = trial.folder / "run/model.onnx"
    file.parent.mkdir()
    if in_run:
        shutil.copy(base / name / "model.safetensors", file.parent)
        trial.report.what += ", beside its model"
    file.write_bytes(content)
    known = read_plain(base / f"{name}.npy")

    def encoded(_: Output) -> str | None:
        mine = read_plain(trial.folder / "codes.npy")
        if mine.header["fingerprint"] != known.header["fingerprint"]:
            return None if fits and not in_run else "another fingerprint"
        same = mine.lines == known.lines and np.array_equal(mine.codes, known.codes)
        return None if same else "other codes under the fingerprint of the undamaged model"

    run = file.parent if in_run else file
    trial.command(
        "encode", base / "photos", "-o", "codes.npy", "--run", run, *WORKERS, check=encoded
    )
    for suffix in ("npy", "json", "paths.txt", "stat.npy"):
        shutil.copy(base / f"{name}.{suffix}", trial.folder / f"known.{suffix}")

    def searched(output: Output) -> str | None:
        return wrong_hits(output.json(), known.bits[2], known.bits, 3)

    query = base / "photos/02.png"
    words = ["search", query, "--codes", "known.npy", "--run", run, "-k", 3, "--json", *WORKERS]
    trial.command(*words, check=searched)
    trial.command("info", run, *(["--json"] if random.random() < 0.5 else []))


def _damaged(good: bytes, random: Random) -> tuple[bytes, str]:
    """Bytes changed, and the digest left as it was."""
    from attacks.mutate import mutated

    while (content := mutated(good, random)) == good:
        pass
    return content, "bytes changed"


def _refitted(good: bytes, random: Random) -> tuple[bytes, str]:
    """Something changed in the model, and the digest made to fit."""
    model = onnx.load_from_string(good[:-_ENTRIES])
    change = random.choice(_CHANGES)
    if change is None:
        from attacks.mutate import mutated

        body, what = mutated(good[:-_ENTRIES], random), "bytes"
    else:
        what = change(model, random)
        body = model.SerializeToString()
    body += good[-_ENTRIES:-_DIGEST]
    seal = good[-_DIGEST:-64] + hashlib.sha256(body).hexdigest().encode()
    return body + seal, f"{what}; the digest fits"


# -- changes of a model ----------------------------------------------------------------------------


def _weights(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    kind = random.randrange(6)
    if kind == 0 and array.dtype.kind == "f":
        array.flat[random.randrange(array.size)] = random.choice([np.nan, np.inf, 1e30])
    elif kind == 1:
        array = np.zeros_like(array)
    elif kind == 2:
        array = array[::-1].copy() if array.ndim else -array
    elif kind == 3:
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int32)
    elif kind == 4 and array.ndim:
        array = array[:-1]
    else:
        array = -array
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    return f"initializer {tensor.name}, kind {kind}"


def _raw(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    kind = random.randrange(5)
    if kind == 0:
        tensor.raw_data = tensor.raw_data[:-1]
    elif kind == 1:
        tensor.raw_data += b"\0" * 8
    elif kind == 2:
        tensor.dims.append(random.choice([0, -1, 2**40, 2]))
    elif kind == 3:
        tensor.data_type = random.choice([0, 1, 2, 7, 8, 10, 99])
    else:
        model.graph.initializer.add().CopyFrom(tensor)
    return f"bytes of initializer {tensor.name}, kind {kind}"


def _external(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    names = ["/etc/hostname", "../../etc/hostname", "model.safetensors", "", "a\0b", "/dev/zero"]
    place = random.choice(names)
    for key, value in {
        "location": place,
        "offset": "0",
        "length": str(len(tensor.raw_data)),
    }.items():
        tensor.external_data.add(key=key, value=value)
    if random.random() < 0.5:
        tensor.ClearField("raw_data")
    return f"external data in {place!r}"


def _nodes(model: Any, random: Random) -> str:
    nodes = model.graph.node
    number = random.randrange(len(nodes))
    node = nodes[number]
    kind = random.randrange(7)
    if kind == 0:
        del nodes[number]
    elif kind == 1:
        node.op_type = random.choice(["Neg", "Relu", "NoSuchOp", "Sigmoid", "MatMul", "Add", ""])
    elif kind == 2 and node.input:
        node.input[0] = random.choice(["images", "nothing", "", node.output[0]])
    elif kind == 3:
        node.domain = random.choice(["com.microsoft", "other", CONTROLS])
    elif kind == 4 and node.attribute:
        node.attribute[0].i = random.choice([0, -1, 2**62, 7])
    elif kind == 5:
        node.output[0] = random.choice(["outputs", "other", "images"])
    else:
        nodes.add().CopyFrom(node)
    return f"node {number} {node.op_type!r}, kind {kind}"


def _ports(model: Any, random: Random) -> str:
    graph = model.graph
    kind = random.randrange(8)
    port = random.choice([*graph.input, *graph.output])
    if kind == 0:
        port.name = random.choice(["pixels", CONTROLS, ""])
    elif kind == 1:
        port.type.tensor_type.elem_type = random.choice([1, 2, 7, 10, 11])
    elif kind == 2:
        port.type.tensor_type.shape.dim[-1].dim_value = random.choice([1, 3, 17, 2**40])
    elif kind == 3:
        graph.output.add().CopyFrom(graph.output[0])
    elif kind == 4:
        del graph.output[random.randrange(len(graph.output))]
    elif kind == 5:
        graph.input.add().CopyFrom(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    elif kind == 6:
        port.type.tensor_type.ClearField("shape")
    else:
        first, second = list(graph.output)[:2]
        first.name, second.name = second.name, first.name
    return f"inputs and outputs, kind {kind}"


def _versions(model: Any, random: Random) -> str:
    kind = random.randrange(4)
    if kind == 0:
        model.opset_import[0].version = random.choice([1, 7, 11, 13, 21, 99, -1])
    elif kind == 1:
        model.ir_version = random.choice([0, 1, 3, 99, -1])
    elif kind == 2:
        del model.opset_import[:]
    else:
        model.opset_import.add(domain="other", version=3)
    return f"versions, kind {kind}"


def _description(model: Any, random: Random) -> str:
    entry = random.choice(model.metadata_props)
    kind = random.randrange(5)
    what = f"{entry.key}, kind {kind}"
    if kind == 0:
        model.metadata_props.remove(entry)
    elif kind == 1:
        entry.value = random.choice(
            ["", CONTROLS, "nan", "1e400", "[" * 100_000, "null", "-1", "9" * 5000]
        )
    elif kind == 2:
        model.metadata_props.add(key=entry.key, value=random.choice(["", "{}", entry.value[::-1]]))
    else:
        data, what = changed_json(entry.value.encode(), random)
        entry.value = data.decode("utf-8", "replace")
    return f"description: {what}"


def _preprocessing(model: Any, random: Random) -> str:
    """The pixels that the network is given."""
    entry = next(one for one in model.metadata_props if one.key == "bitcodes")
    value = json.loads(entry.value)
    key = random.choice(list(value["preprocessing"]))
    value["preprocessing"][key] = random.choice([16, 17, 32, 0, -1, 10**6, *VALUES])
    entry.value = json.dumps(value)
    return f"preprocessing: {key} = {value['preprocessing'][key]!r:.40}"


def _more(model: Any, random: Random) -> str:
    """What does not change the network."""
    model.producer_name = random.choice(["another", CONTROLS, ""])
    model.doc_string = CONTROLS
    model.graph.name = random.choice(["other", CONTROLS])
    model.metadata_props.add(key=random.choice(["more", CONTROLS]), value=CONTROLS)
    return "names and texts"


_CHANGES: list[Callable[[Any, Random], str] | None] = [
    *(_weights, _weights, _raw, _external, _nodes, _nodes, _ports, _ports, _versions),
    *(_description, _description, _preprocessing, _more, None),
]
