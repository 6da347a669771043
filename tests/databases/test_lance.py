"""Lance: versions, other data, names, and what a reader sees while sets are written."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lance", reason="pylance is not installed: pip install 'bitcodes[lance]'")

import lance
import pyarrow
from stores import check_holds, check_like, make_set

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.lance.place import parse_url
from bitcodes.databases.urls import is_store_url, open_store
from bitcodes.errors import BitcodesError, CodeSetError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"lance:{tmp_path / 'sets'}"


def test_urls_name_a_folder_and_a_table() -> None:
    place = parse_url("lance:photos/sets?table=a%2Db")
    assert place.uri == str(Path("photos/sets/a-b.lance"))
    assert place.name == "lance:photos/sets?table=a-b"
    assert parse_url("lance:photos").name == "lance:photos"
    assert parse_url("lance:photos?table=a", "b").table == "b"
    remote = parse_url("lance:s3://bucket/sets/")
    assert (remote.uri, remote.folder) == ("s3://bucket/sets/codes.lance", None)
    assert is_store_url("lance:photos") and not is_store_url("lance/codes.npy")


@pytest.mark.parametrize("bad", ["lance:", "lance:?table=a", "lance:a?b", "lance:a?x=1"])
def test_malformed_urls(bad: str) -> None:
    with pytest.raises(CodeSetError, match="expected lance:FOLDER"):
        parse_url(bad)


@pytest.mark.parametrize("table", ["a/b", "..", "a'b", "é", "x" * 64, "a b", "-a"])
def test_names_that_are_no_names_of_tables(table: str) -> None:
    with pytest.raises(CodeSetError, match="expected a name of up to 63 letters"):
        parse_url("lance:photos", table)


def test_data_of_others_is_left_alone(url: str, tmp_path: Path) -> None:
    code_set = make_set(1, 12, 5, "uniform")
    table = pyarrow.table({"path": ["a"]})
    (tmp_path / "sets").mkdir()
    lance.write_dataset(table, str(tmp_path / "sets/codes.lance"))
    with open_store(url) as store:
        for change in (store.replace, store.update, store.append):
            with pytest.raises(CodeSetError, match="other data, which is left alone"):
                change(code_set)
        for read in (store.read, lambda: len(store), lambda: store.search(code_set.codes, 1)):
            with pytest.raises(CodeSetError, match="other data, which is left alone"):
                read()
    assert lance.dataset(str(tmp_path / "sets/codes.lance")).to_table() == table


def test_the_folder_around_must_be_there(tmp_path: Path) -> None:
    with open_store(f"lance:{tmp_path}/none/sets") as store:
        with pytest.raises(BitcodesError, match=r"cannot write .*sets: there is no folder"):
            store.replace(make_set(1, 12, 5, "uniform"))
        with pytest.raises(CodeSetError, match="there is no such code set"):
            store.read()


def test_rows_that_another_program_wrote_are_checked(url: str, tmp_path: Path) -> None:
    with open_store(url) as store:
        store.replace(make_set(1, 12, 5, "uniform"))
        version = lance.dataset(str(tmp_path / "sets/codes.lance"))
        row = version.take([0]).to_pylist()[0]
        stray = {**row, "id": 7, "code": [255, 255], "path": "x"}
        version.insert(pyarrow.Table.from_pylist([stray], version.schema))
        with pytest.raises(CodeSetError, match="4 bits of a code of 12 bits are padding"):
            store.read()
        with pytest.raises(CodeSetError, match="padding"):
            store.search(np.zeros((1, 2), np.uint8), 1)


def test_a_search_sees_each_change(url: str) -> None:
    """What was read for the last search is not what is there after a change, or anew."""
    one, other = make_set(1, 12, 30, "uniform"), make_set(2, 12, 30, "uniform")
    with open_store(url) as reader, open_store(url) as writer:
        for code_set in (one, other, one):
            writer.replace(code_set)
            check_like(reader, code_set, np.arange(30), code_set.codes[:2])
        writer.delete(one.paths[:29])
        last = CodeSet.from_arrays(one.codes[29:], 12, one.paths[29:], fingerprint="one")
        check_like(reader, last, np.array([29]), last.codes)


PUSH = """
import sys
from stores import make_set
from bitcodes.databases.urls import open_store
print("ready", flush=True)
with open_store(sys.argv[1]) as store:
    for _ in range(1000):
        for seed in (2, 1):
            getattr(store, sys.argv[2])(make_set(seed, 64, 3000, "uniform"))
"""


@pytest.mark.parametrize("change", ["replace", "update"])
def test_a_writer_that_is_killed_leaves_the_old_set_or_the_new_one(url: str, change: str) -> None:
    versions = [make_set(seed, 64, 3000, "uniform") for seed in (1, 2)]
    expected = [(version.codes.tobytes(), list(version.paths)) for version in versions]
    with open_store(url) as store:
        store.replace(versions[0])
        for delay in (0.02, 0.1):
            code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}){PUSH}"
            writer = subprocess.Popen(
                [sys.executable, "-c", code, url, change], stdout=subprocess.PIPE
            )
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay)
            writer.kill()
            writer.communicate()
            back = store.read()
            assert (back.codes.tobytes(), list(back.paths)) in expected
        store.replace(versions[1])  # what the killed ones left is not in the way
        check_holds(store, versions[1])
