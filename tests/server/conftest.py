"""A stored code set of small pictures in two folders, and the service of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tiny import make_pictures, make_run

from bitcodes.server.app import create_app
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.live_set import LiveSet

NAMES = [f"{folder}/{number:02}.png" for folder in ("cold", "warm") for number in range(12)]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 24 pictures with labels and features; do not change it."""
    folder = tmp_path_factory.mktemp("served")
    for seed, name in enumerate(("cold", "warm")):
        make_pictures(folder / name, 12, seed)
    lines = [f"{name} {int(name.startswith('warm'))} {int(name < 'cold/03')}" for name in NAMES]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    encode(make_run(folder / "run"), folder / "list.txt", folder / "photos.npy", features=True)
    return folder / "photos.npy"


def app_of(*paths: Path, token: str | None = None) -> FastAPI:
    return create_app([LiveSet(path) for path in paths], ["photos.example"], token, print)


@pytest.fixture(scope="session")
def client(stored: Path) -> Iterator[TestClient]:
    with TestClient(app_of(stored), "http://localhost") as client:
        yield client
