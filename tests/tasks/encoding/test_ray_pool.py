"""encode on a real Ray cluster: the same set, although a worker is killed."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import make_model, make_pictures

from bitcodes.errors import BitcodesError, DataError
from bitcodes.tasks.encoding import parts as encode_parts
from bitcodes.tasks.encoding import ray_pool
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.encoding.ray_pool import RayPool

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two processes on this machine."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'bitcodes[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, sys.path)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else a busy machine starves them
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=1 << 27,
        )
    yield
    ray.shutdown()


def test_a_cluster_makes_the_same_set_though_a_worker_is_killed(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    monkeypatch.setattr(encode_parts, "_LEAST", 4)
    photos, mark = tmp_path / "photos", tmp_path / "killed"
    make_pictures(photos, 23)
    model = make_model()
    encode(model, photos, tmp_path / "one.npy", features=True, batch_size=4)

    def kill(images: object) -> object:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        return type(model).encode_batch(model, images)  # type: ignore[arg-type]

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    model.encode_batch = kill  # type: ignore[method-assign, assignment]
    encode(
        model,
        photos,
        tmp_path / "ray.npy",
        features=True,
        batch_size=4,
        pool=RayPool("local"),
    )
    assert mark.exists()
    for file in tmp_path.glob("one.*"):
        assert file.read_bytes() == (tmp_path / file.name.replace("one", "ray")).read_bytes()


def test_errors_name_the_machine(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "photos", 3)
    (tmp_path / "photos" / "01.png").write_bytes(b"nothing")
    out = tmp_path / "codes.npy"
    with pytest.raises(DataError, match=r"on the machine \d+\.\d+\.\d+\.\d+: .*01\.png' cannot"):
        encode(make_model(), tmp_path / "photos", out, pool=RayPool("local"), strict=True)
    monkeypatch.setattr(ray_pool, "__version__", "99.1")
    with pytest.raises(BitcodesError, match=r"on the machine .*: expected bitcodes 99\.1; found "):
        encode(make_model(), tmp_path / "photos", out, pool=RayPool("local"))


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    make_pictures(tmp_path, 2)
    with pytest.raises(BitcodesError, match=r"pip install 'bitcodes\[ray\]'"):
        encode(make_model(), tmp_path, tmp_path / "codes.npy", pool=RayPool("local"))
