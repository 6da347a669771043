"""Near-duplicates of a code set: the groups, and which image of each to keep."""

from pathlib import Path

from bitcodes.callbacks import Progress
from bitcodes.choices import Keep
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.duplicates import near_duplicates
from bitcodes.hamming.stored import open_groups
from bitcodes.tasks.groups import Duplicates
from bitcodes.tasks.keeping import Chooser

RADIUS_SHARE = 8
"""The default radius is the number of bits divided by this."""


def find_duplicates(
    code_set: CodeSet | Path | str = "codes.npy",
    radius: int | None = None,
    keep: Keep | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the groups of images whose codes are within `radius`, directly or by a chain of others.

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
    rows = [group.tolist() for group in near_duplicates(index, radius, progress)]
    chooser = Chooser(code_set, keep, rows)
    groups = map(chooser.group, rows)
    return Duplicates(
        codes=code_set.name,
        bits=code_set.bits,
        count=code_set.count,
        distinct=len(index.distinct),
        radius=radius,
        keep=keep,
        groups=tuple(group for group in groups if len(group) > 1),
        notes=tuple(chooser.notes()),
    )
