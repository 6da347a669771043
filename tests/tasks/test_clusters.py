"""Clusters, on codes that lie around known middles."""

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.errors import DataError
from bitcodes.tasks.clusters import Clusters, divide


def around_middles(sizes: tuple[int, ...]) -> CodeSet:
    """Codes of 64 bits, each up to 3 bits from the middle of its cluster; clusters in order."""
    rng = np.random.default_rng(0)
    parts = []
    for middle, size in zip(rng.integers(0, 2, (len(sizes), 64)), sizes, strict=True):
        bits = np.repeat(middle[None], size, axis=0)
        for row in bits:
            row[rng.integers(0, 64, 3)] ^= 1
        parts.append(bits)
    return CodeSet.from_arrays(pack_bits(np.concatenate(parts)), 64)


def test_clusters_are_those_that_were_put_in() -> None:
    sizes = (90, 60, 40, 30, 25, 20, 18, 16, 14, 12, 10, 8)
    codes = around_middles(sizes)
    parts = divide(codes, np.arange(codes.count))
    assert [len(part) for part in parts] == list(sizes)
    starts = np.cumsum((0, *sizes))
    for part, start, stop in zip(parts, starts, starts[1:], strict=False):
        assert sorted(part) == list(range(start, stop))


def test_parts_are_the_whole_and_found_by_name() -> None:
    codes = around_middles((300, 200, 150))
    clusters = Clusters(codes)
    whole, parts = clusters.find("")
    assert len(whole.rows) == 650
    assert sorted(np.concatenate([part.rows for part in parts])) == list(range(650))
    first, below = clusters.find("0")
    assert np.array_equal(first.rows, parts[0].rows)
    assert below and sum(len(part.rows) for part in below) == len(first.rows)
    again = Clusters(codes).find(below[-1].name)[0]
    assert np.array_equal(again.rows, below[-1].rows)
    assert set(first.examples) <= set(first.rows.tolist())


def test_equal_codes_and_few_are_not_divided() -> None:
    assert not divide(CodeSet.from_arrays(np.zeros((500, 8), np.uint8), 64), np.arange(500))
    assert not divide(around_middles((10, 10)), np.arange(20))
    assert Clusters(CodeSet.from_arrays(np.zeros((0, 8), np.uint8), 64)).find("")[1] == []


@pytest.mark.parametrize("name", ["12", "0.99", "x", "0.", ".", "-1", "0" * 4000, "0.0" * 999])
def test_a_cluster_that_is_not_there_is_one_error(name: str) -> None:
    with pytest.raises(DataError, match="expected the name of a cluster"):
        Clusters(around_middles((100, 50))).find(name)
