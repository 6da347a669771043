"""The same random order on every machine: by SHA-256 of seed, group and key."""

import hashlib
from collections.abc import Sequence


def hash_order(seed: int, group: str, keys: Sequence[str]) -> list[int]:
    """Positions of `keys` in an order that is random, yet the same on every machine and version.

    `group` (a class name, a purpose) gives every group an order of its own. Where a key stands
    among the others depends on that key alone, so adding keys does not reshuffle the rest.
    """

    def digest(position: int) -> bytes:
        text = f"{seed}\0{group}\0{keys[position]}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    return sorted(range(len(keys)), key=digest)
