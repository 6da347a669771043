"""The service as it runs: started and stopped, sets that change, a folder that is not encoded."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from server.conftest import app_of
from tiny import make_pictures

from bitcodes import server
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError, ConfigError


def store(path: Path, number: int, count: int = 300) -> None:
    """A set whose codes and paths tell its number, by which every row differs."""
    codes = np.full((count, 4), number, np.uint8)
    paths = [f"{number}/{row}.jpg" for row in range(count)]
    save_code_set(CodeSet.from_arrays(codes, 32, paths), path, force=True)


def test_a_set_that_changes_is_opened_again_and_no_answer_is_mixed(tmp_path: Path) -> None:
    store(tmp_path / "one.npy", 0)
    wrong: list[str] = []
    seen: set[str] = set()
    over = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url) as web:
            while not over.is_set():
                answer = web.get("/v1/search?row=7&row=8&k=3")
                if answer.status_code != 200:
                    wrong.append(answer.text)
                    continue
                body = answer.json()
                paths = [hit["path"] for query in body["queries"] for hit in query["results"]]
                numbers = {path.partition("/")[0] for path in paths}
                codes = {query["code"][:2] for query in body["queries"]}
                if len(numbers) != 1 or codes != {f"{int(*numbers):02x}"}:
                    wrong.append(str(body))
                seen.update(numbers)

    with server.start(tmp_path / "one.npy") as running:
        threads = [threading.Thread(target=ask, args=(running.url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(4):
            if number:
                store(tmp_path / "one.npy", number)
            deadline = time.monotonic() + 20
            while str(number) not in seen and not wrong and time.monotonic() < deadline:
                time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert seen == {"0", "1", "2", "3"}


def test_a_set_that_breaks_stays_as_it_was(tmp_path: Path) -> None:
    store(tmp_path / "one.npy", 5)
    app = app_of(tmp_path / "one.npy")
    with TestClient(app, "http://localhost") as client:
        header = (tmp_path / "one.json").read_bytes()
        (tmp_path / "one.json").write_text("{")
        assert not app.state.service.sets["one"].refresh()
        (tmp_path / "one.json").write_bytes(header)
        assert client.get("/v1/search?row=1").status_code == 200
        store(tmp_path / "one.npy", 6)
        path = ""
        for _ in range(200):
            path = client.get("/v1/images/1").json()["path"]
            if path == "6/1.jpg":
                break
            time.sleep(0.05)
        assert path == "6/1.jpg"


def test_several_sets_by_name(tmp_path: Path, stored: Path) -> None:
    store(tmp_path / "one.npy", 5)
    with TestClient(app_of(stored, tmp_path / "one.npy"), "http://localhost") as client:
        assert client.get("/v1/search?row=1").json()["codes"] == "photos"
        assert client.get("/v1/search?row=1&set=one").json()["bits"] == 32
    with pytest.raises(ConfigError, match="two code sets are named 'one'"):
        server.start([tmp_path / "one.npy", tmp_path / "one.npy"])
    with pytest.raises(CodeSetError, match="there is no such code set"):
        server.start(tmp_path / "two.npy")


def test_a_full_queue_is_503_and_a_later_try_succeeds(stored: Path) -> None:
    app = app_of(stored)
    with TestClient(app, "http://localhost") as client:
        app.state.service.searches._waiting = 0
        answer = client.get("/v1/search?row=1")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["detail"] == "too many searches wait already; try again"
        app.state.service.searches._waiting = 1
        assert client.get("/v1/search?row=1").status_code == 200


def test_a_folder_is_encoded_when_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 5)
    with server.start("photos") as running, httpx.Client(base_url=running.url) as web:
        assert web.get("/readyz").status_code == 503
        assert web.get("/v1/search?row=0").status_code == 400
        assert web.get("/v1/info").json()["preparing"]["state"] == "offered"
        assert not Path("codes.npy").exists()
        assert web.post("/v1/encode").status_code == 202
        deadline = time.monotonic() + 60
        while web.get("/readyz").status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        found = web.get("/v1/search?row=3&k=1").json()["queries"][0]["results"]
        assert found[0]["path"] == "03.png"
        assert web.get("/v1/info").json()["preparing"] is None
    with server.start("photos") as running:
        assert httpx.get(f"{running.url}readyz").status_code == 200
    make_pictures(tmp_path / "others", 2)
    with server.start("others") as running, httpx.Client(base_url=running.url) as web:
        web.post("/v1/encode")
        state: dict[str, Any] = {"state": "running"}
        while state["state"] == "running":
            time.sleep(0.05)
            state = web.get("/v1/info").json()["preparing"]
        assert state["state"] == "failed" and "codes.npy" in state["error"]


def test_an_address_that_cannot_be_used_is_one_error(stored: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: cannot be used"):
            server.start(stored, port=port)
    with pytest.raises(ConfigError, match=r"--host no\.such\.invalid: expected a name"):
        server.start(stored, host="no.such.invalid")


def test_other_hosts_need_a_token(stored: Path) -> None:
    with server.start(stored, host="0.0.0.0") as running:
        assert running.token
        assert httpx.get(f"{running.url}v1/info").status_code == 401
        assert httpx.get(running.url_with_token, follow_redirects=True).status_code == 200


@pytest.mark.posix
def test_the_command_ends_gracefully_and_logs_json(stored: Path) -> None:
    command = [sys.executable, "-m", "bitcodes", "serve", str(stored), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--log-format", "json"], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    url = ""
    for line in process.stderr:
        if match := re.search(r"http://127\.0\.0\.1:\d+/", line):
            url = match[0]
            break
    for _ in range(200):
        try:
            ready = httpx.get(f"{url}readyz").status_code
        except httpx.HTTPError:
            ready = 0
        if ready == 200:
            break
        time.sleep(0.05)
    results: list[object] = []

    def ask() -> None:
        with httpx.Client(base_url=url) as web:
            try:
                while True:
                    results.append(web.get("/v1/search?row=1").status_code)
            except httpx.ConnectError:
                return  # no request that was taken is cut: the next one finds nobody
            except httpx.HTTPError as error:
                results.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(results) < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    rest = process.stderr.read()
    assert process.wait(30) in (0, -signal.SIGTERM)
    assert set(results) == {200}
    assert "Traceback" not in rest
    assert '"route": "/v1/search"' in rest and '"status": 200' in rest


def test_the_client_of_the_document_runs(
    stored: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
    (client,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "query.jpg").write_bytes((stored.parent / "warm/04.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    with server.start(stored) as running:
        exec(client.replace("http://localhost:8000", running.url.rstrip("/")), {})
    assert capsys.readouterr().out.splitlines()[0] == "0 warm/04.png"
