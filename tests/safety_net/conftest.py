"""The option --store, and what each test gets: a command line, a folder, its stored results."""

import io
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safety_net import inputs
from safety_net.stored import Stored

_RESULTS = Path(__file__).parent / "results"
_PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --store, where this folder is named on the command line."""
    parser.addoption(
        "--store", action="store_true", help="store the safety net's results, compare nothing"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test passed, for what comes after it."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@dataclass
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos and a run whose codes are the same on every machine."""
    monkeypatch.chdir(tmp_path)
    inputs.make_photos(tmp_path / "photos")
    model = tmp_path / "runs" / "exact" / "model.safetensors"
    inputs.make_model(model, fingerprint=inputs.FINGERPRINT)
    return tmp_path


@pytest.fixture
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    """The stored results of the test, by its name."""
    name = request.node.name.removeprefix("test_")
    results = Stored(_RESULTS / name, tmp_path, request.config.getoption("--store", default=False))
    yield results
    if request.node.stash.get(_PASSED, False):
        results.check_all_compared()


@pytest.fixture
def bitcodes(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Run a command in this process and expect an exit status, 0 if none is given."""
    from safety_net.inside import main

    def run(*arguments: object, stdin: bytes = b"", expect: int = 0) -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        shown = capfdbinary.readouterr()
        done = Done(code, os.fsdecode(shown.out), os.fsdecode(shown.err))
        assert code == expect, f"{arguments}: exit status {code}, {done.err}"
        assert f"\n{done.err}".count("\nerror: ") == (code in (1, 2)), done.err
        return done

    return run
