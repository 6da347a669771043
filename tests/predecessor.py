"""Files of Learning-bit-codes-for-images: its params.json, and random weights as it read them."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

# As the file came with it.
PARAMS = {
    **{"learning_rate": 1e-2, "batch_size": 128, "num_epochs": 1250, "num_classes": 10},
    **{"keep_prob": 0.5, "num_channels": 3, "buffer_size": 1000, "image_size": 227},
    **{"num_labels": 10, "num_parallel_calls": 8, "save_summary_steps": 50},
}

Layers = dict[str, list[np.ndarray]]


def random_layers(width: int, seed: int = 0) -> Layers:
    """Weights and biases of each layer in TensorFlow's layout, with fc6 and fc7 `width` wide."""
    rng = np.random.default_rng(seed)
    kernels = {
        "conv1": (11, 11, 3, 96),
        "conv2": (5, 5, 48, 256),
        "conv3": (3, 3, 256, 384),
        "conv4": (3, 3, 192, 384),
        "conv5": (3, 3, 192, 256),
        "fc6": (9216, width),
        "fc7": (width, width),
        "fc8": (width, 10),
    }
    layers = {}
    for name, shape in kernels.items():
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        kernel = rng.normal(0, scale, shape).astype(np.float32)
        layers[name] = [kernel, rng.normal(0, 0.5, shape[-1]).astype(np.float32)]
    return layers


def save_as_python3(path: Path, content: Any) -> None:
    """What `np.save(path, content)` does with a dict, or with one object of any other kind."""
    one = np.empty((), dtype=object)
    one[()] = content
    np.save(path, one, allow_pickle=True)


def save_as_python2(path: Path, layers: Layers) -> None:
    """The same as Python 2 and its NumPy wrote it: text and numbers of arrays alike as strings."""
    out = io.BytesIO()
    out.write(b"\x80\x02")
    _begin_array(out)
    out.write(b"(K\x01)" + _dtype(b"O8", b"|", 63) + b"\x89]}(")
    for name, arrays in layers.items():
        out.write(_string(name.encode()) + b"](")
        for array in arrays:
            _begin_array(out)
            out.write(b"(K\x01(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape))
            out.write(b"t" + _dtype(b"f4", b"<", 0) + b"\x89")
            out.write(b"T" + struct.pack("<i", array.nbytes) + array.astype("<f4").tobytes())
            out.write(b"tb")
        out.write(b"e")
    out.write(b"uatb.")
    save_pickle(path, out.getvalue())


def save_pickle(path: Path, pickled: bytes) -> None:
    """Any pickle in a .npy file."""
    path.write_bytes(with_header(pickled))


def with_header(pickled: bytes) -> bytes:
    """Any pickle behind the header that `np.save` gives to one object."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def _begin_array(out: io.BytesIO) -> None:
    out.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R")


def _dtype(code: bytes, order: bytes, flags: int) -> bytes:
    return (
        b"cnumpy\ndtype\n"
        + _string(code)
        + b"K\x00K\x01\x87R(K\x03"
        + _string(order)
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK"
        + bytes([flags])
        + b"tb"
    )


def _string(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text
