"""Searches over HTTP, against distances that NumPy counts."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from server.conftest import app_of

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.server.app import create_app
from bitcodes.tasks.duplicates.finding import find_duplicates
from bitcodes.tasks.live_set import LiveSet
from bitcodes.tasks.searching.search import search


def nearest(database: CodeSet, code: NDArray[np.uint8], rows: list[int]) -> list[tuple[int, int]]:
    """(distance, row) of some rows, nearest first."""
    apart = np.bitwise_count(database.codes[rows] ^ code).sum(axis=1)
    return sorted(zip(apart.tolist(), rows, strict=True))


def hits(query: dict[str, Any]) -> list[tuple[int, int]]:
    return [(hit["distance"], hit["row"]) for hit in query["results"]]


@pytest.fixture(scope="module")
def database(stored: Path) -> CodeSet:
    return CodeSet.open(stored)


def test_rows_paths_and_codes_are_queries_of_one_request(
    client: TestClient, database: CodeSet
) -> None:
    code = database.codes[7].tobytes()
    given: dict[str, Any] = {"row": [3, 20], "path": ["warm/05.png"], "k": 6}
    given |= {"hex": [code.hex()], "base64": [base64.b64encode(code).decode()]}
    for answer in (client.get("/v1/search", params=given), client.post("/v1/search", json=given)):
        assert answer.status_code == 200, answer.text
        queries = answer.json()["queries"]
        every = list(range(24))
        for query, row in zip(queries, (3, 20, 17, 7, 7), strict=True):
            assert hits(query) == nearest(database, database.codes[row], every)[:6]
            assert query["code"] == database.codes[row].tobytes().hex()
        assert queries[2]["path"] == "warm/05.png"
        assert "file" not in answer.text


def test_images_as_a_body_and_as_a_form(client: TestClient, database: CodeSet) -> None:
    one, other = (
        (database.path.parent / name).read_bytes() for name in ("cold/02.png", "warm/00.png")
    )
    body = client.post("/v1/search?k=3", content=one, headers={"content-type": "image/png"}).json()
    form = client.post("/v1/search?k=3", files=[("image", one), ("image", other)]).json()
    assert body["queries"][0]["results"][0]["path"] == "cold/02.png"
    assert body["queries"][0] == form["queries"][0]
    assert form["queries"][1]["results"][0]["path"] == "warm/00.png"
    assert form["queries"][1]["code"] == database.codes[12].tobytes().hex()


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ({"label": "0"}, range(12, 24)),
        ({"label": ["0", "1"]}, [0, 1, 2, *range(12, 24)]),
        ({"under": "warm/"}, range(12, 24)),
        ({"glob": "*/0[13].png"}, [1, 3, 13, 15]),
        ({"glob": "*/0?.png", "under": "cold/0"}, range(10)),
        ({"under": "none"}, []),
    ],
    ids=["label", "labels", "under", "glob", "both", "none"],
)
def test_filters_leave_the_nearest_of_what_they_let_through(
    client: TestClient, database: CodeSet, condition: dict[str, Any], rows: Any
) -> None:
    for bound in ({"k": 4}, {"radius": 10}):
        answer = client.get("/v1/search", params={"row": 1, **bound, **condition}).json()
        expected = nearest(database, database.codes[1], list(rows))
        expected = [hit for hit in expected if hit[0] <= bound.get("radius", 24)]
        assert hits(answer["queries"][0]) == expected[: bound.get("k", 24)]
        assert answer["count"] == len(rows)


def test_reranked_searches_are_those_of_the_library(client: TestClient, stored: Path) -> None:
    picture = stored.parent / "cold/04.png"
    for options in ({"rerank": True}, {"asymmetric": True}):
        expected = search(picture, stored, k=5, **options).queries[0].hits
        body = client.post("/v1/search", params={"k": 5, **options}, content=picture.read_bytes())
        found = body.json()["queries"][0]["results"]
        assert [hit["row"] for hit in found] == [hit.row for hit in expected]
        name = "feature_distance" if "rerank" in options else "output_distance"
        distances = [hit.fine_distance for hit in expected]
        assert [hit[name] for hit in found] == pytest.approx(distances, abs=1e-4)
    row = client.get("/v1/search?row=4&rerank=true&k=2").json()["queries"][0]["results"][0]
    assert (row["row"], row["feature_distance"]) == (4, 0)


def test_a_radius_says_if_there_is_more(client: TestClient) -> None:
    for k, more in ((5, True), (24, False)):
        query = client.get(f"/v1/search?row=0&radius=24&k={k}").json()["queries"][0]
        assert (len(query["results"]), query["more"]) == (k, more)


def test_duplicates_of_a_row_and_groups(client: TestClient, database: CodeSet) -> None:
    answer = client.get("/v1/images/5/duplicates?radius=6").json()["queries"][0]
    expected = nearest(database, database.codes[5], list(range(24)))
    assert hits(answer) == [hit for hit in expected if hit[0] <= 6]
    groups = find_duplicates(database, 7).groups
    assert len(groups) > 1
    for offset, limit in ((0, 1), (1, 50)):
        part = client.get(f"/v1/duplicates?radius=7&offset={offset}&limit={limit}").json()
        assert part["total"] == len(groups)
        rows = [[image["row"] for image in images] for images in part["groups"]]
        expected = groups[offset : offset + limit]
        assert rows == [[image.row for image in images] for images in expected]


def test_a_filter_leaves_groups_of_which_it_leaves_an_image(
    client: TestClient, database: CodeSet
) -> None:
    groups = [[image.row for image in group] for group in find_duplicates(database, 7).groups]
    for condition, rows in (("label=0", range(12, 24)), ("glob=*/0[13].png", [1, 3, 13, 15])):
        part = client.get(f"/v1/duplicates?radius=7&{condition}").json()
        expected = [group for group in groups if {*group} & {*rows}]
        assert [[image["row"] for image in images] for images in part["groups"]] == expected
        assert part["total"] == len(expected)
        assert part["extra"] == sum(len(group) - 1 for group in expected)


def test_decisions_are_saved_only_where_the_service_takes_them(
    client: TestClient, tmp_path: Path
) -> None:
    codes = np.array([[0], [1], [3], [255], [254]], np.uint8)
    one = CodeSet.from_arrays(codes, 8, ["a.jpg", "b.jpg", "c\td.jpg", "x.jpg", "y.jpg"])
    save_code_set(one, tmp_path / "one.npy")
    given = {
        "decisions": [
            {"word": "duplicate", "paths": ["b.jpg", "a.jpg"]},
            {"word": "different", "paths": ["b.jpg", "c\td.jpg"]},
        ]
    }
    answer = client.post("/v1/decisions", json=given)
    assert answer.status_code == 403 and "--decisions" in answer.json()["detail"]
    app = create_app([LiveSet(tmp_path / "one.npy")], [], None, print, takes_decisions=True)
    with TestClient(app, "http://localhost") as other:
        groups = [["a.jpg", "b.jpg", "c\td.jpg"], ["x.jpg", "y.jpg"]]
        assert paths_of(other.get("/v1/duplicates?radius=2")) == groups
        assert other.post("/v1/decisions", json=given).json()["decisions"] == 2
        written = (tmp_path / "one.decisions.tsv").read_text().splitlines()
        assert written[1:] == ["duplicate\tb.jpg\ta.jpg", "different\tb.jpg\tc\\td.jpg"]
        groups[0] = ["b.jpg", "a.jpg"]
        assert paths_of(other.get("/v1/duplicates?radius=2")) == groups
        for wrong in (
            {"word": "duplicate", "paths": ["b.jpg", "../b.jpg"]},
            {"word": "duplicate", "paths": ["b.jpg"]},
            {"word": "delete", "paths": ["a.jpg", "b.jpg"]},
            {"word": "different", "paths": ["a.jpg", "a.jpg"]},
        ):
            assert other.post("/v1/decisions", json={"decisions": [wrong]}).status_code == 400
        foreign = {"origin": "http://evil.example"}
        assert other.post("/v1/decisions", json=given, headers=foreign).status_code == 403
        assert (tmp_path / "one.decisions.tsv").read_text().splitlines() == [
            "# bitcodes: decisions on near-duplicates",
            *written[1:],
        ]


def paths_of(answer: Any) -> list[list[str]]:
    return [[image["path"] for image in images] for images in answer.json()["groups"]]


def test_information_of_the_set(client: TestClient) -> None:
    (described,) = client.get("/v1/info").json()["sets"]
    assert described["labels"] == [{"name": "0", "count": 12}, {"name": "1", "count": 3}]
    assert (described["count"], described["bits"], described["features"]) == (24, 24, True)
    image = client.get("/v1/images/13").json()
    assert (image["path"], image["labels"]) == ("warm/01.png", ["0"])


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("search?row=24", "row: expected a whole number from 0 to 23; found 24"),
        ("search?row=-1", "row: expected a whole number of at least 0; found '-1'"),
        ("search?row=x", "row: expected a whole number; found 'x'"),
        ("search?row=1&k=1001", "k: expected a whole number up to 1,000; found '1001'"),
        ("search?row=1&k=0", "k: expected a whole number of at least 1; found '0'"),
        ("search", "expected 1 to 64 queries: row, path, hex or base64; found 0"),
        ("search?rows=1", "rows: there is no such parameter"),
        ("search?row=1&order=x", "order: expected sum or class; found 'x'"),
        ("search?row=1&order=sum", "has codes of one part, which have one order"),
        ("search?row=1&rerank=1&asymmetric=1", "asymmetric: use it or rerank, not both"),
        ("search?row=1&shortlist=5", "shortlist: it needs rerank or asymmetric"),
        ("search?row=1&asymmetric=1", "a code is not the hash outputs"),
        ("search?row=1&label=2", "expected 0 or 1; found '2'"),
        ("search?row=1&set=x", "set: expected photos; found 'x'"),
        ("search?hex=00", "hex: expected a code of 24 bits, which are 3 bytes; found 1 byte"),
        ("search?hex=0x", "hex: expected a code of 24 bits in hex; found '0x'"),
        ("search?path=../photos.npy", "path: expected an image of "),
        ("search?path=%5Cq", "path: expected a path as results have it"),
        ("images/24", "row: expected a whole number from 0 to 23; found 24"),
        ("images/1/thumbnail?size=huge", "size: expected small, medium or large; found 'huge'"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_command_line(
    client: TestClient, address: str, detail: str
) -> None:
    answer = client.get(f"/v1/{address}")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code == 400
    assert detail in problem["detail"]


def test_another_method_is_refused_with_those_that_are_there(client: TestClient) -> None:
    for address, methods in (("/v1/search", "GET, POST"), ("/v1/encode", "POST"), ("/", "GET")):
        answer = client.put(address)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert f"expected {' or '.join(methods.split(', '))}; found PUT" in answer.json()["detail"]


def test_several_searches_at_once_are_those_one_by_one(stored: Path, database: CodeSet) -> None:
    import httpx

    async def ask() -> list[Any]:
        app = app_of(stored)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as web:
                rows = [row % 24 for row in range(100)]
                asked = (web.get(f"/v1/search?row={row}&k={1 + row % 3}") for row in rows)
                answers = await asyncio.gather(*asked)
                metrics = (await web.get("/metrics")).text
        assert 'bitcodes_batch_size_count{kind="search"}' in metrics
        batches = float(metrics.split('bitcodes_batch_size_count{kind="search"} ')[1].split()[0])
        assert batches < 50
        return answers

    for row, answer in enumerate(asyncio.run(ask())):
        expected = nearest(database, database.codes[row % 24], list(range(24)))
        assert hits(answer.json()["queries"][0]) == expected[: 1 + row % 24 % 3]


def test_the_quick_way_gives_the_answers_of_the_long_one(
    client: TestClient, tmp_path: Path
) -> None:
    odd = CodeSet.from_arrays(
        np.random.default_rng(1).integers(0, 256, (60, 4), np.uint8),
        32,
        [f'{row}"<\\\n\udcffé☃.jpg' for row in range(60)],
        np.arange(60) % 3,
        class_names=['a"', "b\\", "ç"],
    )
    save_code_set(odd, tmp_path / "odd.npy")
    with TestClient(app_of(tmp_path / "odd.npy"), "http://localhost") as other:
        for web in (client, other):
            for query in (
                "",
                "&k=1",
                "&k=7",
                "&radius=9",
                "&radius=0&k=3",
                "&k=1000",
                "&radius=99",
            ):
                for row in (0, 5, 23):
                    quick = web.get(f"/v1/search?row={row}{query}")
                    long = web.get(f"/v1/search?row={row}{query}&rerank=false")
                    assert "server-timing" in long.headers
                    assert "server-timing" not in quick.headers
                    assert quick.json() == long.json()


def test_the_description_is_whole_and_its_examples_are_answers(client: TestClient) -> None:
    text = client.get("/v1/openapi.json").text
    description = json.loads(text)
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', text)):
        part = description
        for name in reference.split("/"):
            part = part[name]
    for address, name in (
        ("search?row=1&rerank=false", "/v1/search"),
        ("images/1", "/v1/images/{row}"),
        ("images", "/v1/images"),
        ("duplicates?radius=7", "/v1/duplicates"),
        ("clusters", "/v1/clusters"),
        ("info", "/v1/info"),
    ):
        content = description["paths"][name]["get"]["responses"]["200"]["content"]
        example = content["application/json"]["example"]
        assert set(example) <= set(client.get(f"/v1/{address}").json()), name
