"""One collection against another: which images of a code set are in another set, too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.hamming.across import pairs_across
from bitcodes.hamming.plain import Pairs
from bitcodes.tasks.duplicates.finding import check_pixels, default_radius
from bitcodes.tasks.duplicates.groups import Image, image_dict
from bitcodes.tasks.opening import open_codes
from bitcodes.tasks.searching.queries import QuerySource, encode_queries, find_model, open_queries
from bitcodes.wording import counted


class Matches(NamedTuple):
    """An image of the code set, and what is like it in the other, the best first."""

    image: Image
    """Its distance is 0."""
    others: tuple[Image, ...]


@dataclass(frozen=True)
class Against:
    """Which images of a code set are in another collection, too."""

    codes: str
    """Name of the code set."""
    other: str
    """Name of the other collection."""
    bits: int
    count: int
    """Images in the code set."""
    other_count: int
    radius: int
    images: tuple[Matches, ...]
    """Those that are in the other, in the order of their rows."""
    verified: bool = False
    """Whether the pixels were compared."""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Against: {self.describe()}>"

    def describe(self) -> str:
        """The number of images, in one line."""
        within = "with equal codes" if self.radius == 0 else f"within distance {self.radius}"
        all_images = counted(self.count, "image")
        among = f"among the {counted(self.other_count, 'image')} of {self.other}"
        if not self.verified:
            return f"{len(self.images):,} of {all_images} are {among}, {within}"
        copies = sum(one.others[0].kind == "copy" for one in self.images)
        similar = len(self.images) - copies
        return (
            f"{copies:,} of {all_images} with a verified copy {among}, and {similar:,} with only a "
            f"similar one, {within}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        images = [
            {**_plain(one.image), "matches": [_plain(image, True) for image in one.others]}
            for one in self.images
        ]
        names = {"codes": escape(self.codes), "other": escape(self.other)}
        return {**vars(self), **names, "images": images, "notes": [*self.notes]}


def _plain(image: Image, is_match: bool = False) -> dict[str, Any]:
    left_out = {"distances"}
    if not is_match:
        left_out |= {"distance", "kind", "score", "changes"}
    return {name: value for name, value in image_dict(image).items() if name not in left_out}


def find_in_other(
    code_set: CodeSet | Path | str,
    other: QuerySource,
    radius: int | None = None,
    *,
    verify: bool = False,
    turned: bool = False,
    threads: int | None = None,
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
    note: Note | None = None,
    stdin: IO[bytes] | None = None,
) -> Against:
    """Find the images of `code_set` that are in `other`, too: a code set, folders, lists, images.

    Two images match if their codes are within `radius`; by default that of find_duplicates. Images
    of `other` without a code set are encoded with the model of `code_set`. `verify` compares pixels
    and keeps copies and similar images alone, copies first; `turned` is that of find_duplicates. A
    file that is in both is no match of itself. Raises CodeSetError if the codes are of two models
    and not `force`.
    """
    code_set = open_codes(code_set)
    source = open_queries(other, stdin)
    notes: list[str] = []
    if isinstance(source, CodeSet):
        code_set.check_same_model(source.name, source.bits, source.fingerprint, force)
        others, name = source, source.name
    else:
        queries = encode_queries(
            source,
            find_model(code_set, None, "auto", force, note),
            "reduced" if code_set.header.decode == "reduced" else "full",
            features=False,
            batch_size=64,
            workers=workers,
            progress=progress,
        )
        others, name = queries.codes, _name(other)
        notes += [f"{path} left out: {reason}" for path, reason in queries.skipped]
    if verify:
        check_pixels(code_set)
        check_pixels(others)
    radius = default_radius(code_set.bits, verify) if radius is None else radius
    pairs = pairs_across(code_set.codes, others.codes, code_set.bits, radius, threads, progress)
    if turned:
        pairs = _with_turned(pairs, code_set, others, radius, threads, progress, note)
    found = list(_matches(code_set, others, pairs))
    if verify:
        found, notes_of_pixels = _verified(found, threads, progress)
        notes += notes_of_pixels
    return Against(
        codes=code_set.name,
        other=name,
        bits=code_set.bits,
        count=code_set.count,
        other_count=others.count,
        radius=radius,
        images=tuple(found),
        verified=verify,
        notes=tuple(notes),
    )


def _name(other: QuerySource) -> str:
    """What to call images that are in no code set."""
    names = [other] if isinstance(other, str | Path) else other
    one = names[0] if isinstance(names, list | tuple) and len(names) == 1 else None
    return "the other collection" if one is None else str(one)


def _with_turned(
    pairs: Pairs,
    code_set: CodeSet,
    others: CodeSet,
    radius: int,
    threads: int | None,
    progress: Progress | None,
    note: Note | None,
) -> Pairs:
    """The pairs, and those of the images of the smaller set turned or in gray; each once."""
    from bitcodes.tasks.duplicates.turned import pairs_of_turned  # which loads Pillow

    swapped = others.count < code_set.count and others.fingerprint is not None
    smaller, larger = (others, code_set) if swapped else (code_set, others)
    blocks = [pairs]
    for one, other, distances in pairs_of_turned(smaller, larger, radius, threads, progress, note):
        blocks.append(Pairs(other, one, distances) if swapped else Pairs(one, other, distances))
    first, second, distances = map(np.concatenate, zip(*blocks, strict=True))
    order = np.lexsort((distances, second, first))
    first, second, distances = first[order], second[order], distances[order]
    new = np.append(True, (np.diff(first) != 0) | (np.diff(second) != 0))[: len(first)]
    first, second, distances = first[new], second[new], distances[new]
    order = np.lexsort((second, distances, first))
    return Pairs(first[order], second[order], distances[order])


def _matches(code_set: CodeSet, others: CodeSet, pairs: Pairs) -> Iterator[Matches]:
    """The matches of each image, nearest first; without those of a file with itself."""
    rows, starts = np.unique(pairs.first, return_index=True)
    ends = np.append(starts[1:], len(pairs.first))
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        image = Image(row, code_set.paths[row], code_set.file(row), 0)
        near = zip(
            pairs.second[start:end].tolist(), pairs.distances[start:end].tolist(), strict=True
        )
        found = [Image(n, others.paths[n], others.file(n), distance) for n, distance in near]
        found = [one for one in found if one.file is None or one.file != image.file]
        if found:
            yield Matches(image, tuple(found))


def _verified(
    found: Sequence[Matches], threads: int | None, progress: Progress | None
) -> tuple[list[Matches], list[str]]:
    """The matches whose pixels are copies or similar, copies first, by score; and notes."""
    from bitcodes.tasks.duplicates.second_look import Pictures  # which loads Pillow

    files = dict.fromkeys(
        image.file for one in found for image in (one.image, *one.others) if image.file is not None
    )
    pictures = Pictures(files, threads, progress)
    kept, different = [], 0
    for one in found:
        seen = [image for image in one.others if image.file not in pictures.unreadable]
        if one.image.file in pictures.unreadable or one.image.file is None:
            continue
        likes = pictures.likenesses(one.image.file, [image.file for image in seen if image.file])
        verified = [
            replace(image, kind=like.kind, score=round(like.score, 3), changes=like.changes)
            for image, like in zip(seen, likes, strict=True)
        ]
        alike = [image for image in verified if image.kind is not None]
        different += len(verified) - len(alike)
        alike.sort(key=lambda image: (image.kind != "copy", -(image.score or 0.0), image.distance))
        if alike:
            kept.append(Matches(one.image, tuple(alike)))
    notes = pictures.notes()
    if different:
        notes.append(f"{counted(different, 'pair')} of different pictures left out")
    return kept, notes
