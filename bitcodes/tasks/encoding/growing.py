"""How a code set follows what it was made from: what to encode into it, and which rows may go."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import finish_commit
from bitcodes.errors import CodeSetError, DataError
from bitcodes.sources.paths import is_there, name_from_here, quote_path
from bitcodes.sources.source import Source
from bitcodes.tasks.encoding.origin import (
    STDIN,
    Origin,
    is_no_path,
    origins_after,
    origins_in_words,
    origins_to_repeat,
    read_origins,
)
from bitcodes.tasks.encoding.owners import Owners
from bitcodes.tasks.encoding.update import Update
from bitcodes.wording import command, counted


@dataclass(frozen=True)
class Step:
    """One call of `encode`: its source, and what becomes of rows that this does not have."""

    source: Source
    append: bool = False
    drops: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class Work:
    """All steps of one command, and what the set is made from afterwards; empty if not known."""

    steps: tuple[Step, ...]
    origins: tuple[Origin, ...]


def plan(out: Path, origin: Origin, source: Source, *, append: bool, force: bool) -> Work:
    """What to do if images are named: `origin`, opened as `source`.

    If they are a part of what the set `out` was made from, the rest of it stays. Raises
    CodeSetError if the set has other images, which `force` drops.
    """
    source = source if origin.part is None else source.part(*origin.part)
    if append:
        return Work((Step(source, append=True),), origins_after(out, origin, append, force))
    alone = Work((Step(source),), (origin,))
    finish_commit(out)
    if force or not os.path.lexists(out):
        return alone
    existing = CodeSet.open(out, verify=False)
    before = read_origins(existing, out)
    named = origin.covers(before)
    if named and len(before) > 1:
        drops = Owners(before).only(named)
        return Work((Step(source, append=True, drops=drops),), origin.among(before, named))
    if not named or STDIN in origin.images:
        _check_left(existing, out, origin, source, before)
    return alone


def plan_again(existing: CodeSet, out: Path, *, force: bool) -> Work:
    """What to do if no images are named: all that the set was made from is encoded again.

    Raises CodeSetError if that is not known, DataError if some of it is not there; with `force`
    that is left out, and its images are dropped.
    """
    before = origins_to_repeat(existing, out)
    kept = dict(enumerate(before))
    if force:
        there = {number: _of_what_is_there(origin) for number, origin in kept.items()}
        kept = {number: origin for number, origin in there.items() if origin.images} or kept
    sources = {number: _open(origin, out, len(before)) for number, origin in kept.items()}
    if len(before) == 1:
        return Work((Step(sources[0]),), tuple(kept.values()))
    owners = Owners(before)
    lost = set(range(len(before))) - kept.keys()
    steps = (
        Step(source, append=True, drops=owners.only({number, *lost}))
        for number, source in sources.items()
    )
    return Work(tuple(steps), tuple(kept.values()))


def _of_what_is_there(origin: Origin) -> Origin:
    """An origin without the folders, lists and archives that are not there."""
    names = (name for name in origin.images if is_no_path(name) or os.path.lexists(name))
    return replace(origin, images=tuple(names))


def _open(origin: Origin, out: Path, count: int) -> Source:
    """The images of one of the `count` origins of a set; DataError if some of it is not there."""
    try:
        return origin.open()
    except DataError:
        there = _of_what_is_there(origin).images
        gone = next((name for name in origin.images if name not in there), None)
        if gone is None:
            raise
        again = command("encode", "IMAGES", *(["--append"] if count > 1 else []), "-o", out)
        without = command("encode", "--force", "-o", out)
        only = "" if count == 1 and not there else f". To take out what is not there: {without}"
        raise DataError(
            f"{out} was made from {origins_in_words([origin])}, and "
            f"{quote_path(name_from_here(gone))} is not there: was it renamed or moved? Name the "
            f"images where they are now: {again}{only}"
        ) from None


def _check_left(
    existing: CodeSet, out: Path, origin: Origin, source: Source, before: tuple[Origin, ...]
) -> None:
    """Raise CodeSetError if images would be dropped that are there and not among those named."""
    if existing.root_name != source.root:  # which encode refuses
        return
    is_same_part = (existing.header.source or "").endswith(source.digest[64:])
    if is_same_part and origin.includes(before) and STDIN not in origin.images:
        return
    left = Update(source, existing, append=False).paths_left()
    if not before and is_same_part:
        owners = Owners((origin,))
        left = [path for path in left if not owners.of(path)]
    left = list(filter(is_there, left))
    if left:
        made = f"was made from {origins_in_words(before)}" if before else "exists already"
        count = f"{len(left):,} of its {counted(existing.count, 'image')}"
        raise CodeSetError(
            f"{out} {made}, and {count} {'is' if len(left) == 1 else 'are'} not among these, for "
            f"example {quote_path(left[0])}. To keep them and add these, use --append; to drop "
            "them, --force; or write to another file with -o"
        )
