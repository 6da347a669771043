"""Makes the tables of docs/training.md anew, each by the commands that stand above it.

    python benchmarks/table.py [--list] [--only NAME ...] [--check] [--document docs/training.md]
        [--work data/tables] [--source cifar10-images.tar.xz] [WORD=VALUE ...]

A table stands between `<!-- table NAME: COMMAND -->` and `<!-- end -->`. The command runs in the
folder --work, and the last table that it prints replaces the old one; the tables of several
commands, parted by &&, are joined by their first column. A word in capitals, such as RUN, stands
for what the call names, a path from --work on (RUN=runs/some); without it, the table is left out.

What was printed is kept in --work: interrupted, the same call goes on, and a command that ended is
not repeated. To measure anew, name another folder. --check shows what would change, and ends with
1 if anything would. --source is handed to benchmarks/losses.py.
"""

import argparse
import difflib
import hashlib
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bitcodes.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"(<!-- table ([\w-]+): (.+?) -->\n)(.*?)(<!-- end -->)", re.S)
PLACEHOLDER = re.compile(r"(?<![\w-])[A-Z][A-Z]+(?![\w-])")


class LeftOut(Exception):
    """A table cannot be made; the message is the reason."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("words", nargs="*", metavar="WORD=VALUE")
    parser.add_argument("--list", action="store_true", help="list the tables and their commands")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "training.md")
    parser.add_argument("--work", type=Path, default=Path("data/tables"))
    parser.add_argument("--source", type=Path, help="CIFAR-10 as prepare --source takes it")
    options = parser.parse_args()
    words = dict(word.split("=", 1) for word in options.words)
    if options.source is not None:
        words["--source"] = str(options.source.absolute())

    commands = {match[2]: match[3] for match in TABLE.finditer(read(options.document))}
    if options.list:
        print("\n".join(f"{name}: {command}" for name, command in commands.items()))
        return
    if unknown := set(options.only or ()) - set(commands):
        parser.error(f"--only: expected {', '.join(commands)}; found {', '.join(sorted(unknown))}")
    options.work.mkdir(parents=True, exist_ok=True)
    before = text = read(options.document)
    for name in options.only or commands:
        try:
            table = made(commands[name], options.work, words)
        except LeftOut as reason:
            print(f"{name}: left out: {reason}", file=sys.stderr)
            continue
        text = replaced(text, name, table)
        if not options.check:  # what others have changed meanwhile stays
            with atomic_write(options.document) as file:
                file.write(replaced(read(options.document), name, table).encode())
    if options.check and text != before:
        lines = difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=0)
        print("\n".join(lines))
        raise SystemExit(1)


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def replaced(text: str, name: str, table: list[list[str]]) -> str:
    """The document with a new table of that name."""
    lines = "".join(f"| {' | '.join(row)} |\n" for row in table)
    return TABLE.sub(lambda m: m[1] + lines + m[5] if m[2] == name else m[0], text)


def made(command: str, work: Path, words: Mapping[str, str]) -> list[list[str]]:
    """The rows of a table, of one command or of several beside each other."""
    first, *others = [rows(printed(part, work, words)) for part in command.split(" && ")]
    for table in others:
        more = {row[0]: row[1:] for row in table}
        empty = [""] * (len(table[0]) - 1)
        first = [[*row, *more.get(row[0], empty)] for row in first]
    return first


def printed(command: str, work: Path, words: Mapping[str, str]) -> str:
    """What a command prints, or has printed; raises LeftOut if it fails."""
    if missing := [word for word in PLACEHOLDER.findall(command) if word not in words]:
        raise LeftOut(f"name {' and '.join(f'{word}=...' for word in missing)}")
    program, *rest = shlex.split(PLACEHOLDER.sub(lambda word: shlex.quote(words[word[0]]), command))
    kept = work / f"{hashlib.sha256(shlex.join([program, *rest]).encode()).hexdigest()[:16]}.txt"
    if kept.exists():
        return read(kept)
    run = [sys.executable if program == "python" else program]
    run += [str(ROOT / word) if word.startswith("benchmarks/") else word for word in rest]
    if "benchmarks/losses.py" in rest:
        run += ["--out", str(kept.with_suffix(".md").absolute())]
        run += ["--source", words["--source"]] if "--source" in words else []
    print(f"$ {shlex.join(run)}", file=sys.stderr)
    done = subprocess.run(run, cwd=work, stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        raise LeftOut(f"{shlex.join(run)} ended with {done.returncode}")
    with atomic_write(kept) as file:
        file.write(done.stdout.encode())
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """The cells of the last table in a text, line by line; raises LeftOut if there is none."""
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)
    if not tables:
        raise LeftOut("its command printed no table")
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in tables[-1].splitlines()]


if __name__ == "__main__":
    main()
