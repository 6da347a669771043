"""How well codes use their bits: balance, entropy, correlation, images that share a code."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes, unpack_bits
from bitcodes.hamming.plain import equal_runs
from bitcodes.metrics.ranking import Floats
from bitcodes.wording import counted

# Codes unpacked at a time.
_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Health:
    """Statistics of the bits and codes of a set."""

    count: int
    bits: int
    ones: Floats
    """(K,) share of the codes in which each bit is 1; 0.5 is balanced."""
    correlation: Floats
    """(K, K) Pearson correlation of the bits; NaN for bits that never change."""
    distinct: int
    """Number of different codes."""
    largest: int
    """How many images share the most common code."""
    code_entropy: float
    """Entropy in bits of the code of a random image; at most log2 of the number of images."""
    collision: float
    """Probability that two different images, drawn at random, have the same code."""

    @property
    def bit_entropy(self) -> Floats:
        """(K,) entropy of each bit: 1 if balanced, 0 if it never changes."""
        p = np.clip(self.ones, 1e-300, 1)
        q = np.clip(1 - self.ones, 1e-300, 1)
        return np.asarray(-(self.ones * np.log2(p) + (1 - self.ones) * np.log2(q)))

    @property
    def dead(self) -> list[int]:
        """Bits that are the same in every code."""
        return np.flatnonzero((self.ones == 0) | (self.ones == 1)).tolist()

    @property
    def duplicated(self) -> list[tuple[int, int]]:
        """Pairs of bits (first, second) of which one is the copy or the opposite of the other."""
        upper = np.triu(np.nan_to_num(np.abs(self.correlation)), 1)
        return [(int(i), int(j)) for i, j in np.argwhere(upper > 1 - 1e-9)]

    @property
    def mean_correlation(self) -> float:
        """Mean absolute correlation of two different bits that both change; 0 if none do."""
        pairs = np.abs(self.correlation[np.triu_indices(self.bits, 1)])
        pairs = pairs[~np.isnan(pairs)]
        return float(pairs.mean()) if len(pairs) else 0.0

    def advice(self) -> str | None:
        """The most serious problem and what to do, in one line; None if there is none.

        One code alone says nothing about its bits.
        """
        if self.count == 1:
            return None
        redundant = {second for _, second in self.duplicated}
        if self.distinct == 1:
            return "All images have the same code: nothing was learned, or the model is broken."
        if self.dead or redundant:
            parts = []
            if self.dead:
                parts.append(counted(len(self.dead), "never changes", "never change"))
            if redundant:
                parts.append(counted(len(redundant), "repeats another bit", "repeat another bit"))
            useful = self.bits - len(self.dead) - len(redundant)
            return (
                f"Of {counted(self.bits, 'bit')}, {' and '.join(parts)}: "
                f"{counted(useful, 'bit')} would separate the "
                "images as well; train longer, or with fewer bits."
            )
        if self.largest > 1 and self.code_entropy < 0.5 * min(self.bits, math.log2(self.count)):
            return (
                f"Images crowd on few codes ({self.distinct:,} for {self.count:,} images, the "
                f"largest shared by {self.largest:,}): Hamming distance cannot order these; "
                "re-rank by features (search --rerank)."
            )
        if self.bit_entropy.min() < 0.1:
            weak = int((self.bit_entropy < 0.1).sum())
            return f"Bits that almost never change and say next to nothing: {weak} of {self.bits}."
        return None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        return {
            "distinct_codes": self.distinct,
            "largest_group": self.largest,
            "code_entropy": self.code_entropy,
            "mean_bit_entropy": float(self.bit_entropy.mean()),
            "collision_probability": self.collision,
            "mean_correlation": self.mean_correlation,
            "dead_bits": self.dead,
            "duplicated_bits": [list(pair) for pair in self.duplicated],
            "advice": self.advice(),
        }


def code_health(codes: NDArray[np.uint8], bits: int) -> Health:
    """Statistics of packed codes, uint8 (N, ceil(bits / 8)), with N at least 1."""
    count = len(codes)
    both = np.zeros((bits, bits))
    for start in range(0, count, _BLOCK):
        block = unpack_bits(codes[start : start + _BLOCK], bits).astype(np.float32)  # (n, K)
        both += block.T @ block  # whole numbers up to the block's size: exact in float32
    ones = both.diagonal()
    # N covariance = sum x y - (sum x)(sum y) / N, in whole numbers: copies correlate by exactly 1.
    covariance = both * count - np.outer(ones, ones)
    spread = np.sqrt(covariance.diagonal())
    scale = np.outer(spread, spread)
    correlation = np.full((bits, bits), np.nan)
    np.divide(covariance, scale, out=correlation, where=scale > 0)

    _, _, sizes = equal_runs(to_lanes(codes, bits))
    share = sizes / count
    pairs = float((sizes * (sizes - 1.0)).sum())
    return Health(
        count=count,
        bits=bits,
        ones=ones / count,
        correlation=correlation,
        distinct=len(sizes),
        largest=int(sizes.max()),
        code_entropy=float(-(share * np.log2(share)).sum()) + 0.0,
        collision=pairs / (count * (count - 1.0)) if count > 1 else 0.0,
    )
