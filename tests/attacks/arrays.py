"""Files of one array (.npy) whose header lies, is too much, or names what is never read.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import struct

from attacks.attack import Attack, Attacks

MAGIC = b"\x93NUMPY"
OVERSIZED = {
    "negative": "(-1, 1)",
    "2**63 rows": f"({2**63}, 1)",
    "2**64 rows": f"({2**64}, 1)",
    "sizes whose product is small again": f"({2**32}, {2**32})",
    "no rows of 2**62 bytes": f"(0, {2**62})",
    "2**62 rows of none": f"({2**62}, 0)",
    "a terabyte": f"({10**12}, 1)",
    "4 GB": f"({2**32}, 1)",
    "a number of 5,000 digits": f"({'9' * 5000}, 1)",
}
SHAPES = {
    **OVERSIZED,
    "65 dimensions": "(" + "1, " * 65 + ")",
    "2,000 dimensions": "(" + "1, " * 2000 + ")",
    "no dimension": "()",
    "one dimension": "(8,)",
    "four dimensions": "(1, 2, 2, 2)",
    "a truth for a size": "(True, 8)",
    "a fraction for a size": "(1.0, 8)",
    "text for a size": "('8', 1)",
    "a list for a shape": "[8, 1]",
    "nothing for a shape": "None",
    "a shape that is a name": "shape",
    "a shape that is a call": "__import__('os').mkdir('it_ran')",
    "a deep shape": "(" * 900 + ")" * 900,
}
DTYPES = {
    "objects": "'|O'",
    "many objects": "[('a', '|O'), ('b', '|u1')]",
    "text of no size": "'<U0'",
    "bytes of no size": "'|S0'",
    "nothing of no size": "'|V0'",
    "items of 2 GB": "'|V2147483647'",
    "a record": "[('a', '<f4'), ('b', '<i4')]",
    "a record in a record": "[('a', [('b', [('c', '|u1', (2, 2))])])]",
    "an array in an array": "('|u1', (1000000, 1000000))",
    "times": "'<M8[ns]'",
    "complex numbers": "'<c16'",
    "numbers of the other order": "'>i4'",
    "a dtype that is unknown": "'<z9'",
    "a dtype that is a number": "7",
    "a dtype that is nothing": "None",
    "a dtype that is a list": "[1, 2]",
    "a dtype of 10,000 fields": str([(f"f{number}", "|u1") for number in range(600)]),
}


def npy(
    header: str, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None
) -> bytes:
    """A .npy file with this header, or one that says that its header is so long."""
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return MAGIC + bytes(version) + size + text + data


def header(descr: str = "'|u1'", shape: str = "(8, 1)", fortran: str = "False") -> str:
    """The header of an array; all three as they are written in Python."""
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def files() -> dict[str, bytes]:
    """Each of them, by a name; none is a code set of any kind."""
    data = bytes(range(8))
    contents = {name: npy(header(shape=shape), data) for name, shape in SHAPES.items()}
    contents |= {name: npy(header(descr=descr), data * 9) for name, descr in DTYPES.items()}
    plain = header()
    return {
        **contents,
        "nothing": b"",
        "the magic alone": MAGIC,
        "no header": MAGIC + b"\1\0",
        "another version": npy(plain, data, version=(9, 9)),
        "a header of 4 GB": npy(plain, data, version=(2, 0), length=2**32 - 1),
        "a header longer than the file": npy(plain, data, length=65_535),
        "a header that is cut": npy(plain, data)[:40],
        "a header with a zero": npy(plain.replace("False", "Fal\0se"), data),
        "a header with more after it": npy(plain + "; 1", data),
        "a header without a shape": npy("{'descr': '|u1', 'fortran_order': False}", data),
        "a header with one key more": npy(plain.replace("}", "'x': 1}"), data),
        "a header that is a list": npy("[1, 2]", data),
        "a header of brackets": npy("[" * 5000, data),
        "a header of signs": npy("-" * 3000 + "1", data),
        "Fortran order that is 2": npy(header(fortran="2"), data),
        "Fortran order": npy(header(shape="(4, 2)", fortran="True"), data),
        "one byte too few": npy(plain, data[:-1]),
        "one byte too many": npy(plain, data + b"\0"),
        "no data": npy(plain),
    }


def attacks() -> Attacks:
    """All of them as bare code sets, of which none is one."""
    said = r"expected|found|is damaged|no such|fits"
    made = {name: Attack("codes", data, said) for name, data in files().items()}
    made["no rows of one byte"] = Attack("codes", npy(header(shape="(0, 1)")))
    return made
