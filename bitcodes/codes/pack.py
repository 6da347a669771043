"""Bits, bytes and lanes: the three forms of a code, and the checks that keep them straight.

Bytes are what is stored: uint8 (N, ceil(K/8)), the first bit in the highest place (MSB-first, the
order of np.packbits), padding bits zero. Lanes are what is searched: uint64 (ceil(K/64), N),
word-major.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bitcodes.errors import CodeSetError
from bitcodes.wording import counted


def require(fits: bool, expected: str, array: object) -> None:
    """Raise CodeSetError, with what was expected and found, unless an array fits."""
    if not fits:
        kind = type(array).__name__
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else kind
        raise CodeSetError(f"{expected}, found {found}")


def code_bytes(bits: int) -> int:
    """Bytes that a code of `bits` bits takes: ceil(bits / 8). CodeSetError unless bits >= 1."""
    if isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or bits < 1:
        raise CodeSetError(f"bits must be a whole number of at least 1, found {bits!r}")
    return (int(bits) + 7) // 8


def code_lanes(bits: int) -> int:
    """64-bit words that a code of `bits` bits takes: ceil(bits / 64)."""
    return (code_bytes(bits) + 7) // 8


def check_codes(codes: npt.NDArray[np.uint8], bits: int) -> None:
    """Raise CodeSetError unless `codes` is uint8 (N, ceil(bits/8)) with zeros for padding bits."""
    width = code_bytes(bits)
    fits = isinstance(codes, np.ndarray) and codes.dtype == np.uint8 and codes.ndim == 2
    expected = f"codes of {counted(bits, 'bit')} must be a uint8 array of the shape (N, {width})"
    require(fits and codes.shape[1] == width, f"{expected}, as pack_bits makes it", codes)
    padding = 8 * width - bits
    if padding and len(codes):
        stray = codes[:, -1] & ((1 << padding) - 1)  # (N,)
        if stray.any():
            row = int(np.flatnonzero(stray)[0])
            raise CodeSetError(
                f"the last {padding} bits of a code of {bits} bits are padding and must be zero, "
                f"found {int(stray[row]):0{padding}b} in row {row}: the codes have another number "
                "of bits, or the least significant first; pack with np.packbits(bits, axis=1)"
            )


def pack_bits(bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Pack (N, K) booleans or zeros and ones into codes, (N, ceil(K/8)) uint8, MSB-first."""
    array = np.asarray(bits)
    fits = array.ndim == 2 and array.shape[1] >= 1
    require(fits, "bits must have the shape (N, K) with K >= 1", array)
    if array.dtype != np.bool_:
        ones = array == 1
        if not bool(np.all(ones | (array == 0))):
            raise CodeSetError(
                "bits must be booleans, or zeros and ones; found other values: pack real-valued "
                "hash outputs with pack_outputs"
            )
        array = ones
    return np.packbits(array, axis=1, bitorder="big")


def pack_outputs(outputs: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Threshold hash outputs (N, K) at zero and pack them: bit = output > 0.

    CodeSetError if an output is NaN: it has no side of zero, and means that the model is broken.
    """
    array = np.asarray(outputs)
    fits = array.ndim == 2 and array.shape[1] >= 1 and array.dtype.kind == "f"
    require(fits, "hash outputs must be floats of the shape (N, K)", array)
    if np.isnan(array).any():
        row = int(np.flatnonzero(np.isnan(array).any(axis=1))[0])
        raise CodeSetError(
            f"hash outputs of row {row} are not numbers (NaN): the weights or the input are damaged"
        )
    return pack_bits(array > 0)


def unpack_bits(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Unpack codes (N, ceil(bits/8)) into zeros and ones, (N, bits) uint8."""
    check_codes(codes, bits)
    return np.unpackbits(codes, axis=1, count=bits, bitorder="big")


def split_codes(
    codes: npt.NDArray[np.uint8], bits: int, first: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Split codes (N, ceil(bits/8)) into codes of their first bits and of the others."""
    check_codes(codes, bits)
    if not 0 < first < bits:
        raise CodeSetError(f"expected a place from 1 to {bits - 1} to split codes, found {first}")
    head = codes[:, : code_bytes(first)].copy()
    head[:, -1] &= 0xFF << (-first % 8) & 0xFF
    byte, shift = divmod(first, 8)
    tail = codes[:, byte:].copy()
    if shift:
        tail <<= shift
        tail[:, :-1] |= codes[:, byte + 1 :] >> (8 - shift)
    return head, np.ascontiguousarray(tail[:, : code_bytes(bits - first)])


def to_lanes(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint64]:
    """Arrange codes (N, ceil(bits/8)) for searching: (W, N) uint64, C order, W = ceil(bits/64).

    Lane w of image i holds its bytes 8w to 8w+7, zeros behind the last. How the bytes lie inside a
    word follows the machine: Hamming distances do not depend on it, and lanes are never stored.
    """
    check_codes(codes, bits)
    lanes = np.zeros((code_lanes(bits), len(codes)), dtype=np.uint64)  # (W, N)
    places = lanes.view(np.uint8).reshape(len(lanes), len(codes), 8)  # (W, N, 8)
    for word in range(len(lanes)):
        part = codes[:, 8 * word : 8 * word + 8]  # (N, up to 8)
        places[word, :, : part.shape[1]] = part
    return lanes


def to_words(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint64]:
    """Codes (N, ceil(bits/8)) as numbers for other programs: (W, N) uint64, W = ceil(bits/64).

    The first bit of a code is the highest of its first word, on any machine. Zeros fill the last.
    """
    return to_lanes(codes, bits).view(">u8").astype(np.uint64)


def from_lanes(lanes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint8]:
    """Turn lanes (W, N) back into codes, (N, ceil(bits/8)) uint8: the inverse of to_lanes."""
    words = code_lanes(bits)
    fits = isinstance(lanes, np.ndarray) and lanes.dtype == np.uint64 and lanes.ndim == 2
    expected = f"lanes of {bits} bits must be a uint64 array of the shape ({words}, N)"
    require(fits and len(lanes) == words, expected, lanes)
    width = code_bytes(bits)
    places = np.ascontiguousarray(lanes.T).view(np.uint8)  # (N, 8 W)
    if places[:, width:].any():
        raise CodeSetError(f"lanes hold set bits beyond the {bits} bits of a code")
    codes = np.ascontiguousarray(places[:, :width])  # (N, B)
    check_codes(codes, bits)
    return codes
