"""Model files that lie: ONNX models with seals that fit, safetensors, and old PyTorch files."""

import json
import pickle
import struct
from functools import cache

import numpy as np
from attacks.attack import Attack, Attacks
from attacks.mutate import nested
from attacks.pickles import lists, tuples

from bitcodes.models import sealing
from bitcodes.models.onnx_graph import OnnxGraph, Port

SIDE, BITS, FEATURES = 4, 8, 6
DESCRIPTION = {
    "format": "bitcodes-model/1",
    "backbone": "tiny",
    "bits": BITS,
    "class_names": ["a", "b"],
    "preprocessing": {"image_size": SIDE, "mean": [0.5] * 3, "std": [0.5] * 3},
    "device": "cpu",
    "fingerprint": "f" * 64,
}


def seal(model: bytes) -> bytes:
    """A model with a seal that fits it."""
    return sealing.seal(model, "f" * 64)


@cache
def onnx_model() -> bytes:
    """A small exported model, made without torch."""
    return seal(onnx_content(json.dumps(DESCRIPTION)))


def onnx_content(description: str, **metadata: str) -> bytes:
    """The same without its seal, with another description."""
    graph = OnnxGraph()
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(SIDE * SIDE * 3, FEATURES)).astype(np.float32)
    last = rng.normal(size=(FEATURES, BITS)).astype(np.float32)
    real = graph.node("Cast", "images", to=1)
    flat = graph.node("Flatten", real)
    features = graph.node("MatMul", flat, graph.constant(weight), name="features")
    graph.node("MatMul", features, graph.constant(last), name="outputs")
    properties = {
        "bitcodes": description,
        "bitcodes.norms": json.dumps(np.linalg.norm(last, axis=0).tolist()),
        "bitcodes.feature_dim": str(FEATURES),
    }
    ports = [Port("outputs", "float32", (BITS,)), Port("features", "float32", (FEATURES,))]
    images = Port("images", "uint8", (SIDE, SIDE, 3))
    return graph.to_bytes([images], ports, properties | metadata)


DESCRIPTIONS: dict[str, object] = {
    "no description": None,
    "a list": [],
    "too deep": nested(5000),
    "another format": {**DESCRIPTION, "format": "bitcodes-model/2"},
    "a field more": {**DESCRIPTION, "code": "__import__('os').mkdir('it_ran')"},
    "no bits": {**DESCRIPTION, "bits": 0},
    "negative bits": {**DESCRIPTION, "bits": -8},
    "10**12 bits": {**DESCRIPTION, "bits": 10**12},
    "10**400 bits": {**DESCRIPTION, "bits": 10**400},
    "bits that are infinite": {**DESCRIPTION, "bits": float("inf")},
    "an unknown backbone": {**DESCRIPTION, "backbone": "timm/hf_hub:evil/model"},
    "a backbone that is a path": {**DESCRIPTION, "backbone": "../../evil"},
    "a backbone with an escape": {**DESCRIPTION, "backbone": "\x1b[2J"},
    "a hidden layer of 10**12": {**DESCRIPTION, "hidden": 10**12},
    "a hidden layer of -1": {**DESCRIPTION, "hidden": -1},
    "images of 10**9 pixels a side": {
        **DESCRIPTION,
        "preprocessing": {"image_size": 10**9, "mean": [0.5] * 3, "std": [0.5] * 3},
    },
    "a deviation of 0": {
        **DESCRIPTION,
        "preprocessing": {"image_size": SIDE, "mean": [0.5] * 3, "std": [0, 0, 0]},
    },
    "a mean that is no number": {
        **DESCRIPTION,
        "preprocessing": {"image_size": SIDE, "mean": [float("nan")] * 3, "std": [0.5] * 3},
    },
    "class names with escapes": {**DESCRIPTION, "class_names": ["\x1b[2J\u202e", "\ud800"]},
    "another device": {**DESCRIPTION, "device": "meta"},
}


