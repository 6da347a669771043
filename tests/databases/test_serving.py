"""The service of a set in a database: answers as from the file, and changes that it sees."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import make_set

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'bitcodes[serve]'")

from fastapi.testclient import TestClient
from postgres_server import PASSWORD, NoServerError, running_server

from bitcodes.codes.writer import save_code_set
from bitcodes.databases.urls import open_store
from bitcodes.errors import CodeSetError, ConfigError
from bitcodes.server.app import create_app
from bitcodes.server.running import Server
from bitcodes.tasks import live_set
from bitcodes.tasks.live_set import LiveSet

QUESTIONS = [
    "/v1/search?row=3&k=12",
    "/v1/search?row=0&radius=9&k=500",
    "/v1/search?row=5&k=7&under=ö/1/1",
    "/v1/search?row=5&k=7&label=cat",
    "/v1/images",
    "/v1/images/4",
    "/v1/duplicates?radius=2",
]


@pytest.fixture
def url(new_url: Callable[[], str]) -> Iterator[str]:
    """A place that holds a set of 60 codes."""
    url = new_url()
    with open_store(url) as store:
        store.replace(make_set(1, 24, 60, "clustered", labels="numbers"))
    yield url


def client_of(source: Path | str, notes: list[str]) -> TestClient:
    live = LiveSet(source, note=notes.append)
    app = create_app([live], [], None, notes.append, takes_decisions=True)
    return TestClient(app, "http://localhost")


def answers(client: TestClient, name: str) -> list[Any]:
    """The answers without what may differ: the name and the version of the set."""
    found = []
    for question in QUESTIONS:
        answer = client.get(question)
        content = answer.json() if answer.status_code < 500 else None
        text = json.dumps(content)
        if isinstance(content, dict):
            text = text.replace(str(content.get("version")), "").replace(name, "")
        found.append((question, answer.status_code, text))
    return found


def test_answers_are_those_of_the_file(url: str, tmp_path: Path) -> None:
    save_code_set(make_set(1, 24, 60, "clustered", labels="numbers"), tmp_path / "file.npy")
    with open_store(url) as store:
        table = store.table
    with client_of(url, []) as ours, client_of(tmp_path / "file.npy", []) as files:
        assert answers(ours, table) == answers(files, "file")
        assert ours.get("/readyz").status_code == 200


def test_changes_are_seen_and_a_lost_set_stays_searched(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_set, "_EVERY", 0)
    notes: list[str] = []
    live = LiveSet(url, note=notes.append)
    before = live.current.version
    assert not live.refresh()
    assert live.current.version == before
    with open_store(url) as store:
        store.replace(make_set(2, 24, 61, "clustered", labels="numbers"))
    assert live.refresh()
    assert live.current.version != before and live.current.database.count == 61
    with open_store(url) as store:
        gone = store.paths_of([0])
        store.delete(gone)
    assert live.refresh()
    assert gone[0] not in live.current.database.paths

    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise CodeSetError("the database is away")

        patch.setattr(live_set, "open_store", fail)
        patch.setattr(type(live._version), "is_current", lambda self: False)
        assert not live.refresh() and not live.refresh()
    assert notes == ["the database is away; the version before is searched until this is put right"]
    assert not live.refresh() and live.current.database.count == 60
    live.close()


def test_decisions_need_a_file(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--decisions: expected code sets in files"):
        Server(url, decisions=True)


def test_a_server_that_stops_and_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_set, "_EVERY", 0)
    password = PASSWORD.replace("/", "%2F").replace("@", "%40")
    try:
        with running_server() as database:
            url = f"{database.url.replace('@', f':{password}@', 1)}?table=photos"
            with open_store(url) as store:
                store.replace(make_set(1, 24, 60, "clustered"))
            notes: list[str] = []
            with client_of(url, notes) as client:
                assert client.get("/readyz").status_code == 200
                database.stop()
                away = wait_for(client, 503)
                assert "postgresql://tester@127.0.0.1" in away
                assert client.get("/v1/search?row=3&k=12").status_code == 200
                database.start()
                assert wait_for(client, 200) == "ready\n"
                with open_store(url) as store:
                    store.update(make_set(2, 24, 61, "clustered"))
                end = time.monotonic() + 60
                while client.get("/v1/images").json()["total"] != 61 and time.monotonic() < end:
                    time.sleep(0.05)
                assert client.get("/v1/images").json()["total"] == 61
    except NoServerError as error:
        pytest.skip(str(error))
    told = "\n".join([away, *notes])
    assert "the version before is searched until this is put right" in told
    assert not any(secret in told for secret in (PASSWORD, password, "Traceback"))


def wait_for(client: TestClient, status: int) -> str:
    """What /readyz answers, when it has this status."""
    end = time.monotonic() + 60
    while (answer := client.get("/readyz")).status_code != status and time.monotonic() < end:
        time.sleep(0.05)
    assert answer.status_code == status
    return answer.text
