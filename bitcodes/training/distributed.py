"""The processes that train one model together, started by torchrun; usually there is just one.

Each passes its part of every batch through the network. The hash outputs are then gathered, so that
each process computes the loss of the whole batch: losses may compare any of its images.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bitcodes.errors import BitcodesError, ConfigError

T = TypeVar("T")


class StoppedElsewhere(BitcodesError):
    """Another process of the group stopped; that one says why."""


@dataclass(frozen=True)
class Group:
    """All processes, and which of them this one is: `rank` of `size`; `here` on this machine."""

    rank: int = 0
    size: int = 1
    here: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """The rows that this process takes of `count`, a multiple of `size`."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def first_does(self, work: Callable[[], T]) -> T:
        """Run `work` in the first process; all get its result. An error ends all of them."""
        if self.size == 1:
            return work()
        box: list[Any] = [None, False]
        try:
            if self.first:
                box = [work(), True]
        finally:
            self._call(dist.broadcast_object_list, box)
        if not box[1]:
            raise StoppedElsewhere("the first process stopped")
        result: T = box[0]
        return result

    def any(self, happened: bool) -> bool:
        """Whether it happened in any process. All processes must call this at the same place."""
        if self.size == 1:
            return happened
        flag = torch.tensor(int(happened))
        self._call(dist.all_reduce, flag, dist.ReduceOp.MAX)
        return bool(flag)

    def gather(self, outputs: torch.Tensor) -> torch.Tensor:
        """The parts of all processes, (B / size, K) each, as one batch (B, K).

        Each process gets the gradient of its own part, times `size`: DistributedDataParallel takes
        the mean over processes of what is meant to be a sum.
        """
        if self.size == 1:
            return outputs
        gathered: torch.Tensor = _Gather.apply(outputs, self)
        return gathered

    def collect(
        self, rows: NDArray[np.int64], work: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """`work(rows)`, (N, K), each process doing its part of the rows."""
        if self.size == 1 or len(rows) == 0:
            return work(rows)
        padded = np.resize(rows, -(-len(rows) // self.size) * self.size)  # begins anew at its end
        mine = torch.from_numpy(work(padded[self.part(len(padded))]))
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        self._call(dist.all_gather, parts, mine)
        return torch.cat(parts)[: len(rows)].numpy()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """The mean over processes of the gradients of what DistributedDataParallel does not see."""
        for parameter in parameters if self.size > 1 else ():
            if parameter.grad is not None:
                self._call(dist.all_reduce, parameter.grad)
                parameter.grad /= self.size

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model to call in a training step."""
        if self.size == 1:
            return model
        cards = [device] if device.type == "cuda" else None
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}  # as new and old versions of torch call it
        return DistributedDataParallel(model, cards, **options)

    def share_buffers(self, model: nn.Module) -> None:
        """Copy the batch norm statistics of the first process to all; steps do not use them."""
        for buffer in model.buffers() if self.size > 1 else ():
            self._call(dist.broadcast, buffer, 0)

    def device(self, device: torch.device) -> torch.device:
        """The device of this process, of those that `device` means; ConfigError if none is left."""
        if self.size == 1 or device.type != "cuda":
            return device
        number, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= there:
            raise ConfigError(
                f"process {number + 1} on this machine has no CUDA card of its own: there are "
                f"{there}; start torchrun with --nproc-per-node {there}"
            )
        torch.cuda.set_device(number)
        return torch.device("cuda", number)

    def _call(self, operation: Callable[..., Any], *arguments: Any) -> None:
        try:
            operation(*arguments)
        except RuntimeError as error:
            raise StoppedElsewhere(f"another process stopped ({error})") from None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outputs: torch.Tensor, group: Group) -> torch.Tensor:
        ctx.group = group
        parts = [torch.empty_like(outputs) for _ in range(group.size)]
        group._call(dist.all_gather, parts, outputs.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        group: Group = ctx.group
        return gradient[group.part(len(gradient))] * group.size, None


def rank() -> int:
    """The number of this process, from torchrun; 0 without it."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined() -> Iterator[Group]:
    """The group that torchrun's environment variables describe; without them, one process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    if not dist.is_available():
        raise ConfigError(
            "this build of torch cannot train on several GPUs: leave out torchrun, "
            "or install a build with torch.distributed"
        )
    both = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo")
    yield Group(rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    # Not after an error: others may be waiting for this process, and closing would wait for them.
    dist.destroy_process_group()


def synchronise_norms(model: nn.Module) -> None:
    """Let batch norms see the whole batch, in place: on CUDA only, elsewhere there is no way."""
    from timm.layers.norm_act import convert_sync_batchnorm

    for name, child in model.named_children():
        setattr(model, name, convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
