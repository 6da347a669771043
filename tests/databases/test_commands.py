"""The commands on a set in PostgreSQL: what they print is what they print of files."""

import json
from collections.abc import Callable
from pathlib import Path

import commands
import numpy as np
import psycopg
import pytest
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import open_store

DEAF = "postgresql://someone:se%2Fcret@127.0.0.1:9/db?table=photos"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes, their code set with labels, and a query."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for kind, colour in (("cats", 60), ("dogs", 190)):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(4):
            noise = rng.integers(0, 40, (32, 32, 3), np.uint8) + np.uint8(colour)
            Image.fromarray(noise).save(folder / "photos" / kind / f"{number}.png")
    kinds = enumerate(("cats", "dogs"))
    lines = [f"{kind}/{number}.png {label}\n" for label, kind in kinds for number in range(4)]
    (folder / "photos/list.txt").write_text("".join(lines))
    assert not commands.run(*encode(folder))
    return folder


def encode(folder: Path) -> tuple[object, ...]:
    return (
        "encode",
        folder / "photos/list.txt",
        "-o",
        folder / "codes.npy",
        "--run",
        "built-in",
        "--labels",
        "index",
    )


def output(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    capfd.readouterr()
    assert not commands.run(*words), capfd.readouterr().err
    return capfd.readouterr().out


def without_names(text: str) -> dict[str, object]:
    return {**json.loads(text), "codes": None, "has_features": None}


def test_from_encode_to_evaluate(
    folder: Path, new_url: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    url, file = new_url(), folder / "codes.npy"
    pushed = json.loads(output(capfd, "push", file, url, "--json"))
    assert pushed["count"] == 8 and pushed["url"] == url
    again = f"8 codes of 128 bits in {url}, which were there already\n"
    assert output(capfd, "push", file, url) == again == output(capfd, "push", file, url, "--update")

    query = folder / "photos/cats/1.png"
    for words in (
        ("search", query, "-k", 3, "--json"),
        ("search", folder / "photos", "--radius", 30, "--json"),
        ("search", query, "--asymmetric", "--shortlist", 5, "--json"),
    ):
        from_file = output(capfd, *words, "--codes", file)
        assert without_names(output(capfd, *words, "--codes", url)) == without_names(from_file)

    assert without_names(output(capfd, "duplicates", url, "--radius", 40, "--json")) == (
        without_names(output(capfd, "duplicates", file, "--radius", 40, "--json"))
    )
    figures = [
        json.loads(output(capfd, "evaluate", "--queries", one, "--database", one, "--json"))
        for one in (file, url)
    ]
    assert figures[0]["figures"] == figures[1]["figures"]
    assert figures[0]["classes"] == figures[1]["classes"]
    info = json.loads(output(capfd, "info", url, "--json"))
    assert (info["codes"], info["count"], info["bits"]) == (url, 8, 128)

    Image.new("RGB", (32, 32), "red").save(folder / "photos/dogs/3.png")
    assert not commands.run(*encode(folder))
    updated = json.loads(output(capfd, "push", file, url, "--update", "--json"))
    assert [updated[name] for name in ("added", "changed", "removed")] == [0, 1, 0]
    query = folder / "photos/dogs/3.png"
    hits = json.loads(output(capfd, "search", query, "--codes", url, "-k", 1, "--json"))
    assert hits["queries"][0]["results"][0]["path"] == "dogs/3.png"


def test_a_push_is_left_out_only_if_the_set_is_there(
    folder: Path, engine: str, new_url: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    url, file = new_url(), folder / "codes.npy"
    table = url.partition("table=")[2]
    whole = CodeSet.open(file)

    def is_written() -> bool:
        pushed = json.loads(output(capfd, "push", file, url, "--json"))
        with open_store(url) as store:
            assert np.array_equal(store.read().codes, whole.codes)
        return pushed["added"] is None

    assert [is_written(), is_written()] == [True, False]
    with open_store(url) as store:
        store.delete(whole.paths[:1])
        assert is_written() and not is_written()
        store.update(whole)
        assert not is_written()
        store.replace(CodeSet.from_arrays(whole.codes, 128, whole.paths))
        assert is_written()
    if engine != "postgresql":
        return
    for change in (
        f"DELETE FROM {table} WHERE id = 2",
        f"ALTER TABLE {table} ALTER code TYPE bit(9) USING code::bit(9)",
        f"DROP TABLE {table}",
    ):
        with psycopg.connect(url.partition("?")[0]) as connection:
            connection.execute(change)
        assert is_written() and not is_written()


def test_a_password_is_never_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    urls = (
        DEAF,
        DEAF.replace("%2F", "/"),
        DEAF.replace("%2F", "@"),
        DEAF.replace("%2F", "?"),
        DEAF.replace("someone:se%2Fcret@", "") + "&password=secret&user=x",
        DEAF + "&bogus=1",
        DEAF + "&table=two",
    )
    for url in urls:
        for words in (("push", folder / "codes.npy", url), ("info", url), ("duplicates", url)):
            assert commands.run(*words) == 1
            out, error = capfd.readouterr()
            assert "cret" not in out + error
            assert error.startswith(("error: the URL of the database", "error: postgresql://"))
            assert error.count("\n") == 1


def test_what_is_missing_or_refused_is_one_line(
    folder: Path, new_url: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    url = new_url()
    assert commands.run("search", folder / "photos", "--codes", url) == 1
    assert f"error: {url}: there is no such code set; to store one there: bitcodes push" in (
        capfd.readouterr().err
    )
    assert commands.run("push", folder / "codes.npy", url, "--table", "x" * 201) == 1
    assert "; name another one (--table)" in capfd.readouterr().err
    other = CodeSet.from_arrays(np.zeros((2, 16), np.uint8), 128, fingerprint="other")
    from bitcodes.tasks.push import push

    push(other, url)
    assert commands.run("push", folder / "codes.npy", url, "--update") == 1
    assert "another model" in capfd.readouterr().err
    assert commands.run("search", folder / "codes.npy", "--codes", url) == 1
    assert "another model" in capfd.readouterr().err
    assert commands.run("search", folder / "photos", "--codes", url, "--rerank") == 1
    assert "no features" in capfd.readouterr().err
