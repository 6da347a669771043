"""Writing an ONNX file by itself: no package is imported for the few messages that it takes.

Importing `onnx` and building a network with it takes longer than everything else that a search of
one image does. The format is protocol buffers (https://protobuf.dev/programming-guides/encoding);
the numbers of the fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

_OPSET, _IR_VERSION = 17, 8  # of 2022: every ONNX Runtime that bitcodes takes can read them
_ELEMENTS = {"float32": 1, "uint8": 2, "int64": 7}  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType


@dataclass(frozen=True)
class Port:
    """An input or output of a graph. Its first dimension is the batch, of any size."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """Without the batch."""

    def message(self) -> "_Message":
        """As ValueInfoProto."""
        sizes = [_message((1, size)) for size in self.shape]
        dimensions = [_message((2, "batch")), *sizes]
        shape = _message(*((1, dimension) for dimension in dimensions))
        tensor = _message((1, _ELEMENTS[self.dtype]), (2, shape))
        return _message((1, self.name), (2, _message((1, tensor))))


@dataclass
class OnnxGraph:
    """An ONNX graph that grows by a node at a time; values are known by their names."""

    nodes: list["_Message"] = field(default_factory=list)
    constants: list["_Message"] = field(default_factory=list)

    def node(
        self, kind: str, *inputs: str, name: str = "", **attributes: int | Sequence[int]
    ) -> str:
        """Add a node and return the name of its output."""
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(
            _message(
                *((1, value) for value in inputs),
                (2, name),
                (3, name),
                (4, kind),
                *((5, _attribute(key, value)) for key, value in attributes.items()),
            )
        )
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Add an array, float32, uint8 or int64, and return its name."""
        name = f"constant_{len(self.constants)}"
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        self.constants.append(
            _message(
                *((1, size) for size in values.shape),
                (2, _ELEMENTS[values.dtype.name]),
                (8, name),
                (9, little.tobytes()),
            )
        )
        return name

    def to_bytes(
        self, inputs: Sequence[Port], outputs: Sequence[Port], properties: Mapping[str, str]
    ) -> bytes:
        """The content of an ONNX file, a ModelProto; `properties` are its metadata."""
        graph = _message(
            *((1, node) for node in self.nodes),
            (2, "bitcodes"),
            *((5, constant) for constant in self.constants),
            *((11, port.message()) for port in inputs),
            *((12, port.message()) for port in outputs),
        )
        model = _message(
            (1, _IR_VERSION),
            (2, "bitcodes"),
            (7, graph),
            (8, _message((1, ""), (2, _OPSET))),
            *((14, _message((1, key), (2, value))) for key, value in properties.items()),
        )
        return b"".join(model)


def _attribute(name: str, value: int | Sequence[int]) -> "_Message":
    """A whole number or a list of these, as AttributeProto."""
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, _INT))
    return _message((1, name), *((8, number) for number in value), (20, _INTS))


_Message = list[bytes]
"""In parts, which are joined once: the weights are long."""


def _message(*fields: tuple[int, int | str | bytes | _Message]) -> _Message:
    """Fields of a message by their numbers: whole numbers, text, bytes and messages."""
    message: _Message = []
    for number, value in fields:
        if isinstance(value, int):
            message.append(_varint(number << 3) + _varint(value))
            continue
        parts = value if isinstance(value, list) else [_bytes(value)]
        message.append(_varint(number << 3 | 2) + _varint(sum(map(len, parts))))
        message += parts
    return message


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _varint(number: int) -> bytes:
    """A number that is not negative: seven bits a byte, the lowest first."""
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
