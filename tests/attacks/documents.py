"""Small files of text: JSON and YAML that are deep, huge, endless, cyclic, or no text at all."""

import json
import os
from pathlib import Path

from attacks.attack import Attack, Attacks
from attacks.mutate import nested
from hostile import bind

YAML_BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)
_REFUSED = r"is not valid|expected|cannot be read|unknown setting|no such|is damaged"

YAML = {
    "aliases": YAML_BOMB,
    "aliases in a mapping": "a: &a {x: 1}\nb: {<<: *a}\n",
    "a circle": "a: &a [*a]\n",
    "a circle of mappings": "&a {b: *a}\n",
    "deep lists": "[" * 10_000,
    "deep lists that end": "[" * 2000 + "]" * 2000,
    "deep mappings": "".join(" " * n + "a:\n" for n in range(1500)),
    "deep signs": "- " * 3000 + "x",
    "deep flow mappings": "{a: " * 3000,
    "a tag that calls": "a: !!python/object/apply:os.mkdir ['it_ran']\n",
    "a tag that makes": "!!python/object/new:os.system [mkdir it_ran]\n",
    "a tag of a module": "a: !!python/module:os\n",
    "a tag of its own": "a: !evil [1]\n",
    "binary": "a: !!binary " + "A" * 100_000 + "\n",
    "a set of lists": "? [1]\n: 2\n",
    "a key that is a mapping": "{{a: 1}: 2}\n",
    "two documents": "--- a: 1\n--- b: 2\n",
    "a document that never ends": "---\n" * 5000,
    "a directive": "%YAML 9.9\n--- a\n",
    "a long key": "x" * 2000 + ": 1\n",
    "a long number": "bits: " + "9" * 100_000 + "\n",
    "a number with a long exponent": "bits: 1e" + "9" * 5000 + "\n",
    "base 60": "bits: 190:20:30\n",
    "times": "data: 2001-12-14t21:59:43.10-05:00\n",
    "a time that is none": "data: 9999-99-99\n",
    "a year of no time": "data: 0000-01-01\n",
    "tabs": "a:\t- b\n\t- c\n",
    "control characters": "a: \x1b[31m\n",
    "zero": "a: \0\n",
    "text": "just text\n",
    "a number": "17\n",
    "a list": "- a\n- b\n",
    "repeated keys": "bits: 8\nbits: 16\n",
    "quotes": "'" * 100_001,
    "escapes": '"' + "\\U0010FFFF" * 1000 + '\\uD800"\n',
    "a block of no end": "a: |\n" + " x\n" * 10_000,
    "an anchor of nothing": "a: &\n",
    "an alias of nothing": "a: *b\n",
}
JSON = {
    "deep lists": "[" * 100_000,
    "deep lists that end": "[" * 60 + "]" * 60,
    "deep objects": '{"a":' * 2000,
    "just deep enough to be read": json.dumps(nested(48)),
    "an object that is cut": "{",
    "a word": "nul",
    "a number": "1",
    "two numbers": "1 2",
    "nothing": "",
    "text of zeros": "\0" * 100,
    "a number of 5,000 digits": "9" * 5000,
    "a number of 4,000 digits": '{"bits": ' + "9" * 4000 + "}",
    "an infinite number": '{"bits": 1e999, "counts": Infinity, "epochs": -Infinity}',
    "no number": '{"bits": NaN, "class_names": NaN}',
    "a lone surrogate": '{"class_names": ["\\ud800", "\\udfff"]}',
    "zeros in names": '{"class_names": ["a\\u0000b"], "data": "a\\u0000b"}',
    "names of 10,000 characters": json.dumps({"x" * 10_000: "y" * 10_000}),
    "a key that is there twice": '{"bits": 1, "bits": 2}',
    "200,000 lists": "[" + "[]," * 200_000 + "0]",
    "spaces": " " * 1_000_000,
    "a byte order mark": '\ufeff{"class_names": []}',
    "control characters in names": json.dumps({"\x1b[2J\x9b\u202e": "\x07", "class_names": ["\n"]}),
    "class names that are numbers": '{"class_names": [1, 2]}',
    "class names that are text": '{"class_names": "abc"}',
    "counts that are lists": '{"class_names": ["a"], "counts": {"train": [[]], "test": {}}}',
    "a list": "[]",
}
BYTES = {
    "UTF-16": '{"bits": 8}'.encode("utf-16"),
    "half a character": b'{"a": "\xc3',
    "an overlong slash": b'{"a": "\xc0\xaf"}',
    "latin-1": b'{"a": "\xe9"}',
    "an ELF program": b"\x7fELF\x02\x01\x01" + bytes(57),
    "17 MB": b" " * (17 << 20),
}


def attacks() -> Attacks:
    """All of them."""
    made = {f"yaml {name}": Attack("yaml", text.encode(), "") for name, text in YAML.items()}
    made |= {f"json {name}": Attack("json", text.encode(), "") for name, text in JSON.items()}
    made |= {f"document {name}": Attack("json", data, _REFUSED) for name, data in BYTES.items()}
    for name in ("aliases", "a circle", "deep lists", "deep signs", "a tag that calls"):
        made[f"yaml {name}"] = made[f"yaml {name}"]._replace(said=r"is not valid|expected at most")
    for name in ("deep lists", "deep objects", "nothing", "a number of 5,000 digits"):
        made[f"json {name}"] = made[f"json {name}"]._replace(said=r"is not valid|expected at most")
    if os.name == "posix":
        made |= special_files()
    return made


def special_files() -> Attacks:
    """What only a file system can hold. None of them may be waited for, or read without an end."""
    links = {
        "a link to a device": "/dev/zero",
        "a link to the terminal": "/dev/tty",
        "a link to itself": "to itself",
    }
    made = {name: Attack("json", _Link(target), "") for name, target in links.items()}
    made["a named pipe"] = Attack("json", os.mkfifo, "a named pipe")
    made["a socket"] = Attack("json", bind, "a socket")
    made["a folder"] = Attack("json", Path.mkdir, "a folder")
    return made


class _Link:
    """Makes a link; to itself where the target is that."""

    def __init__(self, target: str) -> None:
        self._target = target

    def __call__(self, file: Path) -> None:
        file.symlink_to(file.name if self._target == "to itself" else self._target)
