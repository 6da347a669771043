"""Numbers of things in words."""

import pytest

from bitcodes.wording import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 images"), (1, "1 image"), (2, "2 images"), (2880, "2,880 images")],
)
def test_one_and_several(number: int, text: str) -> None:
    assert counted(number, "image") == text


def test_irregular_plural() -> None:
    assert counted(1, "query", "queries") == "1 query"
    assert counted(1000, "query", "queries") == "1,000 queries"
