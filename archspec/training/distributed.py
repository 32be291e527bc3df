"""Several processes that act as one: ranks, sums over all of them, and the wrapped network.

`torchrun` (or Slurm's `srun`) starts the processes and says in the environment who each is;
without it there is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from archspec.ir.given import GIVEN

CONNECTION_LOST = ("gloo/transport", "Connection reset by peer", "Connection closed by peer")
"""Parts of gloo's messages when another process is gone. It has no error class for that."""


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
        """The tensors of all processes (of equal shapes), by rank."""
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
        """What all processes found, by rank."""
        if self.world == 1:
            return [mine]
        everybody: list[str | None] = [None] * self.world
        dist.all_gather_object(everybody, mine)
        return everybody

    def share_buffers(self, net: nn.Module) -> None:
        """Gives all processes the buffers of rank 0, which are those that are saved.

        Each process has moving statistics of its own images. DDP, too, broadcasts rank 0's.
        """
        for buffer in net.buffers() if self.world > 1 else ():
            dense = buffer.contiguous()
            self.same_as_main(dense)
            if dense is not buffer:
                buffer.copy_(dense)

    def wait(self) -> None:
        """Waits until all processes have come here."""
        if self.world > 1:
            dist.barrier()

    def wrap(
        self, net: nn.Module, device: torch.device, *, fsdp: bool, idle: Collection[str] = ()
    ) -> nn.Module:
        """The network with a backward pass that averages gradients over all processes.

        The parameters `idle` get no gradient; without being told, DDP would wait for one.
        """
        if self.world == 1:
            return net
        if fsdp:
            return self.shard(net, device)
        from torch.nn.parallel import DistributedDataParallel

        # Not `find_unused_parameters`: it asks what leads to any output, in the loss or not.
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        flagged = Flagged(net, device)
        ignore(flagged, [f"net.{name}" for name in idle])  # type: ignore[no-untyped-call]
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(flagged, device_ids=ids, gradient_as_bucket_view=True)

    def shard(self, net: nn.Module, device: torch.device) -> nn.Module:
        """`net`, of which each process keeps only a part of the parameters (FSDP2)."""
        if self.world == 1:
            return net
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        # Left to itself, FSDP takes the GPUs of a machine that has some.
        mesh = init_device_mesh(device.type, (self.world,))
        for unit in _units(net):
            fully_shard(unit, mesh=mesh)
        # The parameters of the whole are parts again after a forward pass without a backward one,
        # and so may be updated.
        fully_shard(net, mesh=mesh, reshard_after_forward=True)
        return net


def _units(net: nn.Module) -> list[nn.Module]:
    """The modules within a network whose parameters may be gathered one module at a time.

    It calls each of them, and nothing else has their parameters. All other parameters are gathered
    for the whole forward pass.
    """
    owners: dict[nn.Parameter, set[nn.Module]] = {}
    for module in net.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(parameter, set()).add(module)

    def is_unit(child: nn.Module) -> bool:
        inside, own = set(child.modules()), list(child.parameters())
        is_called = not hasattr(child, GIVEN)
        return bool(own) and is_called and all(owners[each] <= inside for each in own)

    return [child for child in _called(net) if is_unit(child)]


def _called(module: nn.Module) -> list[nn.Module]:
    """Its children, and those of children that only hold others, each once."""
    found: dict[nn.Module, None] = {}
    for child in module.children():
        is_holder = type(child).forward is nn.Module.forward
        found.update(dict.fromkeys(_called(child) if is_holder else [child]))
    return list(found)


class Flagged(nn.Module):
    """A network, and a parameter beside it that carries bad losses to all processes.

    Its gradient is 0 where the loss is finite and NaN where it is not, and DDP averages it with the
    gradients of the weights: no exchange of its own, and a NaN of any process is one in all. The
    network itself does not have it, so it is never saved, updated, clipped or averaged.
    """

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.net = net
        self.flag = nn.Parameter(torch.zeros((), device=device))

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        output: Tensor | dict[str, Tensor] = self.net(images)
        return output


def flag_of(model: nn.Module) -> nn.Parameter | None:
    """The parameter that carries bad losses, where `model` is wrapped in DDP.

    FSDP has none: it exchanges gradients of what it gathered for a forward pass, in parts, and no
    forward pass reads the flag.
    """
    inner = getattr(model, "module", None)
    return inner.flag if isinstance(inner, Flagged) else None


def backward(model: nn.Module, scaled: Tensor, loss: Tensor) -> None:
    """Adds the gradients of `scaled`, and of the flag by `loss`, to those that are there."""
    flag = flag_of(model)
    if flag is None:
        torch.autograd.backward(scaled)
    else:
        torch.autograd.backward([scaled, flag], [None, (loss.detach() * 0).to(flag.dtype)])


@contextmanager
def exchange_held_back(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Where `wanted`, adds gradients up inside and leaves their exchange to a later backward pass.

    A batch that is computed in pieces then needs one exchange.
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
    """This process among those that torchrun or srun started, connected while the block runs."""
    seat = _seat()
    if seat.world == 1:
        yield seat
        return
    on_gpu = device_name.startswith("cuda") or (device_name == "auto" and torch.cuda.is_available())
    gpu = None
    if on_gpu:
        gpu = torch.device("cuda", seat.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(gpu)
    # After a restart the store may be the old one, with addresses of processes that are gone.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store, _, _ = next(rendezvous(_meeting_place(seat)))
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=PrefixStore(f"archspec/{attempt}", store),
        rank=seat.rank,
        world_size=seat.world,
        device_id=gpu,
    )
    try:
        yield seat
    finally:
        dist.destroy_process_group()


def _seat() -> Processes:
    """Who this process is, as torchrun says, or else Slurm's `srun`."""
    env = os.environ
    if "WORLD_SIZE" in env:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    # Slurm says so much in a batch script too, which is one process, and in no step yet.
    elif "SLURM_PROCID" in env and ("MASTER_ADDR" in env or "SLURM_STEP_NODELIST" in env):
        tasks = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in env else "SLURM_NTASKS"
        names = ("SLURM_PROCID", tasks, "SLURM_LOCALID")
    else:
        return Processes()
    rank, world, local_rank = (env.get(name, "") for name in names)
    return Processes(int(rank or 0), int(world or 1), int(local_rank or 0))


def _meeting_place(seat: Processes) -> str:
    """Where the processes find each other, as torch's rendezvous reads it."""
    env = os.environ
    if "WORLD_SIZE" in env:
        return "env://"
    host = env.get("MASTER_ADDR") or first_node(env["SLURM_STEP_NODELIST"])
    # The same for all processes of a job, and seldom that of another job on the machine.
    port = int(env.get("MASTER_PORT") or 15_000 + int(env.get("SLURM_JOB_ID", "0")) % 15_000)
    return f"tcp://{host}:{port}?rank={seat.rank}&world_size={seat.world}"


def first_node(nodes: str) -> str:
    """`gpu[07-09,12]-ib,login` begins with `gpu07-ib`."""
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^\[,]*)", nodes)
    assert found is not None  # every part may be empty
    return "".join(part or "" for part in found.groups())


def is_connection_lost(error: BaseException) -> bool:
    """Whether an exchange failed because another process is gone, or cannot be reached."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(w in str(error) for w in CONNECTION_LOST)
    )


def connection_lost(error: BaseException) -> str:
    """What to say of a run whose other process is gone."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"another process of the run is gone ({said[0][:200]}). The last checkpoint is intact: "
        "torchrun --max-restarts N starts all processes again, and --resume goes on from it"
    )
