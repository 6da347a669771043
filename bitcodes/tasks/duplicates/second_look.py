"""The second look at near-duplicates: codes propose pairs, pixels say which of them are copies."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.choices import CopyKind
from bitcodes.errors import ImageError
from bitcodes.hamming.linkage import Edges, spans
from bitcodes.hamming.threads import in_order
from bitcodes.images.decode import open_image
from bitcodes.images.keypoints import gray_picture
from bitcodes.images.likeness import Likeness, Look, likeness, look_at
from bitcodes.machine import core_count
from bitcodes.sources.item import Place
from bitcodes.sources.members import find_places
from bitcodes.sources.paths import quote_path
from bitcodes.wording import counted

_LOOKS = 512
"""Pictures of which all that is compared is kept: 0.2 MB each."""


class Member(NamedTuple):
    """An image of a group around a better one."""

    rank: int
    distance: int
    kind: CopyKind
    score: float
    changes: tuple[str, ...] = ()
    """How it lies in the better one, in words."""


class Pictures:
    """Gray pictures of image files, 20 to 40 kB each, for comparing them. Threads may share it."""

    def __init__(
        self, files: Iterable[Path], threads: int | None = None, progress: Progress | None = None
    ) -> None:
        self._threads = threads or core_count()
        several = list(files)
        self.unreadable: dict[Path, str] = {}
        """The reason for each that cannot be read."""
        self._pictures: dict[Path, NDArray[np.uint8]] = {}
        places = find_places(several)
        for done, (file, picture) in enumerate(in_order(_read, places, self._threads), 1):
            if isinstance(picture, str):
                self.unreadable[file] = picture
            else:
                self._pictures[file] = picture
            if progress is not None:
                progress(done, len(several))
        self._look = lru_cache(_LOOKS)(lambda file: look_at(self._pictures[file]))

    def notes(self) -> list[str]:
        """What a reader should know of files that cannot be compared."""
        if not self.unreadable:
            return []
        file, reason = next(iter(self.unreadable.items()))
        count = counted(len(self.unreadable), "image")
        return [f"left out: {count} that cannot be read ({quote_path(str(file))}: {reason})"]

    def likenesses(self, file: Path, others: Sequence[Path]) -> list[Likeness]:
        """How like a picture each of some others is."""
        look: Look = self._look(file)
        return list(
            in_order(lambda other: likeness(look, self._look(other)), others, self._threads)
        )


def _read(found: tuple[Path, Place]) -> tuple[Path, NDArray[np.uint8] | str]:
    """A file with its gray picture, or with the reason why there is none."""
    file, place = found
    try:
        return file, place.read(lambda source: gray_picture(open_image(source)))[0]
    except ImageError as error:
        return file, str(error)


def verified_stars(
    edges: Edges, compare: Callable[[int, Sequence[int]], list[Likeness]]
) -> tuple[dict[int, list[Member]], int]:
    """Groups around the best image of each, and how many pairs are of different pictures.

    From the best rank on, each image that is no copy of a better one is compared with those near
    it that are not either. Its copies are its members; a similar image that has no copies joins the
    first that it is similar to. `compare` takes a rank and others, which may lack a picture.
    """
    members: dict[int, list[Member]] = {}
    taken: set[int] = set()
    similar: dict[int, tuple[int, Member]] = {}
    different = 0
    for node, start, stop in spans(edges.better):
        if node in taken:
            continue
        near: dict[int, int] = {}
        for rank, distance in zip(
            edges.worse[start:stop].tolist(), edges.distances[start:stop].tolist(), strict=True
        ):
            if rank not in taken:
                near.setdefault(rank, distance)
        for (rank, distance), like in zip(near.items(), compare(node, list(near)), strict=True):
            if like.kind is None:
                different += 1
                continue
            member = Member(rank, distance, like.kind, round(like.score, 3), like.changes)
            if like.kind == "copy":
                members.setdefault(node, []).append(member)
                taken.add(rank)
            else:
                similar.setdefault(rank, (node, member))
    for rank, (node, member) in similar.items():
        if rank not in taken and rank not in members and (node not in similar or node in members):
            members.setdefault(node, []).append(member)
    return members, different
