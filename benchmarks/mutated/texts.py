"""Changes to JSON documents and to lines of text, as bytes."""

import json
from random import Random
from typing import Any

CONTROLS = "a\x1b[31mb\x07c\x9b2Jd\u202ee\u2028f\u2066g"

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**40, 0.5, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf"), [], {}, [[]], [None], {"a": 1}, ["a", 1]),
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        CONTROLS,
        "a" * 300,
        "a/" * 3000,
        "..",
        "../../..",
        "/",
        "//",
        ".",
    ),
    *("\ud800", "\\", "\\x", "\\xff", "\\xzz", "\\n", "a\nb\r\nc", "\ufeff", "e\u0301", "%s %d {}"),
    *("s3://bucket/key", "https://", "://", "https://h/a.tar?x=1", "file:///etc/passwd"),
    *("C:\\photos", "\\\\server\\share", "built-in-32", "built-in-99", "built-in", "./built-in-32"),
    *("full", "reduced", "onnx", "torch", "float32", "bfloat16", "msb", "lsb", "-", "--help", "~"),
    *("[bold]x[/bold]", "<script>alert(1)</script>", "part 1/2", "shards-{0..99999999}.tar"),
    "0" * 64,
)


def changed_json(data: bytes, random: Random) -> tuple[bytes, str]:
    """A JSON document in which something is not as it was, and what."""
    value = json.loads(data)
    kind = random.randrange(10)
    if kind == 0:
        return _changed_text(data, random)
    place = _choose(value, random)
    if place is None:
        return b"[]", "an empty list"
    holder, key = place
    if kind == 1:
        del holder[key]
        what = f"without {key!r}"
    elif kind == 2 and isinstance(holder, dict):
        holder[random.choice(["more", CONTROLS, "", f"{key} "])] = holder[key]
        what = f"{key!r} under another name too"
    elif kind == 3 and isinstance(holder, dict):
        holder[str(key).upper()] = holder.pop(key)
        what = f"{key!r} renamed"
    elif kind == 4:
        old = holder[key]
        holder[key] = [old] if random.random() < 0.5 else {"value": old}
        what = f"{key!r} in a list or a mapping"
    elif kind == 5 and isinstance(holder[key], int):
        holder[key] += random.choice([1, -1, 2**32, -(2**40)])
        what = f"{key!r} = {holder[key]}"
    elif kind == 6:
        holder[key] = str(holder[key])
        what = f"{key!r} as text"
    else:
        holder[key] = random.choice(VALUES)
        what = f"{key!r} = {holder[key]!r:.60}"
    return json.dumps(value).encode("utf-8", "surrogatepass"), what


def _choose(value: Any, random: Random) -> tuple[Any, Any] | None:
    """A mapping or list in the document, and a key of it."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        # Each holder counts alike, however many values it has.
        if keys:
            places.append((holder, keys))
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    if not places:
        return None
    holder, keys = random.choice(places[:1] * 2 + places)
    return holder, random.choice(keys)


def _changed_text(data: bytes, random: Random) -> tuple[bytes, str]:
    text = data.decode()
    first = text.index("{") + 1 if "{" in text else 0
    deep = random.choice([60, 100_000])
    changes = [
        (b"\xef\xbb\xbf" + data, "a byte order mark"),
        (text.encode("utf-16"), "UTF-16"),
        (data[: random.randrange(len(data))], "cut"),
        (b"", "empty"),
        (b"[" * deep, "deep"),
        (b'{"a":' * deep + b"1" + b"}" * deep, "deep mappings"),
        (b"\xff\xfe" + data, "no UTF-8"),
        (data + b"\0", "a zero behind"),
        (json.dumps(json.loads(data), indent=None, sort_keys=True).encode(), "another form"),
        ((text[:first] + '"format": 1, ' + text[first:]).encode(), "a field twice"),
        (b"9" * 5000, "a long number"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"NaN", "NaN"),
    ]
    return random.choice(changes)


LINES: tuple[bytes, ...] = (
    *(b"", b" ", b"\t", b".", b"..", b"/", b"/etc/hostname", b"../../etc/hostname", b"a/../b"),
    *(
        CONTROLS.encode().replace(b"\n", b""),
        b"\xff\xfe",
        b"\\",
        b"\\x",
        b"\\xff",
        b"\\q",
        b"a\\nb",
    ),
    *(b"a\0b.png", b"a" * 300, b"a/" * 3000 + b"b.png", "\u202egnp.exe".encode(), b"-rf", b"~"),
    *(b"x.tar/0.jpg", b"https://h/a.png", b"C:\\a.png", b"a\tb\tc", b"\xed\xa0\x80", b"a\r"),
    *(b"[bold]a[/bold]", b"%s", b"{0..99999999}.png", b"\\t", b"a//b.png", b"./a.png", b"a/"),
)


def changed_lines(data: bytes, random: Random) -> tuple[bytes, str]:
    """A file of lines with something changed, and what."""
    lines = data.split(b"\n")[:-1] or [b""]
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(14)
    if kind < 6:
        lines[one] = random.choice(LINES)
        what = f"line {one + 1}: {lines[one][:40]!r}"
    elif kind == 6:
        lines[one], lines[other] = lines[other], lines[one]
        what = "two lines swapped"
    elif kind == 7:
        lines[one] = lines[other]
        what = "a line doubled"
    elif kind == 8:
        del lines[one]
        what = "a line less"
    elif kind == 9:
        lines.insert(one, random.choice(LINES))
        what = "a line more"
    elif kind == 10:
        return b"\r\n".join(lines) + b"\r\n", "line ends of Windows"
    elif kind == 11:
        return b"\n".join(lines), "the last line does not end"
    elif kind == 12:
        lines = [lines[one]] * len(lines)
        what = "all lines the same"
    else:
        place = random.randrange(len(data) or 1)
        return data[:place] + random.randbytes(1) + data[place + 1 :], f"byte {place}"
    return b"\n".join(lines) + b"\n", what
