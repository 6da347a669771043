# mypy: disable-error-code="no-untyped-def"
"""One step of choosing codes far from each other; see subset.py."""

from bitcodes.hamming.kernels.compiling import kernel
from bitcodes.hamming.kernels.planes import BLOCK
from bitcodes.hamming.kernels.scan import distance_from


@kernel
def take_farthest(lanes, code, least, terms):
    """Lower `least` (N,) to the distances from `code` (1, W); return the first row of the largest.

    A block is searched for its row only if it has a larger distance than all before.
    """
    farthest, largest = 0, -1
    for start in range(0, len(least), BLOCK):
        stop = min(start + BLOCK, len(least))
        most = -1
        for row in range(start, stop):
            distance = min(least[row], distance_from(lanes, row, code, 0, terms))
            least[row] = distance
            most = max(most, distance)
        if most > largest:
            largest = most
            for row in range(start, stop):
                if least[row] == most:
                    farthest = row
                    break
    return farthest
