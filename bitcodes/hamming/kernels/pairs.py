# mypy: disable-error-code="no-untyped-def, call-arg, arg-type, unreachable"
"""The comparison of codes within groups, for all near pairs; see pairing.py."""

from bitcodes.hamming.kernels.compiling import kernel
from bitcodes.hamming.kernels.planes import popcount


@kernel
def compare_in_groups(
    lanes, start, stop, ends, groups, near_starts, near, masks, part, slack, radius, matches, words
):
    """Write the pairs (place, later place, distance) within the radius in `matches`.

    Of the pairs that begin at `start` to `stop`, those of one group or of a group and one that is
    `near` it, whose codes differ in more than `slack` bits of each part before `part`. `matches`
    (3, M) has room for all; returns how many there are.
    """
    size = 0
    for place in range(start, stop):
        group = groups[place]
        first = near_starts[group]
        for span in range(first - 1, near_starts[group + 1]):
            low, high = place + 1, ends[place]
            if span >= first:
                low, high = near[span, 0], near[span, 1]
            for other in range(low, high):
                distance = 0
                for word in range(len(words)):
                    distance += popcount(lanes[word, place] ^ lanes[word, other])
                if distance > radius:
                    continue
                new = True
                for before in range(part):
                    apart = 0
                    for word in range(len(words)):
                        apart += popcount(
                            (lanes[word, place] ^ lanes[word, other]) & masks[before, word]
                        )
                    if apart <= slack:
                        new = False
                        break
                if new:
                    matches[0, size], matches[1, size], matches[2, size] = place, other, distance
                    size += 1
    return size
