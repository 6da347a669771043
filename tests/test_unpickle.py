"""What a pickle may hold; hostile pickles are in tests/predecessor/test_weights.py."""

import pickle
from typing import Any

import numpy as np
import pytest

from bitcodes.unpickle import Expected, RefusedPickle, unpickle

BYTES = Expected(["u1"], "bytes", longest=3)


def test_plain_values_come_back() -> None:
    value = {b"a": [1, 2.5, None], "b": (b"text", True), 3: {}}
    assert unpickle(pickle.dumps(value, 2), BYTES) == {
        "a": [1, 2.5, None],
        "b": ["text", True],
        3: {},
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_come_back(protocol: int) -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    result = unpickle(pickle.dumps({"a": array}, protocol), BYTES)["a"]
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.uint8


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.zeros(2, np.float32), "an array of 'f4', where bytes are expected"),
        ([1, 2, 3, 4], "a list of 4"),
        ([[[[]]]], "more than arrays in lists"),
        ({1, 2}, "builtins.set|a thing of the kind set"),
        (np.uint8(1), "numpy.*scalar"),
        (len, "builtins.len"),
        (1j, "builtins.complex"),
    ],
)
def test_anything_else_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(RefusedPickle, match=reason):
        unpickle(pickle.dumps(value, 4), BYTES)


def test_one_object_in_an_array() -> None:
    box = np.empty((), dtype=object)
    box[()] = {"a": 1}
    content = pickle.dumps(box, 2)
    assert unpickle(content, BYTES, boxed=True) == {"a": 1}
    with pytest.raises(RefusedPickle, match="an array of 'O8'"):
        unpickle(content, BYTES)
    with pytest.raises(RefusedPickle, match="not an array"):
        unpickle(pickle.dumps({"a": 1}), BYTES, boxed=True)
