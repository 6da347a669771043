"""What a process may use of the machine."""

import os

import pytest

from bitcodes import machine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_only_the_cores_that_this_process_may_use_are_counted() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.core_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert machine.core_count() == len(allowed)


def test_cores_are_counted_where_the_system_has_no_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("process_cpu_count", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    assert machine.core_count() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.core_count() == 1


def test_memory_is_told_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = machine.memory_bytes()
    assert known is None or known > 2**28
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert machine.memory_bytes() is None
    monkeypatch.setattr(machine.sys, "platform", "win32")
    assert machine.memory_bytes() is None  # without the Windows API
