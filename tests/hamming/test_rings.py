"""What a multi-index search looks up finds every code within the radius."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.rings import Part, cut, first_radius, lookups, reaches, rings


@pytest.mark.parametrize(
    ("bits", "count", "widths"),
    [
        ([64], 10**6, [16, 16, 16, 16]),
        ([64], 10, [12, 13, 13, 13, 13]),
        ([12], 10**6, [12]),
        ([3], 10**6, [3]),
        ([33], 10**10, [16, 17]),
        ([20, 44], 10, [10, 10, 11, 11, 11, 11]),
    ],
)
def test_parts_have_some_codes_for_each_value(
    bits: list[int], count: int, widths: list[int]
) -> None:
    parts = cut(bits, count)
    assert [part.width for part in parts] == widths
    assert parts[0].first == 0 and parts[-1].last == sum(bits)
    assert all(one.last == other.first for one, other in pairwise(parts))


def test_by_hand() -> None:
    """Two parts of three bits: radius 0 looks up one part, radius 2 a ring more of one."""
    parts, measure = (Part(0, 3), Part(3, 6)), Measure(6)
    assert first_radius(parts, measure) == 1
    assert [reaches(parts, measure, r) for r in range(4)] == [(0, -1), (0, 0), (1, 0), (2, 0)]
    found = rings(pack_bits([[1, 0, 1, 0, 0, 1]])[0], parts, measure, 2)
    assert [(ring.part, sorted(ring.values.tolist())) for ring in found] == [
        (parts[0], [0b001, 0b100, 0b101, 0b111]),
        (parts[1], [0b001]),
    ]
    assert lookups(parts, measure, 2, 80) == (5, 50)
    (more,) = rings(pack_bits([[1, 0, 1, 0, 0, 1]])[0], parts, measure, 2, before=1)
    assert more.part == parts[0] and sorted(more.values.tolist()) == [0b001, 0b100, 0b111]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    split=st.sampled_from([(12, 0, 1), (40, 0, 1), (14, 26, 4), (20, 20, 32)]),
    radius=st.integers(0, 60),
    data=st.data(),
)
def test_no_code_within_the_radius_is_left_out(
    seed: int, split: tuple[int, int, int], radius: int, data: st.DataObject
) -> None:
    class_bits, instance_bits, weight = split
    measure = Measure(class_bits + instance_bits, instance_bits, weight)
    parts = cut([bits for bits in (class_bits, instance_bits) if bits], 1000)
    steps = reaches(parts, measure, radius)
    if (
        sum(math.comb(part.width, max(step, 0)) for part, step in zip(parts, steps, strict=True))
        > 1e5
    ):
        return  # a search would rather scan
    rng = np.random.default_rng(seed)
    query = rng.random(measure.bits) < 0.5
    near = query ^ (rng.random((300, measure.bits)) < rng.random((300, 1)) * 0.3)
    distances = measure.between(pack_bits(near), np.repeat(pack_bits([query]), 300, axis=0))
    found = np.zeros(300, bool)
    for part, values in rings(pack_bits([query])[0], parts, measure, radius):
        numbers = near[:, part.first : part.last] @ (1 << np.arange(part.width)[::-1])
        found |= np.isin(numbers, values)
        assert len(np.unique(values)) == len(values)
    assert found[distances <= radius].all()
    # In two steps, the same is looked up, and nothing twice.
    before = data.draw(st.integers(-1, radius))
    first, rest, whole = (
        sorted((part, value) for part, values in looked_up for value in values.tolist())
        for looked_up in (
            rings(pack_bits([query])[0], parts, measure, before),
            rings(pack_bits([query])[0], parts, measure, radius, before),
            rings(pack_bits([query])[0], parts, measure, radius),
        )
    )
    assert sorted(first + rest) == whole
