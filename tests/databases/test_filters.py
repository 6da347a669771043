"""Filters: a search among some images of a file or a store finds what a filtered set holds."""

from collections.abc import Callable
from pathlib import Path

import commands
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import make_set, queries_for

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.parts import Parts
from bitcodes.databases.store import Condition, Store
from bitcodes.databases.urls import open_store
from bitcodes.errors import DataError
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure, measure_of
from bitcodes.tasks.searching.search import search

NAMES = ["a/1", "a/2", "a%/", "a_/é", "b\\c", "b\\\n", "b\r", "\udcff", "A/"]
BEGINNINGS = [
    "",
    "a",
    "a/",
    "a%",
    "a_",
    "b\\",
    "b\\\n",
    "\udcff",
    "a_/é",
    "nowhere",
    "' OR true --",
]


def chosen_rows(code_set: CodeSet, condition: Condition) -> np.ndarray:
    """The rows that meet a condition, one by one."""
    rows = []
    for row, path in enumerate(code_set.paths):
        fits = condition.under is None or path.startswith(condition.under)
        if condition.classes is not None:
            label = code_set.labels[row]
            own = {int(label)} if np.ndim(label) == 0 else set(np.flatnonzero(label).tolist())
            fits = fits and not own.isdisjoint(condition.classes)
        if fits:
            rows.append(row)
    return np.array(rows, np.int64)


def check_filtered(store: Store, code_set: CodeSet, condition: Condition) -> None:
    rows = chosen_rows(code_set, condition)
    index = HammingIndex(code_set.codes[rows], code_set.bits, measure=store.measure)
    numbers = np.append(rows, -1)
    queries = queries_for(code_set, 0)
    store.filtered(condition)
    try:
        assert len(store) == len(rows)
        for k in (1, 3, code_set.count + 1):
            ours, theirs = store.search(queries, k), index.search(queries, k)
            np.testing.assert_array_equal(ours[0], theirs[0], strict=True)
            np.testing.assert_array_equal(ours[1], numbers[theirs[1]], strict=True)
        for radius, limit in ((0, None), (9, 2), (store.bits // 4, None)):
            near, expected = (one.within(queries, radius, limit) for one in (store, index))
            np.testing.assert_array_equal(near.offsets, expected.offsets)
            np.testing.assert_array_equal(near.distances, expected.distances)
            np.testing.assert_array_equal(near.more, expected.more)
            np.testing.assert_array_equal(near.rows, numbers[expected.rows])
    finally:
        store.filtered(Condition())
    assert len(store) == code_set.count


def named(seed: int, count: int) -> list[str]:
    names = np.random.default_rng(seed).choice(NAMES, count).tolist()
    return [f"{name}{row}.jpg" for row, name in enumerate(names)]


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 999),
    bits=st.sampled_from([12, 64, 112]),
    labels=st.sampled_from(["none", "numbers", "multi-hot"]),
    classes=st.lists(st.integers(0, 2), min_size=1, max_size=2),
    under=st.none() | st.sampled_from(BEGINNINGS),
)
def test_a_store_among_some_rows(
    store: Store, seed: int, bits: int, labels: str, classes: list[int], under: str | None
) -> None:
    code_set = make_set(seed, bits, 60, "clustered", labels=labels, paths=named(seed, 60))
    store.replace(code_set)
    for numbers in {None, None if labels == "none" else tuple(classes)}:
        check_filtered(store, code_set, Condition(numbers, under))


@pytest.mark.parametrize("class_first", [False, True])
def test_codes_of_two_parts_among_some_rows(store: Store, class_first: bool) -> None:
    parts = Parts(class_bits=20, instance_bits=44, class_weight=4)
    code_set = make_set(
        6, 64, 200, "clustered", parts=parts, labels="multi-hot", paths=named(6, 200)
    )
    store.replace(code_set)
    store.measured(Measure.class_first(parts) if class_first else measure_of(code_set))
    try:
        check_filtered(store, code_set, Condition((1, 2), "a"))
    finally:
        store.measured(None)


