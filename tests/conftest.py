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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of noisy pictures in four colours: what training is tested on."""
    from small import make_dataset  # which loads torch

    return make_dataset(tmp_path_factory.mktemp("data") / "colours")
