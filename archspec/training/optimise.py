"""Steps of an optimiser, with its state under the names of the parameters; averages of weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from archspec.recipe.optimizers import ParameterGroup, UpdateRule
from archspec.recipe.recipe import Recipe

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

FUSED = frozenset({"cpu", "cuda", "mps"})
READ_FLAGS = frozenset({"cpu", "cuda"})
"""Devices whose fused kernels obey `found_inf`. Those of MPS accept it and update all the same."""


class Optimizer:
    """Steps of the recipe's optimiser over named parameters.

    `param_groups` and `found_inf` are there for `torch.amp.GradScaler`, whose `unscale_` must come
    before its `step`. A step where `found_inf` or `frozen` is 1 changes nothing. Where
    the kernels can read these flags, this does not wait for the device.
    """

    _step_supports_amp_scaling = True
    # On the class, because the scaler sets it on the object and deletes it again.
    found_inf: Tensor | None = None
    frozen: Tensor | None = None

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], recipe: Recipe) -> None:
        self.rule: UpdateRule = UpdateRule.entries[recipe.optimizer](recipe)
        self.named = {name: p for name, p in parameters if p.requires_grad}
        decayed = {name for name, p in self.named.items() if recipe.decay_all or p.ndim > 1}
        groups = [
            ([name for name in self.named if name in decayed], recipe.weight_decay),
            ([name for name in self.named if name not in decayed], 0.0),
        ]
        self._groups = [(names, decay) for names, decay in groups if names]
        self.param_groups = [{"params": list(self.named.values())}]
        self.state: dict[str, dict[str, Tensor]] = {
            name: self.rule.fresh(parameter) for name, parameter in self.named.items()
        }
        devices = {p.device.type for p in self.named.values()}
        self.fused = devices <= FUSED
        self.reads_flags = self.rule.is_fused and devices <= READ_FLAGS

    def zero_grad(self) -> None:
        for parameter in self.named.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """One update. A parameter without a gradient stays as it is.

        Fused kernels may read the learning rate on the device: float32, without axes.
        """
        flag = self._flag()
        if flag is not None and not self.reads_flags and flag.item():
            return
        for names, decay in self._groups:
            with_grad = [name for name in names if self.named[name].grad is not None]
            if with_grad:
                self.rule.update(self._group(with_grad, lr, decay, flag))

    def _group(
        self, names: list[str], lr: float | Tensor, decay: float, flag: Tensor | None
    ) -> ParameterGroup:
        kernel = {
            "fused": self.fused,
            "foreach": not self.fused,
            "found_inf": flag if self.reads_flags else None,
        }
        return ParameterGroup(
            [local(self.named[name]) for name in names],
            [self._grad(name) for name in names],
            {key: [local(self.state[n][key]) for n in names] for key in self.state[names[0]]},
            lr,
            decay,
            kernel if self.rule.is_fused else {},
        )

    def _flag(self) -> Tensor | None:
        flags = [flag for flag in (self.found_inf, self.frozen) if flag is not None]
        # Not their sum: kernels ask whether it is 1.
        return torch.maximum(*flags) if len(flags) > 1 else next(iter(flags), None)

    def _grad(self, name: str) -> Tensor:
        grad = self.named[name].grad
        assert grad is not None
        return local(grad)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """State by parameter name; the tensors are the live ones."""
        return self.state

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Copies a state of the same parameters and the same kind of optimiser."""
        for name, tensors in self.state.items():
            for key, tensor in tensors.items():
                tensor.copy_(state[name][key])


def local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, in the same memory. Others are returned as they are.

    The updates are element by element, so each process can compute its own.
    """
    parts = sharded(tensor)
    return tensor if parts is None else parts.to_local()


def sharded(tensor: Tensor) -> DTensor | None:
    """The tensor where it is sharded over processes, else None."""
    if type(tensor) in (Tensor, nn.Parameter):
        return None
    from torch.distributed.tensor import DTensor

    return tensor if isinstance(tensor, DTensor) else None


def renewed_share(decay: float, step: int) -> float:
    """The share of an average that step `step` (from 1) takes from the weights.

    The decay grows as (1 + n) / (10 + n) at first, so that the random start is soon forgotten.
    """
    return 1 - min(decay, (1 + step) / (10 + step))


class Average:
    """An exponential moving average of a network's weights, in a network of its own.

    Buffers are copied: moving statistics are averages already.
    """

    def __init__(self, net: nn.Module) -> None:
        from copy import deepcopy

        self.net = deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: nn.Module, renewed: float | Tensor) -> None:
        """Moves towards the weights of `net` by that share, a number or a tensor without axes."""
        live = dict(net.named_parameters())
        mine = [local(each) for each in self.net.parameters()]
        theirs = [local(live[name]) for name, _ in self.net.named_parameters()]
        if isinstance(renewed, Tensor):  # a `lerp` would wait for its value
            steps = torch._foreach_sub(theirs, mine)
            torch._foreach_mul_(steps, renewed)
            torch._foreach_add_(mine, steps)
        else:
            torch._foreach_lerp_(mine, theirs, renewed)
        if kept := dict(self.net.named_buffers()):
            buffers = dict(net.named_buffers())
            torch._foreach_copy_(list(kept.values()), [buffers[key] for key in kept])
