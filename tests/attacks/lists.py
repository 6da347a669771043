"""List files that are no lists, and names given to commands that stand for too much."""

from attacks.attack import Attack, Attacks
from attacks.mutate import TEXTS

_FAR = 100_000


def attacks() -> Attacks:
    """List files of one image, a.png, which is there, and of what is not."""
    contents: dict[str, bytes] = {
        "nothing": b"",
        "empty lines": b"\n" * 200_000,
        "comments": b"# x\n" * 50_000,
        "zeros": bytes(10_000),
        "a line of a million letters": b"x" * 1_000_000,
        "a name of a million letters": b"x" * 1_000_000 + b".png 1 0\n",
        "a million labels": b"a.png" + b" 1" * 1_000_000 + b"\n",
        "a class of 9 digits": b"a.png 999999999\n",
        "a class of 5,000 digits": b"a.png " + b"9" * 5000 + b"\n",
        "a negative class": b"a.png -1\n",
        "classes in other digits": "a.png ٣\n".encode(),
        "20,000 classes": b"".join(b"a.png %d\n" % n for n in range(99_999, 80_000, -1)),
        "quotes": b'"' * 100_001,
        "a quote and spaces": b'"a"' + b" " * _FAR + b"x",
        "quotes, commas and spaces": b'"a"' + b" , " * _FAR + b"x",
        "suffixes": b"a.png " * _FAR + b"x",
        "suffixes and commas": b"a.png," * _FAR + b"x",
        "suffixes and numbers": b"a.png" + b" , 1" * _FAR + b" x",
        "spaces before a comma": (b"a.png" + b" " * 1000) * 300 + b";",
        "digits": b"a.png 1" + b"1" * _FAR + b" 1\n",
        "carriage returns": b"a.png 1 0\r" * 1000,
        "UTF-16": "a.png 1 0\n".encode("utf-16"),
        "UTF-16 that is cut": "a.png 1 0\n".encode("utf-16")[:-1],
        "half a character": b"a.png\xc3 1 0\n",
        "a lone surrogate in UTF-8": b"\xed\xa0\x80.png 1 0\n",
        "other numbers of labels": b"a.png 1 0\na.png 1 0 1\na.png\n",
        "a path up": b"../../../../etc/passwd 1 0\n",
        "an absolute path": b"/etc/passwd\n",
        "a URL": b"http://127.0.0.1:9/a.png 1 0\n",
        "a list of itself": b"list.txt\n",
        "a folder": b".\n..\n/\n",
        "a device": b"/dev/zero\n/dev/stdin\n",
        "3,000 folders": b"d/" * 3000 + b"a.png\n",
        "an archive": b"PK\3\4" + bytes(200),
    }
    for number, text in enumerate(TEXTS):
        line = text.encode("utf-8", "surrogatepass")
        contents[f"text {number}"] = line + b".png 1 0\n"
        contents[f"text {number} as labels"] = b"a.png " + line + b"\n"
    return {f"list of {name}": Attack("list", data, "") for name, data in contents.items()}


ARGUMENTS = (
    "{0..9999999999999}.tar",
    "{0..30000000}.tar",
    "{000..999}{000..999}{000..999}.png",
    "a{1..9}" * 2000,
    "{1..999999999999999999}",
    "{9..1}.tar",
    "{0..9" * 5000,
    "x" * 300,
    "x" * 300 + ".tar",
    "d/" * 3000,
    "x" * 100_000 + ".zip",
    "a\0b.png",
    "\x1b[2J\x9b\u202e.png",
    "::/a.tar",
    "",
    " ",
    "~root/a.png",
    "-" * 100,
    "\udcff\udcfe.tar",
)
"""Names in place of images, lists and archives: each is one error."""