def _onnx() -> Attacks:
    content = onnx_content(json.dumps(DESCRIPTION))
    made = {
        "onnx without its seal": content,
        "onnx with another seal": onnx_model()[:-1] + b"x",
        "onnx of nothing": b"",
        "onnx of a seal alone": seal(b""),
        "onnx of noise": seal(np.random.default_rng(0).bytes(3000)),
        "onnx that is cut": seal(content[:-100]),
        "onnx with a length of 2**63": seal(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + content),
        "onnx of groups without an end": seal(b"\x3b" * 20_000),
        "onnx of graphs in graphs": seal(_nested_message(300)),
        "onnx with norms that are none": seal(
            onnx_content(json.dumps(DESCRIPTION), **{"bitcodes.norms": "[NaN]"})
        ),
        "onnx with deep norms": seal(
            onnx_content(json.dumps(DESCRIPTION), **{"bitcodes.norms": "[" * 100_000})
        ),
        "onnx with features of 10**4000": seal(
            onnx_content(json.dumps(DESCRIPTION), **{"bitcodes.feature_dim": "9" * 4000})
        ),
    }
    made |= {
        f"onnx with {name}": seal(onnx_content(_text(value)))
        for name, value in DESCRIPTIONS.items()
    }
    return {name: Attack("onnx", data, "") for name, data in made.items()} | {
        "onnx that is good": Attack("onnx", onnx_model())
    }


def _text(value: object) -> str:
    """JSON of any depth."""
    if isinstance(value, list) and value:
        return "[" * 5000 + "]" * 5000
    return json.dumps(value)


def _nested_message(depth: int) -> bytes:
    """A graph whose node has an attribute that is a graph, and so on."""
    message = b""
    for _ in range(depth):
        for tag in (0x32, 0x2A, 0x0A):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            message = bytes([tag]) + _varint(len(message)) + message
    return b"\x08\x08" + b"\x3a" + _varint(len(message)) + message


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of safetensors with this header. Format: https://github.com/huggingface/safetensors"""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _safetensors() -> Attacks:
    def one(**changes: object) -> dict[str, object]:
        tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
        return {"__metadata__": {"bitcodes": json.dumps(DESCRIPTION)}, "a": tensor}

    data = bytes(8)
    made = {
        "a header of 2**63": safetensors(one(), data, length=2**63),
        "a header of 200 MB": safetensors(one(), data, length=200_000_000),
        "no header": b"",
        "a deep header": safetensors(b"[" * 100_000),
        "a shape of 2**40": safetensors(one(shape=[2**40]), data),
        "a shape whose product is small again": safetensors(one(shape=[2**32, 2**32]), data),
        "a negative shape": safetensors(one(shape=[-2]), data),
        "offsets behind the end": safetensors(one(data_offsets=[0, 2**62]), data),
        "offsets that fall": safetensors(one(data_offsets=[8, 0]), data),
        "an unknown dtype": safetensors(one(dtype="OBJECT"), data),
        "bytes behind its end": safetensors(one(), data + b"more"),
        "metadata that is a list": safetensors({"__metadata__": []}),
        "metadata of numbers": safetensors({"__metadata__": {"bitcodes": 1}}),
        "no metadata": safetensors({}),
        "a name with an escape": safetensors({"__metadata__": {}, "\x1b[2J": one()["a"]}, data),
    }
    made |= {
        f"{name}": safetensors({"__metadata__": {"bitcodes": _text(value)}})
        for name, value in DESCRIPTIONS.items()
    }
    return {
        f"safetensors with {name}": Attack("safetensors", data, "") for name, data in made.items()
    }


# -- old PyTorch files -----------------------------------------------------------------------------

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


def pth(tensors: bytes, keys: bytes = b"\x80\x02](U\x010e.", data: bytes | None = None) -> bytes:
    """A PyTorch file of before version 1.6 whose tensors are any pickle."""
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, VERSION, {"little_endian": True}))
    numbers = struct.pack("<q2f", 2, 1, 2) if data is None else data
    return head + tensors + keys + numbers


