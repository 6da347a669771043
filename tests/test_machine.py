"""What a process may use of the machine."""

import os
from types import SimpleNamespace
from typing import Any

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


@pytest.mark.parametrize(
    ("failed", "count", "expected"), [(0, 2, True), (0, 0, False), (100, 2, False)]
)
def test_a_gpu_is_there_if_its_driver_finds_one(
    monkeypatch: pytest.MonkeyPatch, failed: int, count: int, expected: bool
) -> None:
    class Driver:
        def cuInit(self, flags: int) -> int:
            return failed

        def cuDeviceGetCount(self, pointer: Any) -> int:
            pointer._obj.value = count
            return 0

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine.has_gpu() == expected


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(machine.ctypes, "CDLL", missing)
    for platform in ("linux", "win32"):
        monkeypatch.setattr(machine.sys, "platform", platform)
        assert not machine.has_gpu()


def test_every_apple_chip_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    for name, expected in (("arm64", True), ("x86_64", False)):
        system = SimpleNamespace(machine=name)
        monkeypatch.setattr(machine.os, "uname", lambda system=system: system, raising=False)
        assert machine.has_gpu() == expected
