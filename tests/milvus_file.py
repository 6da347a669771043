"""Files of Milvus Lite for tests, or collections of a server that is named."""

import importlib.util
import itertools
import os

import pytest

SERVER = "BITCODES_TEST_MILVUS"
"""The variable with the URL of a server, milvus://HOST:PORT, to test that instead of a file."""

_numbers = itertools.count()


def new_milvus_url(folders: pytest.TempPathFactory) -> str:
    """The URL of a place in Milvus where nothing is yet; skips the test if there is no Milvus."""
    for name in ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; CONTRIBUTING.md says how to test with Milvus")
    if server := os.environ.get(SERVER):
        return f"{server}/test_{os.getpid()}_{next(_numbers)}"
    return f"milvus:{folders.mktemp('milvus')}/codes.db?table=t{next(_numbers)}"
