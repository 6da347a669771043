"""Milvus: what other collections, other writers and odd URLs may do."""

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from stores import check_holds, check_like, make_set, queries_for

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import is_store_url, open_store
from bitcodes.errors import CodeSetError

HOSTILE = [
    'a" or id >= 0 or path == "',
    "a\\",
    'a\\"',
    "a' or true --",
    "a%_",
    "é\n\r\t",
    "\U0010ffff",
    "!",
    "\x0c",
]


@pytest.fixture(scope="module")
def engine() -> str:
    return "milvus"


def test_hostile_texts_are_text(new_url: Callable[[], str]) -> None:
    from bitcodes.databases.store import Condition

    paths = [f"{name}{number}" for name in HOSTILE for number in range(2)]
    codes = np.arange(len(paths), dtype=np.uint8)[:, None]
    code_set = CodeSet.from_arrays(
        codes, 8, paths, np.arange(len(paths)) % 2, class_names=HOSTILE[:2], fingerprint=HOSTILE[0]
    )
    with open_store(new_url()) as store:
        store.replace(code_set)
        check_holds(store, code_set)
        for name in HOSTILE:
            store.filtered(Condition(under=name))
            rows = [row for row, path in enumerate(paths) if path.startswith(name)]
            assert len(store) == len(rows)
            assert np.sort(store.within(codes[:1], 8).rows).tolist() == rows
        store.filtered(Condition())
        assert store.delete([paths[3], "' or true --"]) == 1


def test_more_results_than_milvus_gives(
    new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are asked for in halves, until Milvus gives all of them."""
    from bitcodes.databases.milvus import store as module

    monkeypatch.setattr(module, "_MOST", 30)
    monkeypatch.setattr(module, "_ROWS", 70)
    with open_store(new_url()) as store:
        for kind in ("equal", "clustered"):
            code_set = make_set(4, 12, 120, kind)
            store.replace(code_set)
            left = np.arange(0, 120, 2)
            for rows in (np.arange(120), left):
                some = CodeSet.from_arrays(
                    code_set.codes[rows], 12, [code_set.paths[r] for r in rows], fingerprint="one"
                )
                check_like(store, some, rows, queries_for(code_set, 0))
                store.delete(code_set.paths[1::2])


def test_collections_of_others_are_left_alone(new_url: Callable[[], str]) -> None:
    from pymilvus import DataType, MilvusClient

    url = new_url()
    code_set = make_set(1, 12, 5, "uniform")
    with open_store(url) as store:
        schema = MilvusClient.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=8)
        names = [store._place.collection + suffix for suffix in ("_other", "_0123")]
        for name in names:
            store._client.create_collection(name, schema=schema)
        if store._place.file is None:  # in a file, no alias can have the name of a collection
            store._client.create_collection(store._place.collection, schema=schema)
            for change in (store.replace, store.update):
                with pytest.raises(CodeSetError, match="other data, which is left alone"):
                    change(code_set)
            store._client.drop_collection(store._place.collection)
        for _ in range(2):
            store.replace(code_set)
        check_holds(store, code_set)
        assert set(names) < set(store._client.list_collections())


def test_what_a_killed_push_has_left_goes_with_the_next(new_url: Callable[[], str]) -> None:
    one, other = make_set(1, 12, 30, "uniform"), make_set(2, 12, 30, "uniform")
    url = new_url()
    with open_store(url) as store:
        store.replace(one)
        left = store._versions.new_name()
        store._fill(left, other, np.arange(30), None)
        check_holds(store, one)
    with open_store(url) as store:
        store.replace(other)
    with open_store(url) as store:
        check_holds(store, other)
        assert left not in store._client.list_collections()
        assert len(store._versions._collections()) <= 2  # in a file, one that says "complete"


def test_of_two_writers_one_is_refused(new_url: Callable[[], str]) -> None:
    url = new_url()
    one, other = make_set(1, 12, 30, "uniform"), make_set(2, 12, 30, "uniform")
    with open_store(url) as first, open_store(url) as second:
        first.replace(one)

        def interrupt(done: int, total: int | None) -> None:
            with open_store(url) as third:
                third.replace(other)  # and drops what is older

        with pytest.raises(CodeSetError, match="replaced meanwhile"):
            first.replace(one, interrupt)
        check_holds(second, other)

        def fail(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            first.replace(one, fail)
        check_holds(second, other)


def test_the_file_that_was_stored_last_is_known(new_url: Callable[[], str], tmp_path) -> None:
    from bitcodes.codes.writer import CodeSetWriter, plan_of

    files = []
    for seed in range(2):
        code_set = make_set(seed, 64, 30, "clustered", labels="multi-hot", stat=True)
        with CodeSetWriter(tmp_path / f"{seed}.npy", **plan_of(code_set)) as writer:
            writer.copy(code_set, 0, 30)
            writer.commit()
        files.append(CodeSet.open(tmp_path / f"{seed}.npy"))
    with open_store(new_url()) as store:
        assert not store.holds(files[0])
        store.replace(files[0])
        assert store.holds(files[0]) and not store.holds(files[1])
        store.delete(files[0].paths[:1])
        assert not store.holds(files[0])


MALFORMED = [
    "milvus://user:se/cret@host/photos",
    "milvus://secret@host:19530/photos",
    "milvus://host:port/photos",
    "milvus://host/photos?token=secret",
    "milvus:photos.npy",
    "milvus:",
    "milvus:///photos",
]


@pytest.mark.skipif(importlib.util.find_spec("pymilvus") is None, reason="no pymilvus")
@pytest.mark.parametrize("url", MALFORMED)
def test_malformed_urls_are_not_repeated(url: str) -> None:
    assert is_store_url(url)
    with pytest.raises(CodeSetError, match="URL of the database cannot be read") as error:
        open_store(url)
    assert "cret" not in str(error.value)


@pytest.mark.skipif(importlib.util.find_spec("pymilvus") is None, reason="no pymilvus")
def test_urls_name_a_collection() -> None:
    from bitcodes.databases.milvus.connection import parse_url

    place = parse_url("milvus://host:7/photos?secure=true&database=mine")
    assert place[:3] == ("https://host:7", "mine", "photos")
    assert place.name == "milvus://host:7/photos?secure=true&database=mine"
    assert parse_url("milvus://host", "b").name == "milvus://host/b"
    assert parse_url("milvus://[::1]").address == "http://[::1]:19530"
    assert parse_url("milvus:some/photos.db").name == "milvus:some/photos.db?table=codes"
    for name in ("1a", "a-b", "x" * 201, "é", "a b"):
        with pytest.raises(CodeSetError, match=r"name another one \(--table\)"):
            parse_url("milvus://host", name)
