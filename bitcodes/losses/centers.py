"""Target codes, one per class and far from each other, and levels that divide them evenly."""

import math

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ConfigError
from bitcodes.wording import counted

_PAIRS = 200  # of classes, that thresholds are spread for
_EXCHANGES = 2000  # tried at most


def hash_centers(bits: int, classes: int, seed: int) -> NDArray[np.float32]:
    """Codes far from each other, one per class: float32 (C, K) of -1 and 1, all different.

    They are rows of a Hadamard matrix and their negatives if there is one of order K and C <= 2 K
    (distances K/2 and K). Otherwise each next code is the one of many random codes that is farthest
    from its nearest neighbour among the codes so far. Raises ConfigError if C > 2^K.
    """
    if classes > 2**bits:
        raise ConfigError(
            f"{classes} classes need as many different codes, but {counted(bits, 'bit')} make "
            f"only {2**bits}; "
            f"raise --bits to at least {(classes - 1).bit_length()}"
        )
    hadamard = _hadamard_rows(bits)
    if hadamard is not None and classes <= 2 * bits:
        return np.concatenate([hadamard, -hadamard])[:classes]
    return _spread_codes(bits, classes, np.random.default_rng(seed))


def _hadamard_rows(bits: int) -> NDArray[np.float32] | None:
    """A Hadamard matrix of order K: Sylvester's doubling of Paley's, where that reaches K."""
    if bits & (bits - 1) == 0:
        rows = np.ones((1, 1), np.float32)
    else:
        odd = bits
        while odd % 2 == 0 and not _is_paley_order(odd):
            odd //= 2
        if not _is_paley_order(odd):
            return None
        rows = _paley(odd)
    while len(rows) < bits:
        rows = np.block([[rows, rows], [rows, -rows]]).astype(np.float32)
    return rows


def _is_paley_order(order: int) -> bool:
    prime = order - 1
    return prime % 4 == 3 and all(prime % d for d in range(2, math.isqrt(prime) + 1))


def _paley(order: int) -> NDArray[np.float32]:
    """Paley's first construction: a Hadamard matrix of order p + 1 for a prime p = 3 (mod 4)."""
    prime = order - 1
    squares = {x * x % prime for x in range(1, prime)}
    character = np.array([0] + [1 if x in squares else -1 for x in range(1, prime)])
    rows = np.ones((order, order))
    index = np.arange(prime)
    rows[1:, 1:] = character[(index[:, None] - index[None, :]) % prime]
    rows[1:, 0] = -1
    np.fill_diagonal(rows, 1)
    return rows.astype(np.float32)


def _spread_codes(bits: int, classes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if 2**bits <= max(4096, 16 * classes):
        numbers = np.arange(2**bits)
        pool = (numbers[:, None] >> np.arange(bits)) & 1  # every code there is
        pool = pool[rng.permutation(len(pool))]
    else:
        pool = rng.integers(0, 2, (max(4096, 4 * classes), bits))
    signs = (pool * 2 - 1).astype(np.float32)  # (P, K)
    rows = [0]
    nearest = (bits - signs @ signs[0]) / 2  # (P,) distance to the nearest chosen code
    for _ in range(1, classes):
        best = int(nearest.argmax())
        rows.append(best)
        nearest = np.minimum(nearest, (bits - signs @ signs[best]) / 2)
    return signs[rows]


def minimum_distance(centers: NDArray[np.float32]) -> int:
    """The least Hamming distance between two rows of (C, K) of -1 and 1; K for a single row."""
    bits = centers.shape[1]
    distances = (bits - centers @ centers.T) / 2
    np.fill_diagonal(distances, bits)
    return int(distances.min())


def spread_levels(centers: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Levels for bits of (C, K) centers of -1 and 1: (2 i - 1 - K) / K, i = 1 .. K, in an order.

    A point between two centers a and b, m a + (1 - m) b, crosses the level l of a bit in which they
    differ at 2 m - 1 = a_k l. The order spreads these places evenly for all pairs of classes at
    once: two levels at a time are exchanged if that reduces the sum over all pairs (over 200 of
    them if there are more) of the mean squared distance from even places.
    """
    rng = np.random.default_rng(seed + 2)
    classes, bits = centers.shape
    order = rng.permutation(bits)
    levels: NDArray[np.float32] = ((2 * order + 1 - bits) / bits).astype(np.float32)
    first, second = np.triu_indices(classes, 1)
    if len(first) > _PAIRS:
        few = rng.choice(len(first), _PAIRS, replace=False)
        first, second = first[few], second[few]
    side = np.where(centers[first] != centers[second], centers[first], 0)  # (P, K)
    counts = np.count_nonzero(side, axis=1)[:, None]  # (P, 1)
    ranks = np.arange(bits)[None, :]
    even = np.where(ranks < counts, (2 * ranks + 1) / counts - 1, 2)  # (P, K); 2: no place

    def unevenness() -> float:
        places = np.sort(np.where(side != 0, side * levels, 2), axis=1)
        return float((np.square(places - even).sum(axis=1, keepdims=True) / counts).sum())

    least = unevenness()
    for _ in range(min(_EXCHANGES, 40 * bits)):
        pair = rng.integers(bits, size=2)
        levels[pair] = levels[pair[::-1]]
        value = unevenness()
        if value > least:
            levels[pair] = levels[pair[::-1]]
        else:
            least = value
    return levels
