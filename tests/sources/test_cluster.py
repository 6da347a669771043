"""encode on a Ray cluster: the same set, although a worker is killed."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny import make_model, make_pictures

from bitcodes.errors import BitcodesError
from bitcodes.sources.cluster import in_order_on_ray
from bitcodes.tasks.encode import encode

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """A cluster of two processes on this machine."""
    ray = pytest.importorskip("ray")
    path = os.pathsep.join([str(TESTS), str(TESTS / "data"), *filter(None, sys.path)])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield
    ray.shutdown()


def _square(marks: Path, number: int) -> int:
    if number == 7 and not list(marks.iterdir()):
        (marks / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_results_come_in_order_though_a_worker_is_killed(two_workers: None, tmp_path: Path) -> None:
    import ray
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    assert ray.is_initialized()
    results = in_order_on_ray(partial(_square, tmp_path), ((-n, n) for n in range(20)))
    assert list(results) == [(-n, n * n) for n in range(20)]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_set_is_that_of_one_process(two_workers: None, tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 23)
    (tmp_path / "photos" / "05b.jpg").write_bytes(b"not a picture")
    encode(make_model(), tmp_path / "photos", tmp_path / "one.npy", features=True, batch_size=4)
    encode(
        make_model(), tmp_path / "photos", tmp_path / "ray.npy", features=True, batch_size=4, ray=""
    )
    for file in tmp_path.glob("one.*"):
        assert file.read_bytes() == (tmp_path / file.name.replace("one", "ray")).read_bytes()


@pytest.mark.posix
@pytest.mark.proc
def test_the_set_is_the_same_though_a_worker_is_killed(two_workers: None, tmp_path: Path) -> None:
    make_pictures(tmp_path / "photos", 60)
    encode(make_model(), tmp_path / "photos", tmp_path / "one.npy", batch_size=2)
    killed = []

    def kill(done: int, count: int | None) -> None:
        for folder in () if killed or done < 10 else Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if b"ray::_do" in (folder / "cmdline").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed.append(folder.name)
                    return

    encode(
        make_model(), tmp_path / "photos", tmp_path / "ray.npy", batch_size=2, ray="", progress=kill
    )
    assert killed
    for file in tmp_path.glob("one.*"):
        assert file.read_bytes() == (tmp_path / file.name.replace("one", "ray")).read_bytes()


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    tasks: Sequence[Any] = [(1, 1)]
    with pytest.raises(BitcodesError, match=r"pip install 'bitcodes\[ray\]'"):
        list(in_order_on_ray(partial(_square, Path()), tasks))
