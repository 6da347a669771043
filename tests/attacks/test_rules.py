"""What a valid set may not contain: docs/code-format.md names every rule and its error."""

import re
from pathlib import Path

import pytest
from attacks.code_sets import BITS, COUNT, RULES, ChangedSet, set_at

from bitcodes.errors import CodeSetError

PAGE = (Path(__file__).parents[2] / "docs/code-format.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## What a valid set may not contain\n")[1].split("\n## ")[0]
ERRORS = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", SECTION, re.MULTILINE)[2:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ChangedSet:
    return ChangedSet(tmp_path_factory.mktemp("set"))


def test_the_page_names_every_rule() -> None:
    assert list(ERRORS) == list(RULES)


def test_a_set_that_breaks_no_rule_is_read(whole: ChangedSet) -> None:
    assert (set_at(whole.file).count, set_at(whole.file).bits) == (COUNT, BITS)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_its_error(rule: str, whole: ChangedSet) -> None:
    RULES[rule](whole.folder)
    with pytest.raises(CodeSetError) as caught:
        whole.read(set_at)
    pattern = re.escape(ERRORS[rule]).replace("…", ".+")
    found = str(caught.value).replace(str(whole.folder / "codes"), "codes")
    assert re.match(pattern, found), found
