"""docs/security.md: its limits are those of the program, its tests exist."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_limits_are_those_of_the_program() -> None:
    rows = re.findall(r"\| `(bitcodes[\w.]*)\.(\w+)` \| ([\d,]+) \|", PAGE)
    assert len(rows) > 8
    for module, name, value in rows:
        assert getattr(importlib.import_module(module), name) == int(value.replace(",", "")), name


def test_tests_that_it_names_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    names = re.findall(r"`(test_\w+)`", PAGE)
    assert names and all(f"def {name}(" in text for name in names)


def test_every_promise_names_its_tests() -> None:
    promises = PAGE.split("## What is promised")[1].split("\n## ")[0].split("\n- **")[1:]
    assert len(promises) > 6
    assert all(re.search(r"\(`test_\w+`", promise) for promise in promises)
