"""How far apart two codes are: by all bits alike, or in two parts, of which one weighs more."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import code_lanes, pack_bits, split_codes, to_lanes
from bitcodes.codes.parts import Parts
from bitcodes.errors import CodeSetError


@cache
def bit_places(bits: int, first: int = 0, stop: int | None = None) -> NDArray[np.int64]:
    """Where the bits `first` to `stop` (default: all) of a code of `bits` bits lie in its lanes.

    64 times the lane, and the place there; in the order of places.
    """
    some = np.zeros((1, bits), np.bool_)
    some[:, first:stop] = True
    ones = to_lanes(pack_bits(some), bits)  # (W, 1)
    return np.flatnonzero(ones >> np.arange(64, dtype=np.uint64) & np.uint64(1))


class Term(NamedTuple):
    """A term of a distance: popcount((lane ^ other lane) & mask) << shift."""

    lane: int
    mask: np.uint64
    shift: int


@dataclass(frozen=True)
class Measure:
    """The distance of two codes of `bits` bits: how many bits differ, those of one part weighted.

    A bit that differs counts `weight`, or 1 if it is one of the last `instance_bits`. The weight is
    a power of two, at most 1024. With a weight of 1, this is the Hamming distance. Raises
    CodeSetError for a number of bits that is not 1 to 1024, ValueError for parts or a weight that
    make no sense.
    """

    bits: int
    instance_bits: int = 0
    weight: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 1024:
            raise CodeSetError(f"codes of {self.bits} bits: expected 1 to 1024")
        is_weight = 1 <= self.weight <= 1024 and self.weight.bit_count() == 1
        if not is_weight or not 0 <= self.instance_bits < self.bits:
            raise ValueError(
                f"{self}: expected a weight that is a power of two up to 1024, and a class bit or "
                "more"
            )
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
    def lane_count(self) -> int:
        """W, the lanes of a code: as many as plain codes of as many bits have."""
        return code_lanes(self.bits)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms whose sum is the distance: one for each lane that a part has bits in."""
        terms = []
        for places, (_, shift) in zip(self.places, self.parts, strict=True):
            lanes, bits = np.divmod(places, 64)
            for lane in np.unique(lanes):
                ones = np.uint64(1) << bits[lanes == lane].astype(np.uint64)
                terms.append(Term(int(lane), np.bitwise_or.reduce(ones), shift))
        return tuple(terms)

    @cached_property
    def places(self) -> list[NDArray[np.int64]]:
        """Where the bits of each part lie in the lanes; see `bit_places`."""
        sizes = [bits for bits, _ in self.parts]
        if self._has_lanes_in_common:
            first = sizes[0]
            return [bit_places(self.bits, 0, first), bit_places(self.bits, first)]
        starts = np.cumsum([0] + [64 * code_lanes(bits) for bits in sizes])
        return [bit_places(bits) + start for bits, start in zip(sizes, starts, strict=False)]

    @property
    def _has_lanes_in_common(self) -> bool:
        """Whether both parts have bits in one lane; if there is room, each has its own lanes."""
        return sum(code_lanes(bits) for bits, _ in self.parts) > self.lane_count

    def lanes(self, codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Arrange packed codes (N, B) for searching: (W, N) uint64; see `to_lanes`."""
        if self.is_plain or self._has_lanes_in_common:
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
        return lane_distances(self.lanes(codes), self.lanes(others), self.terms).astype(np.int64)


def measure_of(code_set: CodeSet) -> Measure:
    """How the codes of a set are compared unless another way is asked for."""
    parts = code_set.parts
    return Measure(code_set.bits) if parts is None else Measure.summed(parts)


def lane_distances(
    lanes: NDArray[np.uint64], others: NDArray[np.uint64], terms: Sequence[Term]
) -> NDArray[np.unsignedinteger]:
    """Distances of lanes (W, ...) and others (W, ...), whose shapes are broadcast."""
    kind = np.uint32 if any(term.shift for term in terms) else np.uint16
    total = np.zeros(np.broadcast_shapes(lanes.shape[1:], others.shape[1:]), kind)
    for lane, mask, shift in terms:
        ones = np.bitwise_count((lanes[lane] ^ others[lane]) & mask)
        total += ones.astype(kind) << shift if shift else ones
    return total
