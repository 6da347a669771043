"""Work done in order by the processes of a Ray cluster; what a killed one had is done again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from bitcodes.errors import BitcodesError

Context = TypeVar("Context")
Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks per core
_RETRIES = 3

_works: dict[str, Any] = {}  # in a process of the cluster, by reference


def in_order_on_ray(
    work: Callable[[Task], Result],
    tasks: Iterable[tuple[Context, Task]],
    address: str | None = None,
) -> Iterator[tuple[Context, Result]]:
    """Do `work` on each task in a Ray cluster, as in_order does in processes of this machine.

    `address` is that of the cluster; None or "" starts one on this machine. `work` goes once to
    each process, and the cluster must be able to import it. Tasks are taken as they are needed, two
    per core ahead. Raises BitcodesError without the extra `ray`, if the cluster cannot be reached,
    and for a task that has killed four processes.
    """
    try:
        import ray
    except ImportError:
        raise BitcodesError("--ray needs Ray: pip install 'bitcodes[ray]'") from None
    is_ours = not ray.is_initialized()
    if is_ours:
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
        reference = [ray.put(work)]  # in a list it is not fetched again for each task
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_do)
        limit = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        running: deque[tuple[Context, Any]] = deque()
        for context, task in tasks:
            running.append((context, remote.remote(reference, task)))
            if len(running) >= limit:
                context, result = running.popleft()
                yield context, _result(ray, result)
        for context, result in running:
            yield context, _result(ray, result)
    finally:
        if is_ours:
            ray.shutdown()


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        raise BitcodesError(
            f"the Ray cluster lost a batch for good; run this again to continue: {reason}"
        ) from None


def _do(reference: list[Any], task: Any) -> Any:
    import ray

    key = reference[0].hex()
    if key not in _works:
        _works.clear()
        _works[key] = ray.get(reference[0])
    return _works[key](task)
