"""Files for PyTorch that share what they hold, lie about sizes, or would call something."""

import io
import zipfile

from attacks import models
from attacks.attack import Attack, Attacks
from attacks.pickles import lists, tuples


def packed(pickle: bytes, *more: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A file as torch.save writes it: a pickle, and storage 0 of two float32 numbers."""
    file = io.BytesIO()
    parts = [("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", bytes(8))]
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in [*parts, ("a/version", b"3\n"), *more]:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _value(payload: bytes, key: bytes = b"U\x01a") -> bytes:
    """A pickle of a dict of one value."""
    return b"\x80\x02}" + key + payload + b"s."


def _dict_of(items: bytes, name: bytes = b"ccollections\nOrderedDict\n") -> bytes:
    return _value(name + items + b"\x85R")


TENSOR = models.tensor()[:-1]
_COUNT = (2**31 - 1).to_bytes(4, "little")


def _numbers(*values: int) -> bytes:
    """A tuple of numbers, in opcodes that PyTorch knows."""
    return (
        b"(" + b"".join(b"\x8a\x09" + n.to_bytes(9, "little", signed=True) for n in values) + b"t"
    )


PICKLES: dict[str, bytes] = {
    "a system call": b"\x80\x02cos\nmkdir\nU\x06it_ran\x85R.",
    "a call in a key": _value(b"N", b"cos\nmkdir\nU\x06it_ran\x85R"),
    "a call of torch": b"\x80\x02ctorch.hub\nload\nU\x011\x85R.",
    "a new one of a class": b"\x80\x02ctorch\nTensor\nK\x02\x85\x81.",
    "bytes of a count": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\4\x85R.",
    "a key of tuples": _value(b"N", tuples(60)),
    "keys of tuples at once": b"\x80\x02}(" + tuples(60) + b"Nu.",
    "an ordered dict of tuples": _dict_of(b"](" + tuples(60) + b"K\x01\x86e"),
    "a counter of tuples": _dict_of(b"](" + tuples(60) + b"e", b"ccollections\nCounter\n"),
    "a set of tuples": _dict_of(b"](" + tuples(60) + b"e", b"c__builtin__\nset\n"),
    "a dict whose attributes are tuples": _value(
        b"ccollections\nOrderedDict\n)R](" + tuples(60) + b"K\x01\x86eb"
    ),
    "a call of shared lists": b"\x80\x02" + lists(60) + b")R.",
    "a new one of shared lists": b"\x80\x02" + lists(60) + b")\x81.",
    "a reference to shared lists": b"\x80\x02" + lists(60) + b"Q.",
    "a reference of the kind shared tuples": b"\x80\x02(" + tuples(60) + b"K\1K\1K\1K\1tQ.",
    "a storage by the name of tuples": b"\x80\x02(U\x07storagectorch\nFloatStorage\n"
    + tuples(60)
    + b"U\x03cpuK\x02tQ.",
    "shared lists": _value(lists(60)),
    "shared tuples": _value(tuples(60)),
    "shared lists as weights": _value(b"}U\x01b" + lists(60) + b"s", b"U\x05model"),
    "a list within itself": _value(b"]q\x00h\x00a"),
    "endless depth": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a text of 100,000 letters": _value(b"N", b"X\xa0\x86\x01\0" + b"x" * 100_000),
    "a huge memory": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "2**31 numbers": TENSOR.replace(b"cpuK\x02t", b"cpuJ" + _COUNT + b"t") + b".",
    "-2 numbers": TENSOR.replace(b"cpuK\x02t", b"cpuJ\xfe\xff\xff\xfft") + b".",
    "a shape of 2**62": models.tensor(shape=_numbers(2**62)),
    "a shape of 4 GB on one number": models.tensor(shape=_numbers(2**30), strides=_numbers(0)),
    "a tensor that grows its numbers": models.tensor(shape=_numbers(2**28)),
    "a negative shape": models.tensor(shape=_numbers(-2)),
    "a place behind the end": models.tensor(offset=b"K\x05"),
    "100 dimensions": models.tensor(shape=_numbers(*[1] * 100), strides=_numbers(*[1] * 100)),
    "nothing": b"",
    "no end": b"\x80\x02}",
}
"""What either kind of file may hold."""


def _old(tensors: bytes, keys: bytes = b"\x80\x02](U\x010e.") -> bytes:
    """An old file; PyTorch wants references of one part more."""
    return models.pth(tensors.replace(b"cpuK\x02t", b"cpuK\x02Nt"), keys)


def attacks() -> Attacks:
    """All of them, as files of both kinds: weights and checkpoints."""
    good = models.tensor()
    files = {f"zip with {name}": packed(data) for name, data in PICKLES.items()}
    files |= {f"old with {name}": _old(data) for name, data in PICKLES.items() if data}
    files |= {
        "two pickles": packed(good, ("a/DATA.PKL", PICKLES["shared lists"])),
        "a pickle of 200 MB in little": packed(b"\0" * (200 << 20), method=zipfile.ZIP_DEFLATED),
        "a cut zip": packed(good)[:-30],
        "keys of tuples": _old(good, keys=b"\x80\x02](" + tuples(60) + b"e."),
        "a magic of shared lists": b"\x80\x02" + lists(60) + b"." + _old(good),
    }
    said = "not a file of nothing but weights|cannot be read|expected tensors by name"
    made = {
        f"torch weights: {name}": Attack("torch weights", data, said)
        for name, data in files.items()
    }
    for name, data in files.items():
        made[f"torch weights: {name}"] = Attack("torch weights", data, said)
        made[f"checkpoint: {name}"] = Attack("checkpoint", data, "start over with --fresh")
    made["torch weights that are good"] = Attack("torch weights", packed(good))
    made["torch weights that are good and old"] = Attack("torch weights", _old(good))
    return made
