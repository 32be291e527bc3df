"""Several processes as one: who am I, sums over all, and the wrapped network.

`torchrun` starts the processes and says in the environment who each is; without it there is one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

CONNECTION_LOST = ("gloo/transport", "Connection reset by peer", "Connection closed by peer")
"""What gloo says, which raises no class of its own, when another process is gone."""


@dataclass(frozen=True)
class Processes:
    """This process among `world`; `rank` 0 alone writes files and speaks."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """The largest of all processes, element by element, in place."""
        if self.world > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Everybody's tensor (equal shapes), by rank."""
        if self.world == 1:
            return [tensor]
        everybody = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(everybody, tensor)
        return everybody

    def same_as_main(self, tensor: Tensor) -> Tensor:
        """Rank 0's tensor, in place."""
        if self.world > 1:
            dist.broadcast(tensor, 0)
        return tensor

    def gather_findings(self, mine: str | None) -> list[str | None]:
        """What everybody found, by rank."""
        if self.world == 1:
            return [mine]
        everybody: list[str | None] = [None] * self.world
        dist.all_gather_object(everybody, mine)
        return everybody

    def share_buffers(self, net: nn.Module) -> None:
        """Rank 0's buffers on all: each process has moving statistics of its own share.

        Rank 0's, as DDP broadcasts them before every step, and as they are saved.
        """
        for buffer in net.buffers() if self.world > 1 else ():
            dense = buffer.contiguous()
            self.same_as_main(dense)
            if dense is not buffer:
                buffer.copy_(dense)

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()

    def wrap(
        self, net: nn.Module, device: torch.device, *, fsdp: bool, idle: Collection[str] = ()
    ) -> nn.Module:
        """The network whose backward pass averages gradients over all processes.

        The parameters `idle` get no gradient, for which DDP would wait.
        """
        if self.world == 1:
            return net
        if fsdp:
            return self.shard(net, device)
        from torch.nn.parallel import DistributedDataParallel

        # Not `find_unused_parameters`: it asks what leads to any output, in the loss or not.
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(net, idle)  # type: ignore[no-untyped-call]
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=ids, gradient_as_bucket_view=True)

    def shard(self, net: nn.Module, device: torch.device) -> nn.Module:
        """`net` with each process keeping its part of the parameters alone (FSDP2)."""
        if self.world == 1:
            return net
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        # Left to itself, FSDP takes the GPUs of a machine that has some.
        mesh = init_device_mesh(device.type, (self.world,))
        for child in net.children():
            if any(True for _ in child.parameters()):
                fully_shard(child, mesh=mesh)
        # The parameters of the whole are parts again after a forward pass without a backward one,
        # and so may be updated.
        fully_shard(net, mesh=mesh, reshard_after_forward=True)
        return net


@contextmanager
def exchange_held_back(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Where `wanted`, gradients are only added up here, to be exchanged by a later backward pass.

    So a batch that is computed in pieces is exchanged once.
    """
    if not wanted or not dist.is_initialized():
        yield
        return
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(model, DistributedDataParallel):
        with model.no_sync():
            yield
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(False)
        yield
        model.set_requires_gradient_sync(True)


@contextmanager
def joined(device_name: str) -> Iterator[Processes]:
    """This process among those that `torchrun` started, connected while the block runs."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = device_name.startswith("cuda") or (device_name == "auto" and torch.cuda.is_available())
    if on_gpu:
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    backend = "nccl" if on_gpu else "gloo"
    store, rank, world = next(rendezvous("env://"))
    # After a restart the store may be the old one, with addresses of processes that are gone.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"archspec/{attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield Processes(rank, world, local_rank)
    finally:
        dist.destroy_process_group()


def is_connection_lost(error: BaseException) -> bool:
    """Whether an exchange failed because another process is gone, or cannot be reached."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(w in str(error) for w in CONNECTION_LOST)
    )
