"""Which of its origins an image of a code set can be from, as far as its path tells."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from bitcodes.codes.paths import with_slashes
from bitcodes.sources.paths import is_remote
from bitcodes.sources.ranges import expand
from bitcodes.sources.source import LIST_SUFFIXES
from bitcodes.tasks.encoding.origin import STDIN, Origin


class Owners:
    """Finds the origins of an image: those that name it, or the nearest folder or archive above it.

    An image below nothing that is named can only be from a list, or from standard input.
    """

    def __init__(self, origins: Sequence[Origin]) -> None:
        self._lists: set[int] = set()
        self._places: defaultdict[str, set[int]] = defaultdict(set)
        for number, origin in enumerate(origins):
            for name in chain.from_iterable(map(expand, origin.images)):
                if is_list(name):
                    self._lists.add(number)
                else:
                    self._places[with_slashes(name).rstrip("/")].add(number)

    def of(self, path: str) -> set[int]:
        """The numbers of the origins that the image at this absolute path or URL can be from."""
        while path not in self._places and path:
            path = path.rpartition("/")[0]
        return self._places.get(path, self._lists)

    def only(self, numbers: Iterable[int]) -> Callable[[str], bool]:
        """Tells of an absolute path whether its image can be from these origins alone."""
        chosen = set(numbers)

        def is_theirs(path: str) -> bool:
            owners = self.of(path)
            return bool(owners) and owners <= chosen

        return is_theirs


def is_list(name: str) -> bool:
    """Whether what is named is a list of paths: a list file, or standard input."""
    if name == STDIN:
        return True
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    return suffix in LIST_SUFFIXES and not is_remote(name) and not os.path.isdir(name)  # noqa: PTH112