def tensor(
    shape: bytes = b"K\x02\x85", strides: bytes = b"K\x01\x85", offset: bytes = b"K\0"
) -> bytes:
    """The pickle of one tensor by the name a, of two numbers; its shape and more are pickles."""
    return (
        b"\x80\x02ccollections\nOrderedDict\n)RU\x01actorch._utils\n_rebuild_tensor_v2\n"
        b"((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x02tQ"
        + offset
        + shape
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtRs."
    )


def _numbers(*values: int) -> bytes:
    return (
        b"("
        + b"".join(b"\x8a\x09" + value.to_bytes(9, "little", signed=True) for value in values)
        + b"t"
    )


def pths() -> dict[str, bytes]:
    """Files of weights that call, lie about sizes, or share what they hold."""
    return {
        "a system call": pth(b"\x80\x02cos\nmkdir\nU\x06it_ran\x85R."),
        "a call in a tensor": pth(tensor(shape=b"cos\nmkdir\nU\x06it_ran\x85R")),
        "a call of eval": pth(b"\x80\x02c__builtin__\neval\nU\x011\x85R."),
        "a call of torch": pth(b"\x80\x02ctorch.hub\nload\nU\x011\x85R."),
        "a shape of 2**62": pth(tensor(shape=_numbers(2**62))),
        "a negative shape": pth(tensor(shape=_numbers(-2))),
        "a shape whose product is small again": pth(
            tensor(shape=_numbers(2**32, 2**32), strides=_numbers(0, 0))
        ),
        "a shape of 4 GB on one number": pth(tensor(shape=_numbers(2**30), strides=_numbers(0))),
        "a stride of 2**62": pth(tensor(strides=_numbers(2**62))),
        "a negative stride": pth(tensor(strides=_numbers(-1))),
        "a place behind its end": pth(tensor(offset=b"\x8a\x09" + (2**62).to_bytes(9, "little"))),
        "100 dimensions": pth(tensor(shape=_numbers(*[1] * 100), strides=_numbers(*[1] * 100))),
        "no storage": pth(tensor(), keys=b"\x80\x02]."),
        "a storage of another name": pth(tensor(), keys=b"\x80\x02](U\x019e."),
        "a storage of 2**62 numbers": pth(tensor(), data=struct.pack("<q", 2**62)),
        "a storage of -1 numbers": pth(tensor(), data=struct.pack("<q2f", -1, 1, 2)),
        "numbers that are not finite": pth(tensor(), data=struct.pack("<q2f", 2, np.nan, np.inf)),
        "shared lists": pth(b"\x80\x02}U\x01a" + lists(60) + b"s."),
        "a key of tuples": pth(b"\x80\x02}" + tuples(60) + b"Ns."),
        "a key of tuples in an ordered dict": pth(
            b"\x80\x02ccollections\nOrderedDict\n)R" + tuples(60) + b"Ns."
        ),
        "an ordered dict of tuples": pth(
            b"\x80\x02ccollections\nOrderedDict\n](" + tuples(60) + b"K\x01\x86e\x85R."
        ),
        "a huge name": pth(b"\x80\x02c" + b"x" * 10**6 + b"\nx\n."),
        "no tensors": pth(b"\x80\x02}."),
        "another magic": pickle.dumps(1, 2) * 5,
        "nothing": b"",
    }


def attacks() -> Attacks:
    """All of them."""
    weights = {f"pth with {name}": Attack("pth", data, "") for name, data in pths().items()}
    said = {
        "a shape of 4 GB on one number": "does not fit",
        "a huge name": "is damaged, or no file of weights",
    }
    for name, text in said.items():
        weights[f"pth with {name}"] = weights[f"pth with {name}"]._replace(said=text)
    return _onnx() | _safetensors() | weights
