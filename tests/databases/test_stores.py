"""Every store against HammingIndex: the same answers, whatever it holds and how it came there."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import check_holds, check_like, make_set, queries_for

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.databases.store import Store
from bitcodes.databases.urls import open_store
from bitcodes.errors import CodeSetError
from bitcodes.hamming.measure import Measure, measure_of

BITS = [12, 33, 48, 64, 112, 128]


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 999),
        "bits": st.sampled_from(BITS),
        "count": st.sampled_from([0, 1, 2, 30, 200]),
        "kind": st.sampled_from(["uniform", "clustered", "equal"]),
        "labels": st.sampled_from(["none", "numbers", "multi-hot"]),
        "stat": st.booleans(),
    }
)
examples = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@examples
@given(case=cases)
def test_answers_are_those_of_an_index(store: Store, case: dict[str, object]) -> None:
    code_set = make_set(**case)
    store.replace(code_set)
    check_holds(store, code_set)
    check_like(store, code_set, np.arange(code_set.count), queries_for(code_set, case["seed"]))


@examples
@given(case=cases, gone=st.floats(0, 1), data=st.data())
def test_a_changed_store_is_like_a_new_one(
    store: Store, case: dict[str, object], gone: float, data: st.DataObject
) -> None:
    code_set = make_set(**case)
    store.replace(code_set)
    rng = np.random.default_rng(case["seed"])
    left = np.flatnonzero(rng.random(code_set.count) >= gone)
    removed = np.setdiff1d(np.arange(code_set.count), left)
    assert store.delete([code_set.paths[row] for row in [*removed, *removed[:1]]]) == len(removed)
    rest = take(code_set, left)
    check_holds(store, rest)
    check_like(store, rest, left, queries_for(code_set, 1))

    more = make_set(**{**case, "seed": case["seed"] + 1000})
    store.append(more)
    whole = join(rest, more)
    check_holds(store, whole)
    first = left.max() + 1 if len(left) else 0
    check_like(store, whole, np.append(left, first + np.arange(more.count)), queries_for(more, 2))

    # Some rows change, some go, some come: at the end, or anywhere.
    changes = st.lists(st.integers(0, max(whole.count - 1, 0)), max_size=3)
    kept = np.setdiff1d(np.arange(whole.count), data.draw(changes))
    target = take(whole, kept)
    altered = [row for row in data.draw(changes) if row < target.count]
    target.codes[altered] ^= pack_bits(np.ones((1, whole.bits), bool))
    if data.draw(st.booleans()):
        target = join(target, make_set(**{**case, "count": 2, "seed": case["seed"] + 2000}))
    if data.draw(st.booleans()):
        target = take(target, np.arange(target.count)[::-1])
    store.update(target)
    check_holds(store, target)
    by_path = {path: row for row, path in zip(row_numbers(store), store.read().paths, strict=True)}
    rows = np.array([by_path[path] for path in target.paths], np.int64)
    assert (np.diff(rows) > 0).all()
    check_like(store, target, rows, queries_for(target, 3))


def row_numbers(store: Store) -> np.ndarray:
    """The numbers of all rows, in order: all codes are within the largest distance."""
    query = np.zeros((1, -(-store.bits // 8)), np.uint8)
    return np.sort(store.within(query, store.measure.largest).rows)


def take(code_set: CodeSet, rows: np.ndarray) -> CodeSet:
    return CodeSet.from_arrays(
        code_set.codes[rows],
        code_set.bits,
        [code_set.paths[row] for row in rows],
        None if code_set.labels is None else code_set.labels[rows],
        None,
        code_set.class_names,
        code_set.fingerprint,
        None if code_set.stat is None else code_set.stat[rows],
        code_set.root,
        code_set.parts,
    )


def join(one: CodeSet, other: CodeSet) -> CodeSet:
    pairs = {
        name: (getattr(one, name), getattr(other, name)) for name in ("codes", "labels", "stat")
    }
    joined = {n: None if a is None else np.concatenate([a, b]) for n, (a, b) in pairs.items()}
    return CodeSet.from_arrays(
        joined["codes"],
        one.bits,
        [*one.paths, *other.paths],
        joined["labels"],
        None,
        one.class_names,
        one.fingerprint,
        joined["stat"],
        one.root,
        one.parts,
    )


def test_duplicates_by_thousands(store: Store) -> None:
    code_set = make_set(5, 64, 4000, "equal")
    store.replace(code_set)
    check_like(store, code_set, np.arange(4000), queries_for(code_set, 0))


@pytest.mark.parametrize("class_first", [False, True])
def test_codes_of_two_parts(store: Store, class_first: bool) -> None:
    parts = Parts(class_bits=20, instance_bits=44, class_weight=4)
    code_set = make_set(6, 64, 300, "clustered", parts=parts)
    store.replace(code_set)
    measure = Measure.class_first(parts) if class_first else measure_of(code_set)
    store.measured(measure)
    try:
        check_holds(store, code_set)
        check_like(store, code_set, np.arange(300), queries_for(code_set, 0))
        with pytest.raises(CodeSetError, match="of 48"):
            store.measured(Measure(48))
    finally:
        store.measured(None)


def test_rows_come_with_their_paths_and_labels(store: Store) -> None:
    code_set = make_set(7, 33, 20, "uniform", labels="multi-hot")
    store.replace(code_set)
    assert store.paths_of([7, 3]) == [code_set.paths[3], code_set.paths[7]]
    np.testing.assert_array_equal(store.labels_of([7, 3]), code_set.labels[[3, 7]])
    with pytest.raises(CodeSetError, match="1 row not there"):
        store.take([3, 20])
    assert store.take([]).count == 0 == store.head.count


def test_what_does_not_fit_is_refused(store: Store) -> None:
    code_set = make_set(8, 48, 20, "uniform")
    store.replace(code_set)
    with pytest.raises(CodeSetError, match=r"codes of 48 bits must be .* \(N, 6\)"):
        store.search(np.zeros((1, 5), np.uint8), 1)
    store.replace(make_set(8, 33, 20, "uniform"))
    with pytest.raises(CodeSetError, match="7 bits of a code of 33 bits are padding"):
        store.within(np.full((1, 5), 255, np.uint8), 1)
    with pytest.raises(ValueError, match="k=0"):
        store.search(np.zeros((1, 5), np.uint8), 0)
    with pytest.raises(ValueError, match="radius=-1"):
        store.within(np.zeros((1, 5), np.uint8), -1)
    before = store.read()
    for change in (store.update, store.append):
        with pytest.raises(CodeSetError, match="codes of 48 bits"):
            change(code_set)
        other = make_set(9, 33, 3, "uniform")
        other = CodeSet.from_arrays(other.codes, 33, other.paths, fingerprint="two")
        with pytest.raises(CodeSetError, match="another model"):
            change(other)
    with pytest.raises(CodeSetError, match="the same columns"):
        store.append(make_set(9, 33, 3, "uniform", labels="numbers"))
    with pytest.raises(CodeSetError, match="one row per path"):
        store.append(make_set(8, 33, 1, "uniform"))
    with pytest.raises(CodeSetError, match="one row per path"):
        store.replace(make_set(8, 33, 2, "uniform", paths=["a", "a"]))
    check_holds(store, before)


def test_a_store_without_a_set_says_what_to_do(new_url: Callable[[], str]) -> None:
    with open_store(new_url()) as store:
        code_set = make_set(1, 12, 3, "uniform")
        for use in (len, lambda store: store.bits, lambda store: store.read()):
            with pytest.raises(
                CodeSetError, match=r"no such code set; .*: bitcodes push codes.npy"
            ):
                use(store)
        for change in (lambda: store.append(code_set), lambda: store.delete(["a"])):
            with pytest.raises(CodeSetError, match="no such code set"):
                change()
        assert store.update(code_set).added == 3
        check_holds(store, code_set)


def test_several_reads_see_one_version(new_url: Callable[[], str]) -> None:
    url = new_url()
    one, other = make_set(1, 12, 30, "uniform"), make_set(2, 12, 30, "uniform")
    with open_store(url) as writer, open_store(url) as reader:
        writer.replace(one)
        with reader.reading():
            before = reader.search(one.codes[:2], 5)
            writer.delete(one.paths[:20])
            np.testing.assert_array_equal(before, reader.search(one.codes[:2], 5))
            assert len(reader) == 30
        assert len(reader) == 10
        writer.replace(other)
        assert list(reader.read().paths) == list(other.paths)
