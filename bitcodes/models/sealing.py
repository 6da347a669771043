"""The file of an exported model: its last bytes are a SHA-256 of all the others.

ONNX Runtime runs a file with changed weights as readily as a whole one, and the fingerprint in its
metadata would still be that of the model. So the fingerprint counts only in a file that is as it
was written. The digest is an entry of the metadata like any other: every reader of ONNX takes it.
"""

import hashlib
from pathlib import Path

from bitcodes.errors import ModelError

_LARGEST = 2**31 - 1  # bytes: no message of protobuf may be larger
_KEY = b"bitcodes.sha256"
_HEX = 64  # characters of a digest

# ModelProto.metadata_props, field 14, with its length; then the key, field 1, and the tag and
# length of the value, field 2: https://protobuf.dev/programming-guides/encoding
_BODY = bytes([0x0A, len(_KEY)]) + _KEY + bytes([0x12, _HEX])
_START = bytes([0x72, len(_BODY) + _HEX]) + _BODY


def seal(model: bytes) -> bytes:
    """An ONNX model (a serialized ModelProto), followed by the entry with its digest."""
    return model + _START + hashlib.sha256(model).hexdigest().encode()


def read_sealed(file: Path | str) -> tuple[bytes, str]:
    """The content of a sealed file, and the digest in it. Raises ModelError if they do not agree.

    That it is a sealed one at all is asked first: other files of ONNX are none of bitcodes.
    """
    try:
        if (size := Path(file).stat().st_size) > _LARGEST:
            raise ModelError(
                f"{file}: is too large for an ONNX model: expected at most {_LARGEST:,} bytes, "
                f"found {size:,}"
            )
        content = Path(file).read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None
    end = len(content) - _HEX
    if end < len(_START) or content[end - len(_START) : end] != _START:
        raise ModelError(
            f"{file}: is not an ONNX model that this version of bitcodes exported, or it is cut "
            "off: expected a SHA-256 at its end; write it again with bitcodes export"
        )
    expected = content[end:].decode("ascii", "replace")
    actual = hashlib.sha256(memoryview(content)[: end - len(_START)]).hexdigest()
    if actual != expected:
        raise ModelError(
            f"{file}: is damaged: it has changed since it was written (expected SHA-256 "
            f"{expected[:16]}..., found {actual[:16]}...); write it again with bitcodes export"
        )
    return content, actual
