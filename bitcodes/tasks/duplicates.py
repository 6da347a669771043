"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bitcodes.callbacks import Progress
from bitcodes.choices import Keep, Linkage
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.duplicates import bounded, chains, code_pairs
from bitcodes.hamming.index import GroupedIndex
from bitcodes.hamming.linkage import collect
from bitcodes.hamming.plain import Pairs
from bitcodes.hamming.stored import open_groups
from bitcodes.tasks.groups import MEASURED, Duplicates, Image
from bitcodes.tasks.keeping import Chooser, some
from bitcodes.wording import counted

RADIUS_SHARE = 8
"""The default radius is the number of bits divided by this."""


def find_duplicates(
    code_set: CodeSet | Path | str = "codes.npy",
    radius: int | None = None,
    keep: Keep | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    linkage: Linkage = "star",
    max_group: int | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`.

    `linkage` says of what: in a "star", every image is within the radius of the image to keep; in a
    "complete" group, of every other; in a "chain", of at least one other, so that its ends may be
    far apart. Stars begin at the image that is best to keep; the next best that is in none begins
    another, and an image within the radius of several belongs to the nearest. Groups of more than
    `max_group` images are left out, and a note says so.

    `code_set` is a code set or its file. `radius` is an eighth of the bits by default, rounded
    down: with the built-in model, that finds 95 to 100 % of copies that were resized, recompressed
    or mirrored (benchmarks/results/2026-11-28-builtin.md).

    `keep` says which image of a group comes first: "largest" is the one with the most pixels, of
    these the one with the most bytes, of these the first by path; "first" is the first by path. In
    a group with an image whose size is unknown, nothing is compared: the first by path is kept, and
    `notes` says so. None is "largest", or "first" where the set does not say where its images are.

    Groups are of files: a file that two rows name counts once, and one that is gone not at all.
    Raises CodeSetError if the largest is requested of a set that does not say where its images are.
    """
    if not isinstance(code_set, CodeSet):
        code_set = CodeSet.open(code_set)
    if keep == "largest" and code_set.root is None:
        raise CodeSetError(
            f"{code_set.name} does not say where its images are, so their sizes are unknown; use "
            "--keep first"
        )
    if keep is None:
        keep = "first" if code_set.root is None else "largest"
    radius = code_set.bits // RADIUS_SHARE if radius is None else radius
    index = open_groups(code_set, threads)
    blocks: Iterable[Pairs] = code_pairs(index, radius, progress)
    if linkage != "chain":
        blocks = [pairs := collect(blocks, radius)]
    linked = [group.tolist() for group in chains(index, blocks)]
    chooser = Chooser(code_set, keep, linked)
    groups = [ordered for rows in linked if (ordered := chooser.best_first(rows))]
    if linkage != "chain":
        groups = _divided(groups, index, pairs, linkage)
    notes = list(chooser.notes())
    if max_group is not None and (large := [rows for rows in groups if len(rows) > max_group]):
        groups = [rows for rows in groups if len(rows) <= max_group]
        notes.append(
            f"{counted(len(large), 'group')} of more than {counted(max_group, 'image')} left out "
            f"({some([code_set.paths[row] for row in large[0]])})"
        )
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(_images(code_set, rows) for rows in groups),
        notes=tuple(notes),
        linkage=linkage,
    )


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


def _images(code_set: CodeSet, rows: Sequence[int]) -> tuple[Image, ...]:
    """The images of a group, that to keep first, then by distance from it."""
    codes = code_set.codes[rows]  # (R, B)
    distances = np.bitwise_count(codes ^ codes[0]).sum(axis=1, dtype=int)
    paths = [code_set.paths[row] for row in rows]
    order = sorted(range(1, len(rows)), key=lambda n: (distances[n], paths[n], rows[n]))
    order.insert(0, 0)
    codes = codes[order[:MEASURED]]
    between = np.bitwise_count(codes[:, None] ^ codes).sum(axis=2, dtype=int).tolist()
    return tuple(
        Image(
            rows[n],
            paths[n],
            code_set.file(rows[n]),
            int(distances[n]),
            tuple(between[place][:place]) if place < MEASURED else (),
        )
        for place, n in enumerate(order)
    )
