"""A short run of every fuzz target; `python -m tests.fuzz NAME --minutes 60` is a long one."""

from pathlib import Path

import pytest
from fuzz.running import fuzz
from fuzz.targets import TARGETS, TORCH_TARGETS

EACH = 30


@pytest.mark.parametrize("targets", [TARGETS, TORCH_TARGETS], ids=["without torch", "with torch"])
def test_changed_files_are_one_error_or_the_right_answer(
    targets: dict[str, object], tmp_path: Path
) -> None:
    cases = [(name, seed) for name in targets for seed in range(EACH)]
    results = list(fuzz(tmp_path, cases))
    assert len(results) == len(cases)
    problems = [f"{one.case}: {one.problem}" for one in results if one is not None]
    assert not problems, "\n".join(problems)
