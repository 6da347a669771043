"""Pickles that call functions, share what they hold, name huge memories, or end in the middle."""

import struct

from attacks.attack import Attack, Attacks
from predecessor import with_header

MARK = "it_ran"
"""The folder or file that a hostile file would make in the working folder."""


def tuples(depth: int) -> bytes:
    """A tuple of the same tuple twice, of the same tuple twice, and so on: 20 bytes for millions.

    Comparing, hashing or printing it takes 2**depth steps.
    """
    return b")" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(depth))


def lists(depth: int) -> bytes:
    """The same of lists."""
    return b"]" + b"".join(
        b"q" + bytes([n]) + b"0](h" + bytes([n]) + b"h" + bytes([n]) + b"e" for n in range(depth)
    )


def hidden(payload: bytes) -> bytes:
    """A pickle of a proper array of a dict, one value of which is `payload`'s."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01)cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x3ftb\x89]}U\x01a" + payload + b"satb."
    )


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
F4 = (
    b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def array(state: bytes) -> bytes:
    return RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state + b"b"


HOSTILE: dict[str, bytes] = {
    "a system call": hidden(b"cos\nmkdir\nU\x06it_ran\x85R"),
    "by the other opcode": hidden(b"(U\x06it_ranios\nmkdir\n"),
    "by a third": hidden(b"(cos\nmkdir\nU\x06it_rano"),
    "by a class": hidden(b"cpathlib\nPosixPath\nU\x06it_ran\x85\x81"),
    "by a name on the stack": hidden(b"\x8c\x02os\x8c\x05mkdir\x93\x8c\x06it_ran\x85R"),
    "eval": hidden(b"cbuiltins\neval\nU\x011\x85R"),
    "getattr of numpy": hidden(b"cbuiltins\ngetattr\ncnumpy\nndarray\nU\x05dumps\x86R"),
    "a dotted name": hidden(b"\x8c\x05numpy\x8c\x0fndarray.__new__\x93"),
    "another of numpy's": hidden(b"cnumpy\nload\nU\x06it_ran\x85R"),
    "numpy's own eval": hidden(b"cnumpy.f2py.capi_maps\ngetinit\n"),
    "subclass of array": hidden(b"cnumpy\nmemmap\nU\x06it_ran\x85R"),
    "a call of the class": hidden(b"cnumpy\nndarray\n(K\x02K\x02t\x85R"),
    "a new one of the class": hidden(b"cnumpy\nndarray\nK\x02\x85\x81"),
    "a change of the class": hidden(b"cnumpy\nndarray\n}U\x01xK\x01sb"),
    "a change of the constructor": hidden(RECONSTRUCT + b"N}U\x0c__defaults__)s\x86b"),
    "a persistent reference": hidden(b"Pit\n"),
    "another persistent reference": hidden(b"U\x02itQ"),
    "an extension": hidden(b"\x82\x01"),
    "an object array": hidden(
        array(b"(K\x01K\x01\x85" + F4.replace(b"f4", b"O8") + b"\x89](K\x01etb")[:-1]
    ),
    "text for bytes": hidden(array(b"(K\x01K\x01\x85" + F4 + b"\x89X\x04\x00\x00\x00abcdt")),
    "more claimed than there is": hidden(
        array(b"(K\x01\x8a\x08" + struct.pack("<q", 2**62) + b"\x85" + F4 + b"\x89U\x04abcdt")
    ),
    "less than nothing": hidden(array(b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89U\x00t")),
    "a dtype made of fields": hidden(
        array(b"(K\x01K\x01\x85" + F4.replace(b"f4", b"V4") + b"\x89U\x04abcdt")
    ),
    "an array within its own state": hidden(array(b"2\x85")),
    "a huge memory": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a dict without an array": b"\x80\x02}.",
    "nothing": b"",
    "no end": b"\x80\x02}",
    "a set": hidden(b"\x8f"),
    "a list too deep": hidden(b"]]]]aaa"),
    "endless depth": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a long number": hidden(b"L" + b"9" * 10_000 + b"L\n"),
    "code in the encoding": hidden(
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R"
    ),
}

SHARED: dict[str, bytes] = {
    "a key of tuples": hidden(b"}" + tuples(60) + b"Ns"),
    "keys of tuples at once": hidden(b"}(" + tuples(60) + b"Nu"),
    "a set of tuples": hidden(b"\x8f(" + tuples(60) + b"\x90"),
    "a frozen set of tuples": hidden(b"(" + tuples(60) + b"\x91"),
    "a name of tuples": hidden(b"(" + tuples(60) + tuples(60) + b"\x93"),
    "shared lists": hidden(lists(60)),
    "shared tuples": hidden(tuples(60)),
    "a shape of tuples": hidden(array(b"(K\x01" + tuples(60) + F4 + b"\x89U\x04abcdt")),
    "a dtype of tuples": hidden(b"cnumpy\ndtype\n" + tuples(60) + b"K\x00K\x01\x87R"),
    "an encoding of tuples": hidden(b"c_codecs\nencode\n" + tuples(60) + tuples(60) + b"\x86R"),
    "a list within itself": hidden(b"]q\x00h\x00a"),
    "a dict within itself": hidden(b"}q\x00U\x01ah\x00s"),
    "a text of 4 GB": hidden(b"X\xff\xff\xff\xffabc"),
    "bytes of 2**63": hidden(b"\x8e" + struct.pack("<Q", 2**63) + b"abc"),
    "a frame of 2**62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
    "a number of 2 GB": hidden(b"\x8b\xff\xff\xff\x7fabc"),
    "100,000 marks": hidden(b"(" * 100_000),
    "a stack without an end": b"\x80\x02" + b"N" * 1_000_000,
    "a memory of a million": b"\x80\x02"
    + b"".join(b"Nr" + struct.pack("<I", n) for n in range(200_000))
    + b".",
    "out-of-band bytes": hidden(b"\x97"),
    "a pop of nothing": b"\x80\x0200.",
    "an unknown opcode": hidden(b"\xfe"),
    "protocol 200": b"\x80\xc8}.",
}
"""What costs time or memory rather than calling anything."""


def attacks() -> Attacks:
    """All of them as weights of AlexNet in a .npy file."""
    said = "is refused|is damaged"
    return {
        f"weights with {name}": Attack("weights", with_header(data), said)
        for name, data in {**HOSTILE, **SHARED}.items()
    }
