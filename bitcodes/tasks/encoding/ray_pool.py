"""A Ray cluster as a pool of processes: a task whose process or machine is lost is done again."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from bitcodes.errors import BitcodesError
from bitcodes.machine import core_count
from bitcodes.version import __version__

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks per core
_RETRIES = 10
_TICK = 1.0  # seconds
_STORE = 1 << 28  # bytes of shared memory on this machine: tasks are small

_works: dict[str, Any] = {}  # in a process of the cluster, by reference


class RayPool:
    """The Ray cluster at an address; "local" starts one on this machine, for each run."""

    def __init__(self, address: str) -> None:
        self._address = address

    def run(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        tick: Callable[[], None],
        gpus: int,
    ) -> Iterator[Result]:
        """Do `work` on each task; see Pool.

        `work` goes once to each process. Tasks are taken two per core ahead. Raises BitcodesError
        without the extra `ray`, if the cluster cannot be reached, if a machine has another version
        of bitcodes, and for a task whose process died eleven times.
        """
        try:
            import ray
        except ImportError:
            raise BitcodesError("--ray needs Ray: pip install 'bitcodes[ray]'") from None
        is_ours = not ray.is_initialized()
        if is_ours:
            self._start(ray)
        running: list[Any] = []
        try:
            pickle = ray.cloudpickle
            reference = [ray.put(pickle.dumps(work))]  # in a list it is not fetched for each task
            options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": _RETRIES}
            remote = ray.remote(**options)(_task_of(__version__))
            for task in tasks:
                running.append(remote.remote(reference, pickle.dumps(task)))
                while len(running) >= _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1))):
                    yield from _finished(ray, running, tick)
            while running:
                yield from _finished(ray, running, tick)
        finally:
            if is_ours:
                ray.shutdown()  # this ends what is running
            else:
                for each in running:
                    ray.cancel(each, force=True)

    def _start(self, ray: Any) -> None:
        local: dict[str, Any] = {"address": self._address}
        if self._address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
            local |= {"num_cpus": core_count(), "include_dashboard": False}
            local |= {"object_store_memory": _STORE}
        try:
            ray.init(log_to_driver=False, logging_level="error", **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BitcodesError(f"--ray {self._address}: no cluster there: {reason}") from None


def _finished(ray: Any, running: list[Any], tick: Callable[[], None]) -> Iterator[Any]:
    """The results of tasks that are done, which are taken from `running`; waits for a moment."""
    done, running[:] = ray.wait(running, timeout=_TICK)
    if not done:
        tick()
    for each in done:
        yield _result(ray, each)


def _result(ray: Any, reference: Any) -> Any:
    try:
        node, result, error = ray.get(reference)
    except ray.exceptions.RayTaskError as failure:
        raise failure.cause from None
    except ray.exceptions.RayError as failure:
        reason = " ".join(str(failure).split())[:300]
        raise BitcodesError(
            f"the Ray cluster lost a part for good; run this again to continue: {reason}"
        ) from None
    if error is None:
        return ray.cloudpickle.loads(result)
    kind, text = error
    raise (kind or BitcodesError)(*f"on the machine {node}: {text}".splitlines())


def _task_of(version: str) -> Callable[[list[Any], bytes], Any]:
    """What a process of the cluster runs: `do_task`, once it is known to be of this version.

    Ray sends this function itself, as it is no part of a module: other versions may lack it.
    """

    def run_task(reference: list[Any], task: bytes) -> Any:
        import ray

        node = ray.util.get_node_ip_address()
        try:
            from bitcodes.version import __version__ as found
        except ImportError as error:
            found = f"none ({error})"
        if found != version:
            what = f"expected bitcodes {version}; found {found}. Install the same on all machines"
            return node, None, (None, what)
        from bitcodes.tasks.encoding.ray_pool import do_task

        return node, *do_task(reference, task)

    return run_task


def do_task(reference: list[Any], task: bytes) -> tuple[bytes | None, Any]:
    """Do a task in a process of the cluster: its result, or the kind and text of its error."""
    import ray

    key = reference[0].hex()
    try:
        if key not in _works:
            _works.clear()
            _works[key] = ray.cloudpickle.loads(ray.get(reference[0]))
        return ray.cloudpickle.dumps(_works[key](ray.cloudpickle.loads(task))), None
    except BitcodesError as error:
        return None, (type(error), str(error))
