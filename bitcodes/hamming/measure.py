"""How far apart two codes are: by all bits alike, or in two parts, of which one weighs more."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits, split_codes, to_lanes
from bitcodes.codes.parts import Parts
from bitcodes.errors import CodeSetError


@cache
def bit_places(bits: int) -> NDArray[np.int64]:
    """Where the bits of a code lie in its lanes (K,): 64 times the word, and the place there."""
    ones = to_lanes(pack_bits(np.ones((1, bits), np.bool_)), bits)  # (W, 1)
    return np.flatnonzero(ones >> np.arange(64, dtype=np.uint64) & np.uint64(1))


@dataclass(frozen=True)
class Measure:
    """The distance of two codes of `bits` bits: how many bits differ, those of one part weighted.

    A bit that differs counts `weight`, or 1 if it is one of the last `instance_bits`. The weight is
    a power of two. With a weight of 1, this is the Hamming distance. Raises CodeSetError for a
    number of bits that is not 1 to 1024.
    """

    bits: int
    instance_bits: int = 0
    weight: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 1024:
            raise CodeSetError(f"codes of {self.bits} bits: expected 1 to 1024")
        if self.weight.bit_count() != 1 or not 0 <= self.instance_bits < self.bits:
            raise ValueError(f"{self}: expected a power of two, and a class bit or more")
        if self.weight == 1 or not self.instance_bits:  # one way to say the same
            object.__setattr__(self, "instance_bits", 0)
            object.__setattr__(self, "weight", 1)

    @classmethod
    def summed(cls, parts: Parts) -> "Measure":
        """The distance of class bits times their weight, plus the distance of instance bits."""
        return cls(parts.bits, parts.instance_bits, parts.class_weight)

    @classmethod
    def class_first(cls, parts: Parts) -> "Measure":
        """A measure by which the instance bits decide only between equal class distances."""
        return cls(parts.bits, parts.instance_bits, 1 << parts.instance_bits.bit_length())

    @property
    def is_plain(self) -> bool:
        """Whether this is the Hamming distance."""
        return self.weight == 1

    @property
    def largest(self) -> int:
        """The largest distance of two codes."""
        return (self.bits - self.instance_bits) * self.weight + self.instance_bits

    @property
    def parts(self) -> list[tuple[int, int]]:
        """How many bits each part has, and the binary logarithm of their weight."""
        if self.is_plain:
            return [(self.bits, 0)]
        shift = self.weight.bit_length() - 1
        return [(self.bits - self.instance_bits, shift), (self.instance_bits, 0)]

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """The binary logarithm of the weight of each lane: a part begins with a lane of its own."""
        return tuple(shift for bits, shift in self.parts for _ in range(-(-bits // 64)))

    @cached_property
    def places(self) -> list[NDArray[np.int64]]:
        """Where the bits of each part lie in the lanes; see `bit_places`."""
        starts = np.cumsum([0] + [-(-bits // 64) * 64 for bits, _ in self.parts])
        return [
            bit_places(bits) + start for (bits, _), start in zip(self.parts, starts, strict=False)
        ]

    def lanes(self, codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Arrange packed codes (N, B) for searching: (W, N) uint64; see `to_lanes`."""
        if self.is_plain:
            return to_lanes(codes, self.bits)
        (first, _), (second, _) = self.parts
        head, tail = split_codes(codes, self.bits, first)
        return np.concatenate([to_lanes(head, first), to_lanes(tail, second)])

    def weigh(self, outputs: NDArray[np.floating]) -> NDArray[np.floating]:
        """Hash outputs (Q, K), each times the root of its bit's weight.

        The square of a difference of outputs then has the weight that a bit that differs has.
        """
        roots = [np.full(bits, 2 ** (shift / 2), outputs.dtype) for bits, shift in self.parts]
        weighed: NDArray[np.floating] = outputs * np.concatenate(roots)
        return weighed

    def between(self, codes: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The distances (N,) of packed codes (N, B) from others (N, B), row by row."""
        return lane_distances(self.lanes(codes), self.lanes(others), self.shifts).astype(np.int64)


def measure_of(code_set: CodeSet) -> Measure:
    """How the codes of a set are compared unless another way is asked for."""
    parts = code_set.parts
    return Measure(code_set.bits) if parts is None else Measure.summed(parts)


def lane_distances(
    lanes: NDArray[np.uint64], others: NDArray[np.uint64], shifts: Sequence[int]
) -> NDArray[np.unsignedinteger]:
    """Distances of lanes (W, ...) and others (W, ...), whose shapes are broadcast."""
    kind = np.uint32 if any(shifts) else np.uint16
    total = np.zeros(np.broadcast_shapes(lanes.shape[1:], others.shape[1:]), kind)
    for one, other, shift in zip(lanes, others, shifts, strict=True):
        ones = np.bitwise_count(one ^ other)
        total += ones.astype(kind) << shift if shift else ones
    return total
