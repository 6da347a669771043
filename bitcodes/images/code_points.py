"""Colours that a file names by code points (ITU-T H.273) instead of a profile, as a profile."""

import struct
from functools import lru_cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_CHUNKS = 1000
_STEPS = 1024  # of a curve
# CIE XYZ of red, green and blue, adapted to D50 as profiles need them (Bradford); chromaticities as
# in H.273, table 2. Primaries of other numbers are those of sRGB, or nearly so, or unknown.
_SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
_PRIMARIES = {
    9: ((0.67348, 0.27904, -0.00194), (0.16566, 0.67535, 0.02998), (0.12505, 0.04561, 0.79686)),
    12: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}
_D50 = (0.9642, 1.0, 0.8249)
_GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG = 4, 5, 8, 16, 18  # H.273, table 3
_WHITE, _PEAK = 203.0, 1000.0  # cd/m2 of paper white, and of a screen for HLG: ITU-R BT.2408
_KNEE = 0.5
"""Of paper white: brighter pixels of HDR pictures are compressed."""


@lru_cache(maxsize=32)
def profile_of(primaries: int, transfer: int) -> bytes | None:
    """An ICC profile for code points; None for the colours of sRGB, and for unknown ones.

    Version 2 of ICC.1, a display of three primaries and one curve.
    """
    curve = _curve(transfer)
    if primaries not in _PRIMARIES and transfer not in (_GAMMA_28, _LINEAR, _PQ, _HLG):
        return None
    red, green, blue = _PRIMARIES.get(primaries, _SRGB)
    table = struct.pack(">4s4xI", b"curv", _STEPS) + np.rint(curve * 65535).astype(">u2").tobytes()
    tags = {b"wtpt": _xyz(_D50), b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), table)
    tags[b"desc"] = struct.pack(">4s4xI10s79x", b"desc", 10, b"H.273")
    start = 128 + 4 + 12 * len(tags)
    index, places, data = b"", dict[bytes, int](), b""
    for name, content in tags.items():
        if content not in places:
            places[content] = start + len(data)
            data += content + bytes(-len(content) % 4)
        index += struct.pack(">4sII", name, places[content], len(content))
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        start + len(data),
        0x02100000,
        *(b"mntr", b"RGB ", b"XYZ ", b"acsp"),
        _xyz(_D50)[8:],
    )
    return head + struct.pack(">I", len(tags)) + index + data


def png_colours(file: BinaryIO) -> tuple[int, int] | None:
    """The numbers of primaries and transfer in a PNG's chunk cICP (PNG, third edition, 11.3.2.6).

    The chunk comes before the pixels.
    """
    place = 8
    for _ in range(_CHUNKS):
        file.seek(place)
        head = file.read(10)
        if len(head) < 10 or head[4:8] == b"IDAT":
            return None
        if head[4:8] == b"cICP":
            return head[8], head[9]
        place += 12 + int.from_bytes(head[:4])
    return None


def _xyz(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


def _curve(transfer: int) -> NDArray[np.float64]:
    """Light, 0 to 1, for signals from 0 to 1."""
    signal = np.linspace(0, 1, _STEPS)
    if transfer in (_GAMMA_22, _GAMMA_28):
        return signal ** (2.2 if transfer == _GAMMA_22 else 2.8)
    if transfer == _LINEAR:
        return signal
    if transfer == _PQ:
        return _compressed(_pq(signal) / _WHITE)
    if transfer == _HLG:
        return _compressed(_hlg(signal) ** 1.2 * _PEAK / _WHITE)
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2: SMPTE ST 2084, as in ITU-R BT.2100, table 4."""
    root = signal ** (1 / 78.84375)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return np.asarray(10_000 * light ** (1 / 0.1593017578125))


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the scene, 0 to 1: ITU-R BT.2100, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _compressed(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light relative to paper white, as much of it as fits: a straight line, then a hyperbola."""
    shoulder = 1 - (1 - _KNEE) ** 2 / np.maximum(light + 1 - 2 * _KNEE, 1 - _KNEE)
    return np.where(light <= _KNEE, light, shoulder)
