"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bitcodes.arguments import check_whole
from bitcodes.callbacks import Progress
from bitcodes.choices import Linkage
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.duplicates import bounded, chains, code_pairs
from bitcodes.hamming.index import GroupedIndex
from bitcodes.hamming.linkage import collect, to_edges
from bitcodes.hamming.plain import Pairs
from bitcodes.hamming.stored import open_groups
from bitcodes.tasks.duplicates.decisions import Decisions, decisions_file
from bitcodes.tasks.duplicates.groups import MEASURED, Duplicates, Group, Image
from bitcodes.tasks.duplicates.keeping import Chooser, keep_rules, some
from bitcodes.tasks.opening import open_codes
from bitcodes.wording import counted

if TYPE_CHECKING:
    from bitcodes.tasks.duplicates.second_look import Member

RADIUS_SHARE = 8
"""The default radius is the number of bits divided by this, unless pixels decide."""


def default_radius(bits: int, verify: bool) -> int:
    """The radius if none is given: 5/16 of the bits if pixels decide, else 1/RADIUS_SHARE."""
    return bits * 5 // 16 if verify else bits // RADIUS_SHARE


def find_duplicates(
    code_set: CodeSet | Path | str = "codes.npy",
    radius: int | Literal["auto"] | None = None,
    keep: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    linkage: Linkage = "star",
    max_group: int | None = None,
    verify: bool = False,
    turned: bool = False,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`.

    "auto" estimates the radius from the pixels of some pairs of the set, and a note says how
    precise it is; see radius.py.

    `linkage` says of what: in a "star", every image is within the radius of the image to keep; in a
    "complete" group, of every other; in a "chain", of at least one other, so that its ends may be
    far apart. Stars begin at the image that is best to keep; the next best that is in none begins
    another, and an image within the radius of several belongs to the nearest. Groups of more than
    `max_group` images are left out, and a note says so.

    `code_set` is a code set or its file. `radius` is an eighth of the bits by default, rounded
    down: with the built-in model, that finds 95 to 100 % of copies that were resized, recompressed
    or mirrored (benchmarks/results/2026-11-28-builtin.md).

    `verify` compares the pixels of the images that the codes propose, within a larger radius, 5/16
    of the bits by default. A group is then an image with its copies (one picture, changed) and with
    similar images (another shot) that are copies of none; pairs that are neither are left out.
    `turned` encodes each image again, turned by quarters and in gray, so that the codes propose
    such copies, too.

    `keep` says which image of a group comes first, by one rule or several, as "folder:best,oldest":
    see `keep_rules`. "largest" does not count in a group with an image whose size is unknown, and
    `notes` says so. None is "largest", or "first" where the set does not say where its images are.

    Groups are of files: a file that two rows name counts once, and one that is gone not at all.
    Raises CodeSetError if the largest or the oldest, or `verify`, is requested of a set that does
    not say where its images are, ConfigError for no such rule and for a number out of range.
    """
    check_whole(0, radius=None if radius == "auto" else radius)
    check_whole(1, threads=threads, max_group=max_group)
    code_set = open_codes(code_set)
    keep = _rules(code_set, keep)
    if verify:
        check_pixels(code_set)
    index = open_groups(code_set, threads)
    first: list[str] = []
    if radius == "auto":
        from bitcodes.tasks.duplicates.radius import estimate_radius  # which loads Pillow

        default, widest = (default_radius(code_set.bits, wide) for wide in (False, True))
        estimate = estimate_radius(code_set, index, default, widest, progress)
        radius, first = estimate.radius, [estimate.describe()]
    radius = default_radius(code_set.bits, verify) if radius is None else radius
    if verify:
        groups, notes = _verified(code_set, index, radius, keep, turned, progress)
    else:
        groups, notes = _by_codes(code_set, index, radius, keep, linkage, progress)
    decisions, notes_on_decisions = _decisions(code_set)
    notes += notes_on_decisions
    if decisions.lines:
        near = _nearness(code_set, radius, linkage, verify)
        groups = [
            _decided(code_set, group, decisions, verify)
            for undecided in groups
            for group in decisions.applied(undecided, near)
        ]
    if max_group is not None and (large := [group for group in groups if len(group) > max_group]):
        groups = [group for group in groups if len(group) <= max_group]
        notes.append(
            f"{counted(len(large), 'group')} of more than {counted(max_group, 'image')} left out "
            f"({some([image.path for image in large[0]])})"
        )
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(groups),
        notes=(*first, *notes),
        linkage=linkage,
        verified=verify,
        decisions=decisions.lines,
    )


def find_decided(code_set: CodeSet | Path | str = "codes.npy") -> Duplicates:
    """The groups that people have decided to be duplicates, as codes.decisions.tsv says.

    Distances do not matter. Images that are gone are left out, with a note; if that to keep is
    gone, so is its group. Raises DataError for a file that is wrong.
    """
    code_set = open_codes(code_set)
    decisions, notes = _decisions(code_set)
    decided = decisions.groups()
    if not decided:
        notes.append("no duplicates are decided yet: `bitcodes duplicates --open` shows groups")
    named = {path for paths in decided for path in paths}
    rows = {path: row for row, path in enumerate(code_set.paths) if path in named}
    if missing := sorted(named - {*rows}):
        notes.append(
            f"{counted(len(missing), 'image')} of decisions left out: not in {code_set.name} "
            f"({some(missing)})"
        )
    linked = [
        [rows[path] for path in paths if path in rows] for paths in decided if paths[0] in rows
    ]
    chooser = Chooser(code_set, "first", linked)
    groups = []
    for best, *others in linked:
        there = {*chooser.best_first([best, *others])}
        if best in there:
            groups.append(_images(code_set, [best, *(row for row in others if row in there)]))
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(open_groups(code_set).distinct),
        radius=max((image.distance for group in groups for image in group), default=0),
        keep="",
        groups=tuple(groups),
        notes=(*notes, *chooser.notes()),
        decisions=decisions.lines,
        decided=True,
    )


def _rules(code_set: CodeSet, keep: str | None) -> str:
    """The rules of what to keep, or those for a set of its kind. Raises as find_duplicates."""
    if keep is None:
        return "first" if code_set.root is None else "largest"
    if {"largest", "oldest"} & {*keep_rules(keep)} and code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their sizes and dates are "
            "unknown; use --keep first"
        )
    return keep


def check_pixels(code_set: CodeSet) -> None:
    """Raise CodeSetError if it is not known where the images of a set are."""
    if code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their pixels cannot be compared"
        )


def _decisions(code_set: CodeSet) -> tuple[Decisions, list[str]]:
    """What people have decided on a code set, and a note on where that stands."""
    if code_set.path is None:
        return Decisions(), []
    file = decisions_file(code_set.path)
    decisions = Decisions.read(file)
    return decisions, [f"decisions: {file}"] if decisions.lines else []


def _nearness(
    code_set: CodeSet, radius: int, linkage: Linkage, verify: bool
) -> Callable[[Group, Image, Image], bool]:
    """Whether an image of a group may be in that of another of its images; see Decisions."""

    def near(group: Group, best: Image, image: Image) -> bool:
        if best is group[0] or (linkage != "star" and not verify):
            return True
        if verify:  # only with the first image the pixels were compared
            return best.kind == "copy" and image.kind in (None, "copy")
        apart = np.bitwise_count(code_set.codes[best.row] ^ code_set.codes[image.row])
        return int(apart.sum(dtype=int)) <= radius

    return near


def _decided(
    code_set: CodeSet, images: Sequence[Image], decisions: Decisions, verify: bool
) -> Group:
    """A group of images, that to keep first, as people have decided."""
    if not verify:
        return _images(code_set, [image.row for image in images])
    best, *others = images
    ordered = _in_order(code_set, [image.row for image in images])
    group = [ordered[0]]
    for image, anew in zip(others, ordered[1:], strict=True):
        compared = image if image.kind else best  # one was compared with the other
        known = replace(anew, kind=compared.kind, score=compared.score)
        if best.kind is None:  # it is still the image to keep
            known = replace(known, distance=image.distance, changes=image.changes)
        is_copy = decisions.is_duplicate(best.path, image.path)
        group.append(replace(known, kind="copy") if is_copy else known)
    return tuple(group)


def _by_codes(
    code_set: CodeSet,
    index: GroupedIndex,
    radius: int,
    keep: str,
    linkage: Linkage,
    progress: Progress | None,
) -> tuple[list[Group], list[str]]:
    """The groups that the codes alone make, and notes."""
    blocks: Iterable[Pairs] = code_pairs(index, radius, progress)
    if linkage != "chain":
        pairs = collect(blocks, radius, ", or --linkage chain, which keeps no pairs")
        blocks = [pairs]
    linked = [group.tolist() for group in chains(index, blocks)]
    chooser = Chooser(code_set, keep, linked)
    groups = [ordered for rows in linked if (ordered := chooser.best_first(rows))]
    if linkage != "chain":
        groups = _divided(groups, index, pairs, linkage)
    return [_images(code_set, rows) for rows in groups], list(chooser.notes())


def _verified(
    code_set: CodeSet,
    index: GroupedIndex,
    radius: int,
    keep: str,
    turned: bool,
    progress: Progress | None,
) -> tuple[list[Group], list[str]]:
    """The groups in which the pixels are copies of those of the best image, or similar; notes."""
    blocks: Iterable[Pairs] = index.pairs(radius, progress)
    if turned:
        from bitcodes.tasks.duplicates.turned import pairs_of_turned

        of_turned = pairs_of_turned(code_set, code_set, radius, index.threads, progress)
        blocks = chain(blocks, map(_once, of_turned))
    pairs = collect(blocks, radius)
    rows = np.unique(np.concatenate([pairs.first, pairs.second])).tolist()
    if not rows:
        return [], []
    from bitcodes.tasks.duplicates.second_look import Pictures, verified_stars  # which load Pillow

    chooser = Chooser(code_set, keep, [rows])
    pictures = Pictures([code_set.absolute_path(row) for row in rows], index.threads, progress)
    seen = [row for row in rows if code_set.absolute_path(row) not in pictures.unreadable]
    ordered = chooser.best_first(seen)
    files = [code_set.absolute_path(row) for row in ordered]
    ranks = np.full(len(index), -1)
    ranks[ordered] = np.arange(len(ordered))
    edges = to_edges(pairs, ranks)
    members, different = verified_stars(
        edges, lambda one, others: pictures.likenesses(files[one], [files[n] for n in others])
    )
    groups = [_verified_images(code_set, ordered, *star) for star in members.items()]
    notes = [*chooser.notes(), *pictures.notes()]
    if different:
        notes.append(
            f"{counted(different, 'pair')} within distance {radius} of different pictures left out"
        )
    return sorted(groups, key=lambda group: min(image.row for image in group)), notes


def _once(pairs: Pairs) -> Pairs:
    """The pairs of two rows, the smaller one first."""
    first, second = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
    apart = first < second
    return Pairs(first[apart], second[apart], pairs.distances[apart])


def _verified_images(
    code_set: CodeSet, ordered: Sequence[int], best: int, members: "Sequence[Member]"
) -> Group:
    """The images of a verified group: that to keep, copies, then similar ones, by score."""
    members = sorted(members, key=lambda one: (one.kind != "copy", -one.score, one.rank))
    images = _in_order(code_set, [ordered[best], *(ordered[one.rank] for one in members)])
    verified = [
        replace(
            image,
            distance=member.distance,
            kind=member.kind,
            score=member.score,
            changes=member.changes,
        )
        for image, member in zip(images[1:], members, strict=True)
    ]
    return (images[0], *verified)


def _divided(
    groups: Sequence[Sequence[int]], index: GroupedIndex, pairs: Pairs, linkage: Linkage
) -> list[list[int]]:
    """The groups that `linkage` makes of chains of rows; in these and in it, the best row first."""
    ranks = np.full(len(index), -1)
    ordered = np.array([row for rows in groups for row in rows], np.int64)
    ranks[ordered] = np.arange(len(ordered))
    return [
        rows[np.argsort(ranks[rows])].tolist() for rows in bounded(index, pairs, ranks, linkage)
    ]


def _images(code_set: CodeSet, rows: Sequence[int]) -> Group:
    """The images of a group, that to keep first, then by distance from it."""
    best, *others = rows
    if len(others) > 1:
        kept, *codes = _numbers(code_set, rows)
        apart = {row: (kept ^ code).bit_count() for row, code in zip(others, codes, strict=True)}
        others.sort(key=lambda row: (apart[row], code_set.paths[row], row))
    return _in_order(code_set, [best, *others])


def _in_order(code_set: CodeSet, rows: Sequence[int]) -> Group:
    """The images of a group in the order of their rows, that to keep first."""
    codes = _numbers(code_set, rows)
    root = code_set.root
    images = []
    for place, (row, code) in enumerate(zip(rows, codes, strict=True)):
        path = code_set.paths[row]
        before = codes[:place] if place < MEASURED else ()
        distances = tuple((code ^ other).bit_count() for other in before)
        distance = (code ^ codes[0]).bit_count()
        images.append(Image(row, path, root and root / path, distance, distances))
    return tuple(images)


def _numbers(code_set: CodeSet, rows: Sequence[int]) -> list[int]:
    """The codes of some rows, each as a number: for a few, faster than arrays are."""
    return [int.from_bytes(code) for code in code_set.codes[rows]]