@pytest.fixture(params=["numbers", "multi-hot"])
def places(request: pytest.FixtureRequest, new_url: Callable[[], str]) -> list[object]:
    """A set with labels in memory, and the same in a store."""
    code_set = make_set(3, 64, 60, "clustered", labels=request.param, paths=named(3, 60))
    url = new_url()
    with open_store(url) as store:
        store.replace(code_set)
    return [code_set, url]


def test_a_search_among_some_images_is_the_same_of_files_and_stores(places: list[object]) -> None:
    code_set = places[0]
    queries = CodeSet.from_arrays(queries_for(code_set, 1), 64, fingerprint="one")
    for terms in (
        {"label": ["cat"]},
        {"label": ["é", "dog"], "under": "a", "k": 4},
        {"under": "b\\", "radius": 20},
        {"under": "nowhere"},
    ):
        rows = chosen_rows(
            code_set,
            Condition(
                tuple(code_set.class_names.index(name) for name in terms["label"])
                if "label" in terms
                else None,
                terms.get("under"),
            ),
        )
        ours, theirs = (search(queries, place, **terms) for place in places)
        assert ours.count == theirs.count == len(rows)
        expected = HammingIndex(code_set.codes[rows], 64)
        if "radius" not in terms:
            k = terms.get("k", 10)
            for query, code in zip(ours.queries, queries.codes, strict=True):
                _, nearest = expected.search(code[None], min(k, len(rows)) or 1)
                nearest = nearest[0][nearest[0] >= 0]
                assert [hit.row for hit in query.hits] == rows[nearest].tolist()
        assert [query.hits for query in ours.queries] == [query.hits for query in theirs.queries]


def test_an_unknown_label_is_told_before_the_search(places: list[object]) -> None:
    for place in places:
        with pytest.raises(DataError, match="no label 'dgo'; did you mean 'dog'"):
            search(places[0], place, label=["cat", "dgo"])
        with pytest.raises(DataError, match="expected cat, dog or é; found 'zebra'"):
            search(places[0], place, label=["zebra"])


def test_labels_that_are_not_there_or_have_no_names(new_url: Callable[[], str]) -> None:
    url = new_url()
    bare = make_set(1, 64, 9, "uniform")
    with open_store(url) as store:
        store.replace(bare)
        for place in (bare, url):
            with pytest.raises(DataError, match="has no labels"):
                search(bare, place, label=["cat"])
        for labels in (np.arange(9) % 3, np.eye(3, dtype=np.uint8)[np.arange(9) % 3]):
            numbered = CodeSet.from_arrays(bare.codes, 64, bare.paths, labels, fingerprint="one")
            store.replace(numbered)
            for place in (numbered, url):
                result = search(bare, place, label=["2", "0"])
                assert {hit.row for query in result.queries for hit in query.hits} == {
                    0, 2, 3, 5, 6, 8,
                }  # fmt: skip
                with pytest.raises(DataError, match=r"label: expected .*; found 'x'"):
                    search(bare, place, label=["x"])


def test_the_command(
    tmp_path: Path, new_url: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    from bitcodes.codes.writer import CodeSetWriter, plan_of

    code_set = make_set(3, 64, 30, "clustered", labels="numbers", paths=named(3, 30))
    file, url = tmp_path / "codes.npy", new_url()
    with CodeSetWriter(file, **plan_of(code_set)) as writer:
        writer.copy(code_set, 0, 30)
        writer.commit()
    assert not commands.run("push", file, url)
    for words in (("--label", "cat", "--label", "dog", "--under", "a"), ("--under", "b\\")):
        outputs = []
        for codes in (file, url):
            capfd.readouterr()
            assert not commands.run("search", file, "--codes", codes, "-k", 40, *words)
            outputs.append(capfd.readouterr().out)
        assert outputs[0] == outputs[1] and outputs[0]
    for codes in (file, url):
        assert commands.run("search", file, "--codes", codes, "--label", "catt") == 1
        assert "did you mean 'cat'?" in capfd.readouterr().err
