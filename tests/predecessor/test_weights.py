"""Pickles in .npy files: arrays are read, and all that is not an array is refused, unrun."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.pickles import HOSTILE, MARK
from predecessor import save_as_python2, save_as_python3, save_pickle

from bitcodes.errors import ModelError
from bitcodes.predecessor.weights import read_pickled_arrays

ARRAYS = {
    "a": [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)],
    "b": [np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.ones((0, 3), ">f8")],
}


def assert_same(result: Any, expected: dict[str, list[np.ndarray]]) -> None:
    assert list(result) == list(expected)
    for name in expected:
        for one, other in zip(result[name], expected[name], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_come_back_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    whole = np.array({"a": ARRAYS["a"]}, dtype=object)
    save_pickle(tmp_path / "w.npy", pickle.dumps(whole, protocol))
    if protocol == 5:  # which numpy.save does not use: arrays travel in another way
        with pytest.raises(ModelError, match="is refused"):
            read_pickled_arrays(tmp_path / "w.npy")
    else:
        assert_same(read_pickled_arrays(tmp_path / "w.npy"), {"a": ARRAYS["a"]})


def test_what_numpy_saves_comes_back(tmp_path: Path) -> None:
    save_as_python3(tmp_path / "w.npy", ARRAYS)
    assert_same(read_pickled_arrays(tmp_path / "w.npy"), ARRAYS)


def test_what_python_2_saved_comes_back(tmp_path: Path) -> None:
    save_as_python2(tmp_path / "w.npy", {"a": ARRAYS["a"]})
    result = np.load(tmp_path / "w.npy", allow_pickle=True, encoding="bytes").item()
    assert list(result) == [b"a"]  # the file is what it is meant to be
    np.testing.assert_array_equal(result[b"a"][0], ARRAYS["a"][0])
    assert_same(read_pickled_arrays(tmp_path / "w.npy"), {"a": ARRAYS["a"]})


# -- hostile files --------------------------------------------------------------------------------


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_pickle(tmp_path / "w.npy", HOSTILE[name])
    with pytest.raises(ModelError, match=r"w\.npy: is (refused|damaged)") as caught:
        read_pickled_arrays(tmp_path / "w.npy")
    assert len(str(caught.value).splitlines()) == 1
    assert not Path(MARK).exists()


def test_the_hostile_ones_would_have_run() -> None:
    """Guards the test above: an unpickler that refuses nothing comes to what they are after."""
    called: list[tuple[Any, ...]] = []

    class Thing:
        def __init__(self, *arguments: Any) -> None: ...
        def __setstate__(self, state: Any) -> None: ...

    class Open(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return (lambda *given: called.append((name, *given))) if module == "os" else Thing

    for name in ("a system call", "by the other opcode", "by a third", "by a name on the stack"):
        called.clear()
        Open(io.BytesIO(HOSTILE[name]), encoding="bytes").load()
        assert called in ([("mkdir", b"it_ran")], [("mkdir", "it_ran")]), name


@pytest.mark.parametrize("function", [eval, exec, print, __import__, open, getattr])
def test_calls_that_python_pickles_are_refused_by_name(
    tmp_path: Path, function: Callable[..., Any]
) -> None:
    save_as_python3(tmp_path / "w.npy", {"a": [Call(function, "1")]})
    with pytest.raises(
        ModelError, match=rf"is refused, because it holds '.*\.{function.__name__}'"
    ):
        read_pickled_arrays(tmp_path / "w.npy")


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.arange(3)},  # whole numbers
        {"a": np.array(["x"])},
        {"a": np.array([True])},
        {"a": np.zeros(2, [("x", "f4")])},
        {"a": np.array([None, {}], dtype=object)},
        {"a": np.float32(1)},
        {"a": 1j},
        {(1, 2): np.ones(2)},
        {"a": {1, 2}},
    ],
    ids=str,
)
def test_other_things_than_arrays_of_numbers_are_refused(tmp_path: Path, content: Any) -> None:
    save_as_python3(tmp_path / "w.npy", content)
    with pytest.raises(
        ModelError, match=r"is refused, because it holds .*; expected a pickled dict"
    ):
        read_pickled_arrays(tmp_path / "w.npy")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.ones(3))
    with pytest.raises(ModelError, match=r"the header .* is not of one object"):
        read_pickled_arrays(path)
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"no \.npy header"):
        read_pickled_arrays(path)
    path.unlink()
    with pytest.raises(ModelError, match=r"w\.npy: cannot be read: No such file"):
        read_pickled_arrays(path)


def test_a_file_cut_off_or_changed_anywhere_is_an_error_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    save_as_python2(path, {"a": ARRAYS["a"]})
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ModelError):
            read_pickled_arrays(path)
    rng = np.random.default_rng(0)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            result = read_pickled_arrays(path)
        except ModelError:
            continue
        assert isinstance(result, dict)
