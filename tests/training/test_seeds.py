"""Random seeds."""

from bitcodes.training.seeds import stable_seed


def test_seeds_are_the_same_everywhere() -> None:
    # printf '0\0step\0001' | sha256sum, its first eight bytes, halved
    assert stable_seed(0, "step", 1) == 0x26F724A261AA34AD // 2
    assert stable_seed(0, "step", 1) != stable_seed(0, "step", 11) != stable_seed(0, "step1", 1)
