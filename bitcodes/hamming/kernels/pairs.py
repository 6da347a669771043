# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""The comparison of codes within groups, for all near pairs; see pairing.py."""

import numpy as np

from bitcodes.hamming.kernels.compiling import kernel
from bitcodes.hamming.kernels.planes import popcount


@kernel
def compare_in_groups(lanes, start, stop, ends, masks, part, radius, matches, words):
    """Write the pairs (place, later place of its group, distance) within the radius in `matches`.

    Of the pairs that begin at `start` to `stop`, those whose codes have no part before `part` in
    common. `matches` (3, M) has room for all; returns how many there are.
    """
    size = 0
    for place in range(start, stop):
        for other in range(place + 1, ends[place]):
            distance = 0
            for word in range(len(words)):
                distance += popcount(lanes[word, place] ^ lanes[word, other])
            if distance > radius:
                continue
            new = True
            for before in range(part):
                apart = np.uint64(0)
                for word in range(len(words)):
                    apart |= (lanes[word, place] ^ lanes[word, other]) & masks[before, word]
                if apart == 0:
                    new = False
                    break
            if new:
                matches[0, size], matches[1, size], matches[2, size] = place, other, distance
                size += 1
    return size
