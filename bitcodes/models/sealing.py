"""The file of an exported model: its last bytes say which model it is, and that it is undamaged.

ONNX Runtime runs a file with changed weights as readily as a whole one. So two entries of the
metadata follow everything else; every reader of ONNX takes them. The first holds the model's
fingerprint, combined by exclusive or with the SHA-256 of all before it: a file with other weights
or preprocessing has another fingerprint. The second is a SHA-256 of all before it: it shows damage.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from bitcodes.errors import ModelError
from bitcodes.files import open_regular

_LARGEST = 2**31 - 1  # bytes: no message of protobuf may be larger
_HEX = 64  # characters of a digest


def _start_of(key: bytes) -> bytes:
    """An entry of the metadata with a digest, up to the digest.

    It is field 14 of ModelProto, metadata_props, with its length; then the key, field 1, and the
    tag and length of the value, field 2: https://protobuf.dev/programming-guides/encoding
    """
    body = bytes([0x0A, len(key)]) + key + bytes([0x12, _HEX])
    return bytes([0x72, len(body) + _HEX]) + body


_FINGERPRINT, _DIGEST = _start_of(b"bitcodes.fingerprint"), _start_of(b"bitcodes.sha256")
_SEAL = len(_FINGERPRINT) + len(_DIGEST) + 2 * _HEX  # bytes of both entries


class Sealed(NamedTuple):
    """A sealed file as it was read."""

    content: bytes
    digest: str
    """SHA-256 of all but the last entry."""
    fingerprint: str
    """Of the model; another one if anything before the entries is not as it was written."""


def seal(model: bytes, fingerprint: str) -> bytes:
    """An ONNX model (a serialized ModelProto), followed by its fingerprint and the digest of all.

    `fingerprint` is 64 hexadecimal digits.
    """
    digest = hashlib.sha256(model)
    entry = _FINGERPRINT + _combined(fingerprint, digest.hexdigest()).encode()
    digest.update(entry)
    return model + entry + _DIGEST + digest.hexdigest().encode()


def read_sealed(file: Path | str) -> Sealed:
    """Read a sealed file. Raises ModelError if it is damaged, or none.

    That it is a sealed one at all is asked first: other files of ONNX are none of bitcodes.
    """
    content = _read(file)
    entries = content[-_SEAL:]
    digest_at = len(_FINGERPRINT) + _HEX
    is_sealed = entries.startswith(_FINGERPRINT) and entries.startswith(_DIGEST, digest_at)
    if len(content) < _SEAL or not is_sealed:
        raise ModelError(
            f"{file}: is not an ONNX model that this version of bitcodes exported, or it is cut "
            "off: expected a fingerprint and a SHA-256 at its end; write it again with bitcodes "
            "export"
        )
    expected = entries[-_HEX:].decode("ascii", "replace")
    digest = hashlib.sha256(memoryview(content)[:-_SEAL])
    of_model = digest.hexdigest()
    digest.update(entries[:digest_at])
    if (actual := digest.hexdigest()) != expected:
        raise ModelError(
            f"{file}: is damaged: it has changed since it was written (expected SHA-256 "
            f"{expected[:16]}..., found {actual[:16]}...); write it again with bitcodes export"
        )
    try:
        fingerprint = _combined(entries[len(_FINGERPRINT) : digest_at].decode("ascii"), of_model)
    except ValueError:
        raise ModelError(f"{file}: is damaged: its fingerprint is none") from None
    return Sealed(content, actual, fingerprint)


def _read(file: Path | str) -> bytes:
    try:
        with open_regular(file) as stream:
            if (size := os.fstat(stream.fileno()).st_size) > _LARGEST:
                raise ModelError(
                    f"{file}: is too large for an ONNX model: expected at most {_LARGEST:,} bytes, "
                    f"found {size:,}"
                )
            return stream.read(min(os.fstat(stream.fileno()).st_size, _LARGEST))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None


def _combined(one: str, other: str) -> str:
    """The exclusive or of two numbers of 64 hexadecimal digits."""
    pair = bytes.fromhex(one), bytes.fromhex(other)
    if [len(each) for each in pair] != [_HEX // 2] * 2:
        raise ValueError(f"expected {_HEX} hexadecimal digits, found {one!r} and {other!r}")
    return bytes(a ^ b for a, b in zip(*pair, strict=True)).hex()
