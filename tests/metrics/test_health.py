"""Health of codes against plain counting and cases worked by hand."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.metrics.health import code_health


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([1, 3, 8, 70]))
def test_health_equals_plain_counting(seed: int, count: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, width), np.uint8)
    bits[:, width // 2] = bits[:, 0]
    health = code_health(pack_bits(bits), width)
    groups = Counter(map(tuple, bits.tolist()))
    assert health.distinct == len(groups)
    assert health.largest == max(groups.values())
    share = np.array(list(groups.values())) / count
    assert health.code_entropy == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-12)
    pairs = [tuple(a) == tuple(b) for a, b in combinations(bits.tolist(), 2)]
    assert health.collision == pytest.approx(np.mean(pairs) if pairs else 0)
    assert health.ones == pytest.approx(bits.mean(axis=0))
    changing = [j for j in range(width) if 0 < bits[:, j].sum() < count]
    assert health.dead == [j for j in range(width) if j not in changing]
    expected = [
        (i, j)
        for i, j in combinations(changing, 2)
        if (bits[:, i] == bits[:, j]).all() or (bits[:, i] != bits[:, j]).all()
    ]
    assert health.duplicated == expected
    for i, j in combinations(changing, 2):
        assert health.correlation[i, j] == pytest.approx(
            np.corrcoef(bits[:, i], bits[:, j])[0, 1], abs=1e-9
        )


def test_worked_by_hand() -> None:
    # Four images, two codes: 00 three times, 11 once. One bit is the copy of the other.
    health = code_health(pack_bits(np.array([[0, 0], [0, 0], [1, 1], [0, 0]], np.uint8)), 2)
    assert (health.distinct, health.largest) == (2, 3)
    assert health.collision == pytest.approx(3 / 6)
    assert health.code_entropy == pytest.approx(0.75 * np.log2(4 / 3) + 0.25 * 2)
    assert health.bit_entropy == pytest.approx([health.code_entropy] * 2)
    assert health.duplicated == [(0, 1)]
    assert "1 repeats another bit: 1 bit would" in (health.advice() or "")


def test_advice_names_what_is_off() -> None:
    rng = np.random.default_rng(0)
    good = rng.integers(0, 2, (500, 32), np.uint8)
    assert code_health(pack_bits(good), 32).advice() is None
    assert "same code" in (code_health(pack_bits(good[[0] * 5]), 32).advice() or "")
    assert code_health(pack_bits(good[:1]), 32).advice() is None
    dead = good.copy()
    dead[:, 3] = 1
    assert "1 never changes" in (code_health(pack_bits(dead), 32).advice() or "")
    crowded = good[rng.integers(0, 10, 500)]
    advice = code_health(pack_bits(crowded), 32).advice() or ""
    assert "10 for 500 images" in advice or "repeat" in advice
    weak = good.copy()
    weak[:, 3] = np.arange(500) == 7
    assert "next to nothing: 1 of 32" in (code_health(pack_bits(weak), 32).advice() or "")
