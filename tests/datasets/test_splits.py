"""The order by SHA-256, against an independent reading of its definition."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.datasets.splits import hash_order


def test_a_case_that_must_never_change() -> None:
    assert hash_order(0, "cat", [str(i) for i in range(10)]) == [3, 1, 0, 6, 2, 5, 9, 4, 7, 8]


def test_the_definition() -> None:
    keys = ["a", "b", "c", "é", "d"]
    digests = {key: hashlib.sha256(f"7\0dog\0{key}".encode()).hexdigest() for key in keys}
    assert [keys[i] for i in hash_order(7, "dog", keys)] == sorted(keys, key=digests.__getitem__)


def test_seed_and_group_change_the_order() -> None:
    keys = [str(i) for i in range(50)]
    orders = [hash_order(0, "cat", keys), hash_order(1, "cat", keys), hash_order(0, "dog", keys)]
    assert len(set(map(tuple, orders))) == 3
    assert all(sorted(order) == list(range(50)) for order in orders)


@settings(deadline=None)
@given(st.lists(st.text(), unique=True, max_size=20), st.text())
def test_more_keys_do_not_reshuffle_the_others(keys: list[str], extra: str) -> None:
    keys = [key.encode("utf-8", "replace").decode() for key in keys]
    before = [keys[i] for i in hash_order(0, "x", keys)]
    more = [*keys, extra.encode("utf-8", "replace").decode()]
    after = [more[i] for i in hash_order(0, "x", more) if i < len(keys)]
    assert before == after


def test_keys_of_any_bytes() -> None:
    assert hash_order(0, "x", ["\udcff", "a"]) in ([0, 1], [1, 0])
