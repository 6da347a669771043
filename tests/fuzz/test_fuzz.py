"""A short run of every fuzz target; `python -m tests.fuzz NAME --minutes 60` is a long one."""

from pathlib import Path

from fuzz.running import fuzz
from fuzz.targets import TARGETS

EACH = 30


def test_changed_files_are_one_error_or_the_right_answer(tmp_path: Path) -> None:
    cases = [(name, seed) for name in TARGETS for seed in range(EACH)]
    results = list(fuzz(tmp_path, cases))
    assert len(results) == len(cases)
    problems = [f"{one.case}: {one.problem}" for one in results if one is not None]
    assert not problems, "\n".join(problems)
