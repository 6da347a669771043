"""Lines that come once and are gone through again and again."""

from collections.abc import Iterator

import pytest

from bitcodes.sources import spool
from bitcodes.sources.spool import Spool

LINES = [b"%d %s\n" % (number, b"x" * (number % 97)) for number in range(3456)]


def test_each_line_is_taken_once_and_only_when_it_is_needed() -> None:
    taken = []

    def lines() -> Iterator[bytes]:
        for line in LINES:
            taken.append(line)
            yield line

    kept = Spool(lines())
    assert taken == []
    assert next(iter(kept)) == LINES[0]
    assert len(taken) < len(LINES)
    assert list(kept) == list(kept) == taken == LINES


@pytest.mark.parametrize("in_memory", [100, 1 << 24])
def test_loops_may_go_through_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(spool, "_IN_MEMORY", in_memory)
    kept = Spool(LINES)
    assert list(zip(kept, kept, strict=True)) == list(zip(LINES, LINES, strict=True))


def test_no_lines_and_a_last_line_without_end() -> None:
    assert list(Spool([])) == []
    assert list(Spool([b"a\n", b"\n", b"b"])) == [b"a\n", b"\n", b"b"]
