"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest

# A runner in the background may ignore Ctrl-C, and the processes that tests start and interrupt
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The networks of tests are too small to share out. Threads that wait for each other at every layer
# take as much again of an idle processor, and ten times as long beside other programs.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", "posix: uses links, pipes or signals that Windows has not")
    config.addinivalue_line("markers", "proc: reads /proc, which Linux alone has")
    config.addinivalue_line("markers", "exports: exports models to ONNX, a second and more each")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this system cannot do."""
    if os.name != "posix" and item.get_closest_marker("posix"):
        pytest.skip("this system has no such links, pipes or signals")
    if item.get_closest_marker("proc") and not Path("/proc/self/fd").is_dir():
        pytest.skip("this system has no /proc")


@pytest.fixture(autouse=True)
def unexported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch run every model that is not exported yet, but in tests marked `exports`."""
    if request.node.get_closest_marker("exports"):
        return

    def load_only(path: Path, log: object) -> object:
        from bitcodes.models.checkpoint import load_model

        return load_model(path, "cpu")

    monkeypatch.setattr("bitcodes.models.engines.export_now", load_only)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of noisy pictures in four colours: what training is tested on."""
    from small import make_dataset  # which loads torch

    return make_dataset(tmp_path_factory.mktemp("data") / "colours")
