"""All that a run's future depends on, as one tree: taken from a trainer, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from archspec.training.optimise import sharded
from archspec.training.position import Best, Position, Resumable
from archspec.training.randomness import fresh_seed, random_state, set_random_state
from archspec.training.store.checkpoint import DamagedError


def take(trainer: Resumable) -> dict[str, Any]:
    """The state as a tree of tensors and plain values; every process must call it."""
    processes, scaler = trainer.processes, trainer.scaler
    best = asdict(trainer.best)
    return {
        "position": asdict(trainer.position),
        "best": None if trainer.best.epoch < 0 else best,
        "history": trainer.history,
        "world": processes.world,
        "model": weights(trainer.net),
        "average": weights(trainer.average.net) if trainer.average else None,
        "optimizer": _whole(trainer.optimizer.state_dict()),
        "scaler": scaler.state_dict() if scaler else None,
        # Each process has an epoch's sums of its own; rank 0 will go on with all of them.
        "sums": processes.sum(trainer.sums.total.clone()),
        "random": random_state(trainer.device),
        "ranks": _generators(trainer),
    }


def put_back(trainer: Resumable, tree: dict[str, Any]) -> None:
    """Goes on where `take` was called, to the last bit where the number of processes is equal.

    The tree has the form of `trees.Whole`. Raises `DamagedError`, with nothing changed, where it
    was taken from another network or optimiser.
    """
    _check_fits(trainer, tree)
    trainer.position = Position(**tree["position"])
    trainer.best = Best(**tree["best"]) if tree["best"] else Best()
    trainer.history[:] = tree["history"]
    load_weights(trainer.net, tree["model"])
    if trainer.average:
        load_weights(trainer.average.net, tree["average"])
    trainer.optimizer.load_state_dict(_shards(tree["optimizer"], trainer))
    if trainer.scaler:
        trainer.scaler.load_state_dict(tree["scaler"])
    if trainer.processes.is_main:
        trainer.sums.total.copy_(tree["sums"])
    trainer.logged.copy_(trainer.sums.total)
    set_random_state(tree["random"], trainer.device)
    if rank := trainer.processes.rank:
        if rank < len(tree["ranks"]):
            _set_generator(tree["ranks"][rank], trainer.device)
        else:  # a process that was not there: not rank 0's draws again
            torch.manual_seed(fresh_seed(trainer.recipe.seed, rank, trainer.position.step))


def weights(net: nn.Module) -> dict[str, Tensor]:
    """The state dict, its tensors whole where they are sharded over processes."""
    return {key: _full(tensor) for key, tensor in net.state_dict().items()}


@torch.no_grad()
def load_weights(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of the same names, shapes and dtypes. Raises `DamagedError`."""
    own = net.state_dict()
    check_same(own, state, "weights of another network")
    for key, tensor in own.items():
        tensor.copy_(_like(state[key], tensor))


def check_same(own: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    """Raises `DamagedError` where tensors differ in names, shapes or dtypes: none is stretched."""
    odd = sorted(own.keys() ^ given.keys())
    if odd:
        there = ("only in the network", "only in the checkpoint")[odd[0] in given]
        raise DamagedError(f"the checkpoint has {what}: {odd[0]} is {there}")
    for name, tensor in own.items():
        mine, theirs = (f"{tuple(t.shape)} of {t.dtype}" for t in (tensor, given[name]))
        if mine != theirs:
            raise DamagedError(f"the checkpoint has {what}: {name} is {theirs} instead of {mine}")


def _check_fits(trainer: Resumable, tree: Mapping[str, Any]) -> None:
    check_same(trainer.net.state_dict(), tree["model"], "weights of another network")
    if trainer.average:
        check_same(
            trainer.average.net.state_dict(), tree["average"] or {}, "an average of another network"
        )
    states, saved = trainer.optimizer.state_dict(), tree["optimizer"]
    if states.keys() != saved.keys():
        raise DamagedError("the checkpoint has an optimiser of other parameters")
    for name, own in states.items():
        check_same(own, saved[name], f"another optimiser's state of {name}")
    if trainer.scaler and not tree["scaler"]:
        raise DamagedError("the checkpoint has no state of the gradient scaler")
    # The number of processes may have changed, and with it an epoch's steps by one.
    if tree["position"]["batch"] > trainer.plan.steps + 1:
        raise DamagedError(f"the checkpoint has more steps in an epoch than {trainer.plan.steps}")


def _whole(state: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    return {name: {k: _full(t) for k, t in each.items()} for name, each in state.items()}


def _shards(
    state: dict[str, dict[str, Tensor]], trainer: Resumable
) -> dict[str, dict[str, Tensor]]:
    own = trainer.optimizer.state_dict()
    return {
        name: {key: _like(state[name][key], tensor) for key, tensor in each.items()}
        for name, each in own.items()
    }


def _full(tensor: Tensor) -> Tensor:
    """A sharded tensor put together; any other as it is."""
    parts = sharded(tensor)
    return tensor if parts is None else parts.full_tensor()


def _like(whole: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, sharded as `tensor` is."""
    parts = sharded(tensor)
    if parts is None:
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(parts.device), parts.device_mesh, parts.placements)


def _generators(trainer: Resumable) -> list[Tensor]:
    """The state of every process's generator on its device."""
    if trainer.processes.world == 1:
        return []
    state = _get_generator(trainer.device)
    return [each.cpu() for each in trainer.processes.gather(state.to(trainer.device))]


def _get_generator(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_generator(state: Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
