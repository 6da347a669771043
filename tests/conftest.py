"""What all tests share."""

import signal
from pathlib import Path

import pytest

# A runner in the background may ignore Ctrl-C, and the processes that tests start and interrupt
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of noisy pictures in four colours: what training is tested on."""
    from small import make_dataset  # which loads torch

    return make_dataset(tmp_path_factory.mktemp("data") / "colours")
