"""Torch's idle threads soon sleep in the command line, unless the user wants something else."""

import os
import subprocess
import sys

import pytest

SHOW = """
import os
from bitcodes.cli.app import main
try:
    main(["--version"])
except SystemExit:
    pass
print([os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")])
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [None, "10000", "1"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None, None]),
        ({"GOMP_SPINCOUNT": "100"}, [None, "100", None]),
        ({"KMP_BLOCKTIME": "20"}, [None, None, "20"]),
    ],
)
def test_threads_soon_sleep_unless_the_user_says_how_they_wait(
    given: dict[str, str], expected: list[str | None]
) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=plain | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == str(expected)
