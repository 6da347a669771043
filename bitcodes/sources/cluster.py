"""Work done in order by the processes of a Ray cluster, which does what dead ones had anew."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from bitcodes.errors import BitcodesError

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks a core
_RETRIES = 3

_states: dict[str, Any] = {}  # in a process of the cluster: what it got for all tasks


def in_order_on_ray(
    work: Callable[[State, Task], Result],
    state: State,
    tasks: Iterable[Task],
    address: str | None = None,
) -> Iterator[Result]:
    """Do `work(state, task)` on each task in a Ray cluster; the results come in their order.

    `address` of the cluster; None or "" starts one on this machine. `work` must be a function of a
    module that the cluster can import; `state` goes once to each process. Tasks are taken from
    their iterator as they are needed, two a core ahead. Raises BitcodesError without the extra
    `ray`, where the cluster cannot be reached, and for a task that costs four processes their life.
    """
    try:
        import ray
    except ImportError:
        raise BitcodesError("--ray needs Ray: pip install 'bitcodes[ray]'") from None
    begun = not ray.is_initialized()
    if begun:
        try:
            ray.init(
                address=address or "local",
                include_dashboard=False if not address else None,
                log_to_driver=False,
                logging_level="error",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BitcodesError(f"--ray {address or 'local'}: no cluster there: {reason}") from None
    try:
        held = [ray.put(state)]  # in a list it is not fetched anew for each task
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_do)
        limit = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        running: deque[Any] = deque()
        for task in tasks:
            running.append(remote.remote(work, held, task))
            if len(running) >= limit:
                yield _result(ray, running.popleft())
        while running:
            yield _result(ray, running.popleft())
    finally:
        if begun:
            ray.shutdown()


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        raise BitcodesError(f"the Ray cluster lost a batch for good: {reason}") from None


def _do(work: Callable[[Any, Any], Any], held: list[Any], task: Any) -> Any:
    import ray

    key = held[0].hex()
    if key not in _states:
        _states.clear()
        _states[key] = ray.get(held[0])
    return work(_states[key], task)
