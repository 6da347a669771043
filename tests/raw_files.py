"""Camera RAW files, put together by hand."""

import struct

import numpy as np

_FORMS = {1: "B", 3: "H", 4: "I", 5: "II", 10: "ii"}
Entry = tuple[int, int, list[object] | bytes]


def directory(entries: list[Entry], start: int) -> bytes:
    """A TIFF directory that begins at `start`, and the values that do not fit into it."""
    values_start = start + 2 + 12 * len(entries) + 4
    body, values = struct.pack("<H", len(entries)), b""
    for tag, kind, numbers in entries:
        if isinstance(numbers, bytes):
            data = numbers
        else:
            rows = [n if isinstance(n, tuple) else (n,) for n in numbers]
            data = b"".join(struct.pack("<" + _FORMS[kind], *row) for row in rows)
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place = struct.pack("<I", values_start + len(values))
            values += data + bytes(len(data) % 2)
        body += struct.pack("<HHI", tag, kind, len(numbers)) + place
    return body + bytes(4) + values


def dng(preview: bytes, size: tuple[int, int], orientation: int = 1) -> bytes:
    """A DNG file: a JPEG preview in its first directory, 64 x 48 sensor values in a second."""
    sensor = np.full((48, 64), 1000, "<u2").tobytes()
    sensor_start = 8 + len(preview) + len(preview) % 2
    raw_start = sensor_start + len(sensor)
    raw: list[Entry] = [(254, 4, [0]), (256, 4, [64]), (257, 4, [48]), (258, 3, [16])]
    raw += [(259, 3, [1]), (262, 3, [32803]), (273, 4, [sensor_start]), (277, 3, [1])]
    raw += [(278, 4, [48]), (279, 4, [len(sensor)]), (33421, 3, [2, 2]), (33422, 1, [0, 1, 1, 2])]
    second = directory([*raw, (50717, 4, [65535])], raw_start)
    start = raw_start + len(second) + len(second) % 2
    first: list[Entry] = [(254, 4, [1]), (256, 4, [size[0]]), (257, 4, [size[1]])]
    first += [(258, 3, [8, 8, 8]), (259, 3, [7]), (262, 3, [6]), (271, 2, b"Nobody\0")]
    first += [(272, 2, b"Test\0"), (273, 4, [8]), (274, 3, [orientation]), (277, 3, [3])]
    first += [(278, 4, [size[1]]), (279, 4, [len(preview)]), (330, 4, [raw_start])]
    identity: list[object] = [(int(i == j), 1) for i in range(3) for j in range(3)]
    first += [(50706, 1, [1, 4, 0, 0]), (50708, 2, b"Nobody Test\0"), (50721, 10, identity)]
    first += [(50728, 5, [(1, 1), (1, 1), (1, 1)]), (50778, 3, [21])]
    whole = b"II*\0" + struct.pack("<I", start) + preview
    return (whole.ljust(sensor_start, b"\0") + sensor + second).ljust(start, b"\0") + directory(
        first, start
    )
