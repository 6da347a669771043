"""Near pairs between two sets of codes against all distances."""

import numpy as np
import pytest

from bitcodes.codes.pack import pack_bits
from bitcodes.errors import CodeSetError
from bitcodes.hamming import across, linkage
from bitcodes.hamming.across import pairs_across


@pytest.mark.parametrize("scanned", [0, 10**9])
@pytest.mark.parametrize(("count", "others"), [(0, 5), (5, 0), (40, 70), (70, 40)])
@pytest.mark.parametrize("radius", [0, 1, 3])
def test_pairs_are_those_of_all_distances(monkeypatch, scanned, count, others, radius) -> None:
    monkeypatch.setattr(across, "_SCANNED", scanned)
    if not scanned:
        monkeypatch.setattr(across, "_scan_is_faster", lambda *_: False)
    rng = np.random.default_rng(count)
    centers = rng.random((6, 20)) < 0.5
    one, other = (
        centers[rng.integers(6, size=n)] ^ (rng.random((n, 20)) < 0.08) for n in (count, others)
    )
    packed = [pack_bits(bits) if len(bits) else np.empty((0, 3), np.uint8) for bits in (one, other)]
    pairs = pairs_across(*packed, 20, radius)
    distances = (one[:, None] != other).sum(axis=2)
    first, second = np.nonzero(distances <= radius)
    expected = sorted(
        (int(a), int(distances[a, b]), int(b)) for a, b in zip(first, second, strict=True)
    )
    found = zip(pairs.first.tolist(), pairs.distances.tolist(), pairs.second.tolist(), strict=True)
    assert list(found) == expected


def test_too_many_pairs(monkeypatch) -> None:
    monkeypatch.setattr(linkage, "MOST_PAIRS", 8)
    codes = np.zeros((3, 1), np.uint8)
    with pytest.raises(CodeSetError, match=r"8 pairs lie .* use a smaller --radius$"):
        pairs_across(codes, codes, 8, 0)
