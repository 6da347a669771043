"""The names of the built-in model."""

from pathlib import Path

import pytest

from bitcodes.builtin import BUILT_IN_BITS, built_in_bits, built_in_name


def test_names_and_lengths() -> None:
    for bits in BUILT_IN_BITS:
        assert built_in_bits(built_in_name(bits)) == bits
    assert built_in_bits("built-in") == built_in_bits(built_in_name()) == 128
    with pytest.raises(ValueError, match="32, 64, 128 or 256 bits, not 48"):
        built_in_name(48)


@pytest.mark.parametrize(
    "other",
    [None, "", "built-in-48", "built-in-", "./built-in", "Built-in", Path("built-in"), 128],
)
def test_everything_else_is_no_name(other: object) -> None:
    assert built_in_bits(other) is None
