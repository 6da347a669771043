"""Which code set a command means if none is named: codes.npy, found as git finds its folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from bitcodes.cli.console import note
from bitcodes.codes.layout import Layout
from bitcodes.databases.urls import is_store_url
from bitcodes.wording import command, quoted

CODES = Path("codes.npy")


def find_codes(name: Path | None) -> Path:
    """The code set `name`; if it is None, the nearest codes.npy, and a note if that is not here.

    Without any, it is codes.npy in the working folder, so that the error says so.
    """
    if name is not None:
        return name
    nearest = _nearest()
    if nearest != CODES:
        note(f"code set: {nearest}")
    return nearest


def find_database(name: str | None) -> Path | str:
    """The same for commands that take the URL of a database, too, and then give it back."""
    if name is not None and is_store_url(name):
        return name
    return find_codes(None if name is None else Path(name))


def note_set_above(images: Sequence[str], out: Path) -> None:
    """Say so if there is no set `out` here, but one in a folder above, which is not changed."""
    nearest = _nearest()
    if nearest.name == out.name and nearest != out:
        add = command("encode", *images[:1], *["..."] * (len(images) > 1), "--append")
        note(
            f"note: this makes a new code set, {out}; to add to {nearest} instead: "
            f"{add} -o {quoted(nearest)}"
        )


def codes_option(codes: Path | str) -> tuple[object, ...]:
    """`--codes FILE` for the next command, or nothing if it finds the set by itself."""
    if not is_store_url(codes) and _is_same(Path(codes), _nearest()):
        return ()
    return "--codes", codes


def codes_argument(codes: Path | str) -> tuple[object, ...]:
    """FILE for the next command, or nothing if it finds the set by itself."""
    return codes_option(codes)[1:]


def _nearest() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if "codes" in Layout(folder / CODES).resolve():
            return Path(os.path.relpath(folder / CODES))
    return CODES


def _is_same(one: Path, other: Path) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100 - keeps links
